"""What every stage writes has a model card, and can be published."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from napari_ct_assistant.assistant.models.upload import plan_upload
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.training.release.measured import add_figures
from napari_ct_assistant.training.run import run_stage
from tests.training.toy import Toy

SMALL_MAE = "mae={decoder_embed_dim: 24, decoder_depth: 1, decoder_num_heads: 2}"


@pytest.fixture(scope="module")
def runs(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run three stages, each from the one before, and one on text."""
    root = tmp_path_factory.mktemp("runs")
    stages = {
        "mae": [toy.encoder, SMALL_MAE],
        "align": [f"encoder={{start: {root / 'mae'}}}", f"model={toy.folder / 'llm'}"],
        "instruct": [f"model={root / 'align'}", "lora={r: 2, alpha: 4}"],
    }
    for stage, start in stages.items():
        options = [*toy.options(root / stage, 4), *start, "validation.share=0.5"]
        run_stage(stage, f"e3d_gpt/{stage}", options)
    language = ["training.samples=4", "training.batch_size=2", "language.texts=20"]
    run_stage("language", "demo/language", [*language, f"output={root / 'language'}"])
    return root


def card_of(folder: Path) -> str:
    return (folder / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("stage", ["mae", "align", "instruct", "language"])
def test_every_stage_can_be_published(runs: Path, stage: str) -> None:
    plan = plan_upload(runs / stage, "owner/name")
    assert {"README.md", "config.json", "model.safetensors", "losses.png"} <= set(plan.files)
    assert {"run.yaml", "done"} <= set(plan.left_out)
    # Hashes of patients: short patient numbers can be guessed from them.
    assert "training_data.json" not in plan.files
    card = card_of(runs / stage)
    head = re.match(r"---\n(.*?)\n---\n", card, re.DOTALL)
    assert head is not None
    assert "library_name: napari-ct-assistant" in head[1]
    assert re.search(r"^license: \S+$", head[1], re.MULTILINE)
    assert "Not for clinical use." in card
    assert f"| trained by | stage `{stage}`" in card
    assert re.search(r"^\| code \| napari-ct-assistant \S+", card, re.MULTILINE)
    assert "![Training and validation loss](losses.png)" in card
    assert "training.learning_rate: " in card


def test_the_card_has_the_data_and_the_losses(runs: Path) -> None:
    card = card_of(runs / "instruct")
    assert "| training data | the scans of a table |" in card
    assert "| scans | 1, and 1 for the validation loss |" in card
    assert (
        "| licence of the scans of a table | for you to state: these are your own scans |" in card
    )
    assert "| table | report | 4 | 100.0% |" in card
    found = json.loads((runs / "instruct" / "validation.json").read_text())
    losses = {row["step"]: row["loss"] for row in found["losses"]}
    kept = found["kept_step"]
    assert f"| validation loss of these weights | {losses[kept]:.4f}, at step {kept} |" in card


def test_no_path_of_this_computer_is_in_the_card(runs: Path, toy: Toy) -> None:
    for stage in ("mae", "align", "instruct"):
        card = card_of(runs / stage)
        for folder in (runs, toy.folder):
            assert str(folder) not in card


def test_what_the_encoder_was_trained_on_stays_known(runs: Path, tmp_path: Path, toy: Toy) -> None:
    """The encoder saw a table; stage align sees phantoms."""
    record = runs / "mae" / "run.yaml"
    assert "trained_on: the scans of a table" in record.read_text()
    config = json.loads((runs / "instruct" / "config.json").read_text())
    assert config["trained_on"] == "the scans of a table"


def test_figures_are_added_to_the_card_and_replaced(runs: Path, tmp_path: Path) -> None:
    folder = runs / "align"
    assert "Not evaluated yet." in card_of(folder)
    assert add_figures(folder, "CT-RATE, validation", "BACC 0.61\n\n| a |\n| --- |")
    assert add_figures(folder, "phantoms", "AUROC 0.70")
    assert add_figures(folder, "CT-RATE, validation", "BACC 0.63")
    card = card_of(folder)
    assert card.count("### CT-RATE, validation\n\nBACC 0.63\n") == 1
    assert card.count("### phantoms\n\nAUROC 0.70\n") == 1
    assert "0.61" not in card
    assert "Not evaluated yet." not in card
    assert "## Questions of the training" in card, "what follows stays"
    assert not add_figures(tmp_path, "x", "y"), "a folder that no stage has written"


def test_a_foreign_folder_is_refused_as_before(runs: Path, tmp_path: Path) -> None:
    for file in (runs / "mae").iterdir():
        if file.is_file() and file.name != "run.yaml":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(ModelLoadError, match="model_type 'ct_vision_3d', expected"):
        plan_upload(tmp_path, "owner/name")
