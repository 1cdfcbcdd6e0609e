"""Folders of format 1 are read: old keys, old file names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_ct_assistant import load_assistant
from napari_ct_assistant.backends.loading.sizes import count_folder
from napari_ct_assistant.backends.ood import OutOfDistributionDetector
from napari_ct_assistant.model.format import FORMAT_VERSION, RENAMED_FILES, RENAMED_KEYS, upgraded
from tests.tiny_model import save_tiny_model, tiny_vision

TENSORS = {
    "cls_token": "class_token",
    "pos_embed": "position",
    "patch_embed.proj.": "stem.projection.",
    "patch_embed.": "stem.",
    ".attn.qkv.": ".attention.qkv.",
    ".attn.proj.": ".attention.projection.",
    ".mlp.fc1.": ".mlp.0.",
    ".mlp.fc2.": ".mlp.3.",
}


def older_settings(content: dict[str, Any]) -> dict[str, Any]:
    old = {new: key for key, new in RENAMED_KEYS.items()}
    content = {old.get(key, key): value for key, value in content.items()}
    if "vision_config" in content:
        vision = older_settings(content["vision_config"])
        papers = {"stem": "linear", "num_concepts": 0, "concept_scale": 8.0}
        content["vision_config"] = papers | vision | {"model_type": "ct_vision_3d"}
    if "format_version" in content:
        content["format_version"] = 1
    return content


def older_tensor(name: str) -> str:
    if name.startswith("vision_tower."):
        for current, older in TENSORS.items():
            name = name.replace(current, older)
    return name


def downgrade(folder: Path) -> None:
    """Write a folder as version 1 did."""
    for name in ("config.json", "processor_config.json"):
        file = folder / name
        file.write_text(json.dumps(older_settings(json.loads(file.read_text()))))
    weights = folder / "model.safetensors"
    tensors = {older_tensor(name): tensor for name, tensor in load_file(weights).items()}
    save_file(tensors, weights, metadata={"format": "pt"})
    for new, older in RENAMED_FILES.items():
        (folder / new).rename(folder / older)


CONVOLUTION = {"stem": "convolution", "stem_channels": (4,) * 4, "stem_depths": (1,) * 4}
ENCODERS = {
    "papers": {"class_token": True, "pos_embed": "learned"},
    "linear, concepts": {"num_concepts": 3},
    "convolution": CONVOLUTION | {"num_concepts": 2, "concept_owners": [0, 0]},
}


@pytest.mark.parametrize("vision", ENCODERS.values(), ids=ENCODERS)
def test_a_folder_of_format_1_loads(tmp_path: Path, vision: dict[str, Any]) -> None:
    folder = save_tiny_model(
        tmp_path / "m",
        learned=False,
        vision_config=tiny_vision(**vision),
        perceiver_pos_embed_scale=0.5,
        unreliable_findings=["Lung nodule"],
    )
    OutOfDistributionDetector.fit(torch.rand(20, 48)).save(folder)
    current = load_assistant(folder, device="cpu")
    counted = count_folder(folder)
    names = set(load_file(folder / "model.safetensors"))
    downgrade(folder)
    text = (folder / "config.json").read_text() + (folder / "processor_config.json").read_text()
    assert '"untaught_findings": ["Lung nodule"]' in text
    assert '"num_visual_tokens": 8' in text
    assert '"visual_token": "<image>"' in text
    assert '"perceiver_position": 0.5' in text
    assert '"position": ' in text
    assert '"size": [32, 64, 64]' in text
    assert (folder / "familiarity.safetensors").is_file()
    named = load_file(folder / "model.safetensors")
    assert "vision_tower.blocks.0.attention.projection.weight" in named
    assert "vision_tower.stem.projection.weight" in named

    older = load_assistant(folder, device="cpu")
    assert older.info.unreliable_findings == current.info.unreliable_findings == ("Lung nodule",)
    assert older.processor.prefix_ids() == current.processor.prefix_ids()
    assert older.backend.ood is not None
    assert count_folder(folder) == counted
    pixels = torch.rand(1, 1, 32, 64, 64)
    with torch.no_grad():
        tokens = older.model.get_image_features(pixels)
        assert torch.equal(tokens, current.model.get_image_features(pixels))
    older.model.save_pretrained(tmp_path / "again")
    written = load_file(tmp_path / "again" / "model.safetensors")
    assert set(written) == names
    content = json.loads((tmp_path / "again" / "config.json").read_text())
    assert content["format_version"] == FORMAT_VERSION == 2
    assert content["unreliable_findings"] == ["Lung nodule"]
    assert "untaught_findings" not in content


def test_todays_settings_stay_as_they_are() -> None:
    settings = {"num_image_tokens": 8, "format_version": 2, "another": 1}
    assert upgraded(settings) == settings
    assert upgraded({"format_version": "1"}) == {"format_version": "1"}, "left to the check"
