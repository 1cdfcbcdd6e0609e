"""A folder holds the result of one recipe, and a rerun with another one is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.run import run_stage
from tests.training.toy import Toy, losses

SMALL_MAE = "mae={decoder_embed_dim: 24, decoder_depth: 1, decoder_num_heads: 2}"


def train(toy: Toy, output: Path, *more: str, restart: bool = False) -> None:
    options = [*toy.options(output, 2), toy.encoder, SMALL_MAE, *more]
    run_stage("mae", "e3d_gpt/mae", options, restart=restart)


def test_another_recipe_is_refused_with_the_difference(
    toy: Toy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "mae"
    train(toy, output)
    kept = yaml.safe_load((output / "run.yaml").read_text())
    assert kept["recipe"]["training.learning_rate"] == 1.5e-4
    assert kept["data"]
    assert set(kept["versions"]) == {"napari-ct-assistant", "torch", "transformers"}
    before = (output / "losses.json").read_bytes()
    for change, said in (
        ("training.learning_rate=0.1", r"training.learning_rate 0.00015, now 0.1"),
        ("mae.mask_ratio=0.5", r"mae.mask_ratio 0.75, now 0.5"),
        ("seed=3", "seed 0, now 3"),
    ):
        for finished in (True, False):
            (output / "done").unlink(missing_ok=True)
            if finished:
                (output / "done").write_text("1 s\n")
            with pytest.raises(RecipeError, match=f"holds a run of another recipe .{said}"):
                train(toy, output, change)
    assert (output / "losses.json").read_bytes() == before
    (output / "done").write_text("1 s\n")
    capsys.readouterr()
    train(toy, output, "training.save_minutes=1", "training.keep_checkpoints=7")
    assert "already finished" in capsys.readouterr().out
    (output / "mine.txt").write_text("kept")
    train(toy, output, "training.learning_rate=0.1", restart=True)
    assert (output / "losses.json").read_bytes() != before
    assert len(losses(output)) == 2
    assert (output / "mine.txt").read_text() == "kept"


def test_other_reports_of_the_same_file_are_refused(toy: Toy, tmp_path: Path) -> None:
    output = tmp_path / "mae"
    train(toy, output)
    table = toy.folder / "scans.csv"
    text = table.read_text()
    table.write_text(text.replace("heart", "liver"))
    with pytest.raises(RecipeError, match="the scans, reports or questions of data have changed"):
        train(toy, output)
    table.write_text(text)
    train(toy, output)
