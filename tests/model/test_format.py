"""Folders of format 1 are read: old keys, old file names."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from napari_ct_assistant import load_assistant
from napari_ct_assistant.assistant.models.sizes import count_folder
from napari_ct_assistant.assistant.reading.ood import OutOfDistributionDetector
from napari_ct_assistant.model.format import FORMAT_VERSION, RENAMED_FILES, RENAMED_KEYS, upgraded
from tests.tiny_model import save_tiny_model


def downgrade(folder: Path) -> None:
    """Write a folder as version 1 did."""
    old = {new: key for key, new in RENAMED_KEYS.items()}
    for name in ("config.json", "processor_config.json"):
        file = folder / name
        content = json.loads(file.read_text())
        content = {old.get(key, key): value for key, value in content.items()}
        if "format_version" in content:
            content["format_version"] = 1
        file.write_text(json.dumps(content))
    for new, older in RENAMED_FILES.items():
        (folder / new).rename(folder / older)


def test_a_folder_of_format_1_loads(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path / "m", learned=False, unreliable_findings=["Lung nodule"])
    OutOfDistributionDetector.fit(torch.rand(20, 48)).save(folder)
    current = load_assistant(folder, device="cpu")
    counted = count_folder(folder)
    downgrade(folder)
    text = (folder / "config.json").read_text() + (folder / "processor_config.json").read_text()
    assert '"untaught_findings": ["Lung nodule"]' in text
    assert '"num_visual_tokens": 8' in text
    assert '"visual_token": "<image>"' in text
    assert (folder / "familiarity.safetensors").is_file()

    older = load_assistant(folder, device="cpu")
    assert older.info.unreliable_findings == current.info.unreliable_findings == ("Lung nodule",)
    assert older.processor.prefix_ids() == current.processor.prefix_ids()
    assert older.familiarity is not None
    assert count_folder(folder) == counted
    assert older.model is not None
    older.model.config.save_pretrained(tmp_path / "again")
    content = json.loads((tmp_path / "again" / "config.json").read_text())
    assert content["format_version"] == FORMAT_VERSION == 2
    assert content["unreliable_findings"] == ["Lung nodule"]
    assert "untaught_findings" not in content


def test_todays_settings_stay_as_they_are() -> None:
    settings = {"num_image_tokens": 8, "format_version": 2, "another": 1}
    assert upgraded(settings) == settings
    assert upgraded({"format_version": "1"}) == {"format_version": "1"}, "left to the check"
