"""Every stage runs on phantoms and writes what the next one reads; the last writes a model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from napari_ct_assistant import load_assistant
from napari_ct_assistant.model import VolumeLanguageModel
from napari_ct_assistant.model.encoders import load_encoder
from napari_ct_assistant.phantoms import make_phantom
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.run import run_stage

SMALL_ENCODER = "{preset: demo, changes: {hidden_size: 24, num_hidden_layers: 1, stem: linear}}"
COMMON = [
    "data.first_seed=1000000",
    "data.count=2",
    "training.batch_size=2",
    "training.log_steps=1",
]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return VolumeLanguageModel.from_pretrained(folder).state_dict()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the chain of the demonstration model at toy size, up to `align`."""
    root = tmp_path_factory.mktemp("runs")
    common = [f"root={root}", *COMMON]
    run_stage("mae", "demo/mae", [*common, "training.samples=4", f"encoder={SMALL_ENCODER}"])
    run_stage("ground", "demo/ground_crops", [*common, "training.samples=8"])
    run_stage("ground", "demo/ground_details", [*common, "training.samples=8"])
    run_stage("ground", "demo/ground", [*common, "training.samples=2", "ground.operating_points=1"])
    run_stage("language", "demo/language", [*common, "training.samples=8", "language.texts=40"])
    run_stage("language", "demo/language_scattered", [*common, "training.samples=2"])
    run_stage(
        "oracle_maps",
        "demo/oracle_maps",
        [*common, "training.samples=4", f"encoder={SMALL_ENCODER}"],
    )
    run_stage("language", "demo/language_summing", [*common, "training.samples=8"])
    run_stage("align", "demo/align", [*common, "training.samples=4"])
    return root


def test_stages_write_their_losses(runs: Path) -> None:
    for stage in (
        "1-mae",
        "2-ground-crops",
        "3-ground-details",
        "4-ground",
        "6-language-scattered",
        "7-oracle-maps",
        "8-language-summing",
        "9-align",
    ):
        losses = json.loads((runs / stage / "losses.json").read_text())
        assert losses, stage
        assert all(row["loss"] > 0 for row in losses)
        assert not (runs / stage / "checkpoints").exists()


def test_ground_changes_the_encoder_and_align_does_not(runs: Path) -> None:
    mae = load_encoder(runs / "1-mae").state_dict()
    ground = load_encoder(runs / "4-ground").state_dict()
    assert any(not torch.equal(mae[k], ground[k]) for k in mae if k.startswith("patch_embed"))
    assert len(ground["concepts.bias"]) > len(mae["concepts.bias"]) == 18
    aligned = weights(runs / "9-align")
    for name, tensor in ground.items():
        assert torch.equal(tensor, aligned[f"vision_tower.{name}"]), name


def test_text_trains_the_language_model_of_a_whole_model(runs: Path) -> None:
    before, after = weights(runs / "7-oracle-maps"), weights(runs / "8-language-summing")
    assert before.keys() == after.keys()
    changed = {k.split(".")[0] for k in before if not torch.equal(before[k], after[k])}
    assert changed == {"language_model"}
    asked = json.loads((runs / "8-language-summing" / "processor_config.json").read_text())
    assert list(asked["report_questions"]) == ["Findings", "Impression"]


def test_a_finished_stage_is_kept(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (runs / "9-align" / "model.safetensors").read_bytes()
    run_stage("align", "demo/align", [f"root={runs}", *COMMON, "training.samples=4"])
    assert "already finished" in capsys.readouterr().out
    assert (runs / "9-align" / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize("lora", [None, "{r: 4, alpha: 8, dropout: 0.1}"])
def test_instruct_trains_the_language_side_only(
    runs: Path, tmp_path: Path, lora: str | None
) -> None:
    output = tmp_path / "out"
    options = [f"root={runs}", f"output={output}", *COMMON, "training.samples=4"]
    # Once from cached tokens, once from voxels.
    options.append(f"conversation.cache_tokens={'false' if lora else 'true'}")
    run_stage("instruct", "demo/instruct", options + ([f"lora={lora}"] if lora else []))
    before, after = weights(runs / "9-align"), weights(output)
    assert before.keys() == after.keys()
    changed = {k for k in before if not torch.equal(before[k], after[k])}
    assert {k.split(".")[0] for k in changed} == {"projector", "language_model"}
    if lora:
        # LoRA leaves norms and embeddings as they are; its weights are merged into linear layers.
        assert all("proj" in k for k in changed)
        reading = load_assistant(output, device="cpu").read(make_phantom(3).volume)
        assert len(reading.screen()) == 18


def test_a_missing_predecessor_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="not there; run the stage that writes it first"):
        run_stage("ground", "demo/ground", [f"root={tmp_path}", *COMMON])
    assert not (tmp_path / "phantoms").exists()
