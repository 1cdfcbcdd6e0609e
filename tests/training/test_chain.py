"""The whole chain of the demonstration model at toy size, both branches at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from napari_ct_assistant.model import VolumeLanguageModel
from napari_ct_assistant.training import chain
from napari_ct_assistant.training.config.bundled import bundled_chain
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.load import load_recipe
from napari_ct_assistant.training.release import bundle

SHORT = [
    "data.first_seed=1000000",
    "data.count=3",
    "ground.operating_points=1",
    "language.texts=40",
    "training.samples=2",
    "training.batch_size=1",
    "training.log_steps=1",
]


@pytest.mark.slow
@pytest.mark.timeout(900)  # takes minutes beside other work
def test_the_chain_makes_a_model_and_continues_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    # One of the 120 phantoms that thresholds are chosen on: test_release_path does more with it.
    monkeypatch.setattr(bundle, "SELECTION_SEEDS", range(500_000, 500_001))
    chain.run_chain([f"root={tmp_path}", *SHORT])
    folders = [tmp_path / load_recipe(f"demo/{step.name}").output for step in bundled_chain().steps]
    assert all((folder / "done").exists() for folder in folders)
    facts = json.loads((tmp_path / "model" / "training.json").read_text())
    assert facts["data"] == "phantoms 1000000:1000003"
    assert list(facts["seconds"]) == [folder.name for folder in folders]
    released = VolumeLanguageModel.from_pretrained(tmp_path / "model").state_dict()
    model = VolumeLanguageModel.from_pretrained(folders[-1])
    assert all(torch.equal(w.half(), released[name]) for name, w in model.state_dict().items())
    assert model.config.vision_config.concept_owners, "the encoder of the other branch is in it"
    asked = json.loads((folders[-1] / "processor_config.json").read_text())["report_questions"]
    assert list(asked) == ["Findings", "Impression"]
    capfd.readouterr()
    (folders[-1] / "done").unlink()
    chain.run_chain([f"root={tmp_path}", *SHORT])
    said = capfd.readouterr().out
    assert said.count("already finished") == len(folders) - 1
    assert "11-instruct-again: finished in" in said


def test_the_chain_is_checked_whole_first(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"training\.sample: unknown key"):
        chain.run_chain([f"root={tmp_path}", "training.sample=3"])
    own = "data={kind: table, table: scans.csv, masks: {concepts: {Lung nodule: 1}}}"
    with pytest.raises(RecipeError, match=r"data\.kind table: the demonstration model"):
        chain.run_chain([f"root={tmp_path}", own])
    assert not list(tmp_path.iterdir())
