"""The recipes of docs/your-hospital.md start from released models, also in half precision."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

from napari_ct_assistant.model import VolumeLanguageModel
from napari_ct_assistant.training.run import run_stage
from tests.training.toy import Toy


def released(toy: Toy, folder: Path) -> Path:
    """Return the toy model as it would be published: in float16."""
    shutil.copytree(toy.folder / "vlm", folder)
    model = VolumeLanguageModel.from_pretrained(folder)
    model.config.finding_thresholds = {"Emphysema": 0.02}
    model.config.unreliable_findings = ["Lung nodule"]
    model.half().save_pretrained(folder)
    assert VolumeLanguageModel.from_pretrained(folder).dtype == torch.float16
    return folder


def settings(toy: Toy, output: Path) -> list[str]:
    """Return the toy's settings for a recipe that counts in epochs."""
    return [o for o in toy.options(output, 2) if not o.startswith("training.samples")]


def test_a_half_precision_model_is_adapted_in_float32(toy: Toy, tmp_path: Path) -> None:
    start = released(toy, tmp_path / "released")
    own = [f"model={start}", "training.epochs=1", "training.learning_rate=1e-2"]
    run_stage("instruct", "your_hospital/adapt", [*settings(toy, tmp_path / "adapt"), *own])
    before = VolumeLanguageModel.from_pretrained(start).state_dict()
    adapted = VolumeLanguageModel.from_pretrained(tmp_path / "adapt")
    after = adapted.state_dict()
    changed = {k.split(".")[0] for k, v in after.items() if not torch.equal(v, before[k].float())}
    assert changed == {"projector", "language_model"}
    assert {v.dtype for v in after.values()} == {torch.float32}
    # Thresholds belong to the weights that they were measured with.
    assert adapted.config.finding_thresholds == {}
    assert adapted.config.unreliable_findings == ["Lung nodule"]


def test_only_the_encoder_of_a_released_model_is_kept(toy: Toy, tmp_path: Path) -> None:
    start = released(toy, tmp_path / "released")
    own = [f"encoder.start={start}", f"model={toy.folder / 'llm'}", "training.epochs=1"]
    run_stage("align", "your_hospital/align", [*settings(toy, tmp_path / "align"), *own])
    before = VolumeLanguageModel.from_pretrained(start)
    after = VolumeLanguageModel.from_pretrained(tmp_path / "align")
    tower = after.vision_tower.state_dict()
    for name, value in before.vision_tower.state_dict().items():
        assert torch.equal(tower[name], value.float())
    # The language model is the other one, and the perceiver is new.
    kept = before.projector.state_dict()
    assert any(not torch.equal(v, kept[k].float()) for k, v in after.projector.state_dict().items())
