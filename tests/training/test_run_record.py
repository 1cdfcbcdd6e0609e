"""A folder holds the result of one recipe, and a rerun with another one is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.run import run_stage
from napari_ct_assistant.volume import CTVolume, write_nifti
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
    assert kept["data"]["table"]["scans"] == 2
    assert {"python", "napari-ct-assistant", "torch", "transformers", "peft"} <= set(
        kept["versions"]
    )
    assert "commit" in kept
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
    with pytest.raises(
        RecipeError, match="data table: its list of scans, reports or questions has changed"
    ):
        train(toy, output)
    table.write_text(text)
    train(toy, output)


def test_a_scan_with_other_voxels_is_refused(
    toy: Toy, tmp_path: Path, small_volume: CTVolume
) -> None:
    """Also under its old name; it is prepared again first, since its file has changed."""
    for number in range(2):
        shutil.copy(toy.folder / f"{number}.nii.gz", tmp_path / f"{number}.nii.gz")
    shutil.copy(toy.folder / "scans.csv", tmp_path / "scans.csv")
    output = tmp_path / "mae"
    data = toy.data(table=str(tmp_path / "scans.csv"), store=str(tmp_path / "store"))
    train(toy, output, data)
    train(toy, output, data)  # finished, and the same
    (output / "done").unlink()
    other = CTVolume(hu=small_volume.hu - 60, affine=small_volume.affine, series="toy")
    write_nifti(other, tmp_path / "0.nii.gz")
    with pytest.raises(RecipeError, match="data table: one of its scans has changed"):
        train(toy, output, data)
    train(toy, output, data, restart=True)


def test_a_run_goes_on_in_the_precision_it_was_begun_in(toy: Toy, tmp_path: Path) -> None:
    output = tmp_path / "mae"
    train(toy, output, "training.precision=bf16")
    (output / "done").unlink()
    train(toy, output, "training.precision=auto")
    kept = yaml.safe_load((output / "run.yaml").read_text())["recipe"]
    assert kept["training.precision"] == "bf16"


def test_a_run_that_left_nothing_need_not_be_removed(toy: Toy, tmp_path: Path) -> None:
    output = tmp_path / "mae"
    train(toy, output)
    for file in output.iterdir():
        if file.name != "run.yaml":
            file.unlink()
    train(toy, output, "training.learning_rate=0.1")
    kept = yaml.safe_load((output / "run.yaml").read_text())["recipe"]
    assert kept["training.learning_rate"] == 0.1
