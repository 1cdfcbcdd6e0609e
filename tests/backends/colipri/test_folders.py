"""COLIPRI folders that cannot be read with, and the import of the published file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from napari_ct_assistant import CTVolume, load_assistant
from napari_ct_assistant.assistant import ModelLoadError
from napari_ct_assistant.assistant.models.installed import describe_model
from napari_ct_assistant.backends.importing import import_model
from tests.backends.colipri.tiny_colipri import change_config, save_tiny_colipri


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_colipri(tmp_path_factory.mktemp("whole") / "tiny-colipri")


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return shutil.copytree(whole, tmp_path / "model")


def refused(folder: Path, *words: str) -> None:
    with pytest.raises(ModelLoadError) as error:
        load_assistant(folder, device="cpu")
    line = str(error.value)
    assert line.startswith("model: ")
    assert "\n" not in line
    for word in words:
        assert word in line


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"preprocessing": None}, ("orientation 'None'", "'RAS'", "'SAR'")),
        ({"preprocessing": {"orientation": "LPS"}}, ("orientation 'LPS'",)),
        (
            {"preprocessing": {"orientation": "RAS", "input_size": 20}},
            ("input_size 20", "no multiple"),
        ),
        ({"preprocessing": {"orientation": "RAS", "spacing": "two"}}, ("spacing", "two")),
        ({"image_encoder": {"num_heads": 5, "pooler_heads": 2}}, ("5 attention heads", "36")),
        ({"text_encoder": {"num_heads": 7, "pooler_heads": 2}}, ("7 attention heads",)),
        ({"auto_map": {"AutoModel": "x.Y"}}, ("auto_map",)),
    ],
)
def test_settings_that_do_not_fit(
    folder: Path, changes: dict[str, Any], words: tuple[str, ...]
) -> None:
    change_config(folder, **changes)
    refused(folder, *words)


def test_an_unknown_tensor(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["head.weight"] = tensors["image_encoder.projector.bias"].clone()
    save_file(tensors, folder / "model.safetensors")
    refused(folder, "1 tensor(s) unknown", "head.weight")


def test_another_vocabulary(folder: Path) -> None:
    words = (folder / "vocab.txt").read_text().split("\n")
    (folder / "vocab.txt").write_text("\n".join(words[:-3]) + "\n")
    refused(folder, "vocab.txt has", "embeddings", "CXR-BERT")
    (folder / "vocab.txt").write_text("\n".join(w.replace("[CLS]", "cls") for w in words))
    refused(folder, "vocab.txt has no [CLS]")


def test_without_a_vocabulary_it_encodes_and_says_what_is_missing(
    folder: Path, small_volume: CTVolume
) -> None:
    (folder / "vocab.txt").unlink()
    assistant = load_assistant(folder, device="cpu")
    assert "vocab.txt" in assistant.info.notes[0]
    reading = assistant.read(small_volume)
    assert reading.vision_tokens.shape == (1, 27, 36)
    with pytest.raises(ModelLoadError, match=r"no vocab\.txt.*stage probe"):
        reading.screen()


def test_options_that_do_not_fit(folder: Path) -> None:
    with pytest.raises(ModelLoadError, match="quantize is not available"):
        load_assistant(folder, device="cpu", quantize="8bit")


def test_the_published_file_is_imported(
    whole: Path, tmp_path: Path, small_volume: CTVolume
) -> None:
    source = tmp_path / ("0123456789" * 4)
    source.mkdir()
    for file in ("model.safetensors", "vocab.txt"):
        shutil.copy(whole / file, source)
    settings = {"orientation": "SAR", "num_heads": 2, "input_size": 24, "spacing": 12.0}
    done = import_model(source, tmp_path / "made", settings=settings)
    assert done.skipped == ("image_encoder.backbone.mask_token",)
    config = json.loads((done.folder / "config.json").read_text())
    assert config["preprocessing"]["orientation"] == "SAR"
    assert config["revision"] == source.name
    described = describe_model("made", "imported", done.folder)
    assert described is not None
    assert not described.writes_text
    rows = load_assistant(done.folder, device="cpu").read(small_volume).screen()
    ras = load_assistant(whole, device="cpu").read(small_volume).screen()
    assert [row.name for row in rows] == [row.name for row in ras]
    assert rows[0].margin != pytest.approx(ras[0].margin, abs=1e-6)
    with pytest.raises(ModelLoadError, match="--set colour is no setting of COLIPRI"):
        import_model(source, tmp_path / "other", settings={"colour": "red"})
