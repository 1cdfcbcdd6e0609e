"""RevCT is read as its settings describe its heads; without that it says what is missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_ct_assistant import CTVolume, load_assistant
from napari_ct_assistant.assistant import ModelLoadError
from napari_ct_assistant.report_text.findings import FINDINGS
from tests.backends.colipri.tiny_colipri import save_tiny_colipri

SAID: dict[str, Any] = {
    "id2label": {str(n): name for n, name in enumerate(FINDINGS)},
    "features": "mean",
    "calibration": "none",
    "thresholds": [0.3] * 18,
    "preprocessing": {"orientation": "RAS", "spacing": 12.0, "input_size": 24},
    "image_encoder": {"num_heads": 2, "pooler_heads": 2},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with an encoder under a prefix, and one linear head."""
    source = load_file(save_tiny_colipri(tmp_path / "colipri") / "model.safetensors")
    tensors = {
        f"encoder.{key.removeprefix('image_encoder.')}": tensor
        for key, tensor in source.items()
        if key.startswith("image_encoder.")
    }
    torch.manual_seed(3)
    tensors["head.weight"], tensors["head.bias"] = torch.randn(18, 36), torch.zeros(18)
    made = tmp_path / "model"
    made.mkdir()
    save_file(tensors, made / "model.safetensors")
    (made / "config.json").write_text(
        json.dumps({"model_type": "rev_ct", "auto_map": {"AutoModel": "rev_ct.modeling.RevCT"}})
    )
    return made


def say(folder: Path, **changes: Any) -> None:
    said = {key: value for key, value in (SAID | changes).items() if value is not None}
    (folder / "heads.json").write_text(json.dumps(said))


def test_an_unknown_head_is_refused_with_all_that_is_missing(folder: Path) -> None:
    with pytest.raises(ModelLoadError) as error:
        load_assistant(folder, device="cpu")
    line = str(error.value)
    assert "\n" not in line
    for words in ("labels", "features", "orientation", "heads.json", "head.bias, head.weight"):
        assert words in line


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("features", "features (one of mean"),
        ("calibration", "calibration"),
        ("thresholds", "thresholds (one for each label)"),
        ("preprocessing", "preprocessing.orientation"),
        ("id2label", "labels"),
    ],
)
def test_each_missing_part_is_named(folder: Path, key: str, words: str) -> None:
    say(folder, **{key: None})
    with pytest.raises(ModelLoadError, match="its head is unknown; missing: ") as error:
        load_assistant(folder, device="cpu")
    assert words in str(error.value)


def test_a_head_that_is_described_is_read(folder: Path, small_volume: CTVolume) -> None:
    say(folder)
    assistant = load_assistant(folder, device="cpu")
    reading = assistant.read(small_volume)
    rows = reading.screen()
    assert tuple(row.name for row in rows) == FINDINGS
    weight = load_file(folder / "model.safetensors")["head.weight"]
    expected = (reading.vision_tokens[0].mean(0) @ weight.T).sigmoid()
    torch.testing.assert_close(torch.tensor([row.probability for row in rows]), expected)
    assert [row.positive for row in rows] == (expected >= 0.3).tolist()


def test_calibration_is_applied(folder: Path, small_volume: CTVolume) -> None:
    say(folder, calibration={"slope": [0.5] * 18, "shift": [1.0] * 18})
    reading = load_assistant(folder, device="cpu").read(small_volume)
    weight = load_file(folder / "model.safetensors")["head.weight"]
    expected = (0.5 * (reading.vision_tokens[0].mean(0) @ weight.T) + 1).sigmoid()
    found = torch.tensor([row.probability for row in reading.screen()])
    torch.testing.assert_close(found, expected)


def test_a_head_of_another_width_is_one_line(folder: Path) -> None:
    say(folder, features="mean_max")
    with pytest.raises(ModelLoadError, match=r"head.weight is \[18, 36\].*need \[18, 72\]"):
        load_assistant(folder, device="cpu")
