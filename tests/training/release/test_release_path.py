"""The last step of `train demo`, run as a whole: bundle, audit and model card.

The stages count as finished, and the last one's folder holds the bundled demonstration model, so
that nothing has to be trained and what the released model says is known.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from napari_ct_assistant.assistant import Assistant, load_assistant
from napari_ct_assistant.assistant.models.loading import find_model
from napari_ct_assistant.backends.ood import OutOfDistributionDetector
from napari_ct_assistant.cli import app
from napari_ct_assistant.model.modeling import VolumeLanguageModel
from napari_ct_assistant.model.processor import VolumeLanguageProcessor
from napari_ct_assistant.phantoms import draw_truth, make_phantom
from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.training.config.bundled import bundled_chain
from napari_ct_assistant.training.config.load import load_recipe
from napari_ct_assistant.training.data.stores import fill_store, open_store
from napari_ct_assistant.training.release import bundle

GOLDEN = Path(__file__).parent / "card_of_two_phantoms.md"
run = CliRunner().invoke


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run `train demo` on finished stages and return the folder of the released model."""
    root = tmp_path_factory.mktemp("chain")
    overrides = [f"root={root}", "data.first_seed=1000000", "data.count=3"]
    recipes = [load_recipe(f"demo/{step.name}", overrides) for step in bundled_chain().steps]
    for number, recipe in enumerate(recipes, start=1):
        recipe.folder.mkdir()
        (recipe.folder / "done").write_text(f"{60 * number} s\n")
    last = recipes[-1]
    demo = find_model("demo")
    VolumeLanguageModel.from_pretrained(demo).float().save_pretrained(last.folder)
    VolumeLanguageProcessor.from_pretrained(demo).save_pretrained(last.folder)
    fill_store(open_store(last))
    (root / "model").mkdir()
    (root / "model" / "of_an_earlier_run.txt").write_text("")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundle, "SELECTION_SEEDS", range(500_000, 500_002))
        done = run(app, ["train", "demo", *overrides])
    assert done.exit_code == 0, done.output
    assert done.stdout.count("already finished") == len(recipes)
    assert f"{root / 'model'}: written" in done.stdout
    return root / "model"


@pytest.fixture(scope="module")
def demo() -> Assistant:
    return load_assistant("demo", device="cpu")


def test_the_released_folder_is_complete(released: Path) -> None:
    assert {file.name for file in released.iterdir()} == {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "ood.safetensors",
        "processor_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "training.json",
    }
    assert not [f for f in released.parent.iterdir() if f.name.startswith(".")], "work folder"
    weights = load_file(released / "model.safetensors")
    assert {w.dtype for w in weights.values() if w.is_floating_point()} == {torch.float16}
    for file in released.glob("*.json"):
        assert str(released.parent) not in file.read_text(), f"{file.name}: path of this machine"


def test_what_it_was_made_from_is_written_down(released: Path) -> None:
    facts = json.loads((released / "training.json").read_text())
    assert facts["command"] == "ct-assistant train demo"
    assert facts["data"] == "phantoms 1000000:1000003"
    assert facts["seed"] == 0
    assert list(facts["seconds"].values()) == [60 * (n + 1) for n in range(len(facts["seconds"]))]
    assert len(facts["seconds"]) == len(bundled_chain().steps)


def test_the_released_model_says_the_same_word_for_word(released: Path, demo: Assistant) -> None:
    volume = make_phantom(3).volume
    ours = load_assistant(released, device="cpu").read(volume)
    theirs = demo.read(volume)
    assert ours.draft_report(evidence=False).text == theirs.draft_report(evidence=False).text
    assert [row.probability for row in ours.screen()] == [r.probability for r in theirs.screen()]


def test_the_detector_knows_the_training_scans_and_no_others(
    released: Path, demo: Assistant
) -> None:
    detector = OutOfDistributionDetector.load(released)
    assert detector is not None
    trained = make_phantom(1_000_000, resolution="model").volume
    air = replace(trained, hu=np.full_like(trained.hu, -1000))
    assert detector.distance(demo.read(trained).vision_tokens[0]) < 1
    assert detector.distance(demo.read(air).vision_tokens[0]) > 1


def test_two_phantoms_are_too_few_to_call_a_finding_reliable(released: Path) -> None:
    config = json.loads((released / "config.json").read_text())
    assert config["unreliable_findings"] == list(FINDINGS)
    # A threshold where one of the two phantoms has the finding and the other has not.
    labels = [draw_truth(seed).labels for seed in (500_000, 500_001)]
    differ = {name for name in FINDINGS if labels[0][name] != labels[1][name]}
    assert config["finding_thresholds"].keys() == differ
    assert differ


def test_the_audit_writes_the_model_card(released: Path, tmp_path: Path) -> None:
    card = tmp_path / "README.md"
    command = ["audit", str(released), "--seeds", "0:2", "--device", "cpu", "--json"]
    done = run(app, [*command, "--card", str(card)])
    assert done.exit_code == 0, done.output
    assert "phantom 2 of 2" in done.stderr
    found = json.loads(done.stdout)
    assert found["seeds"] == [0, 2]
    assert [row["name"] for row in found["screen"]] == list(FINDINGS)
    labels = [draw_truth(seed).labels for seed in (0, 1)]
    assert [row["positives"] for row in found["screen"]] == [
        labels[0][name] + labels[1][name] for name in FINDINGS
    ]
    assert all(row["auroc_95"] == [None, None] for row in found["screen"]), "two patients"
    assert 0 <= found["report_f1"] <= 1
    assert found["model"]["name"] == released.name
    assert masked(card.read_text()) == masked(GOLDEN.read_text())


def masked(card: str) -> str:
    """Return a card with its figures as "#": machines differ in the last digit of some."""
    return re.sub(r"\d[\d,.]*", "#", card)
