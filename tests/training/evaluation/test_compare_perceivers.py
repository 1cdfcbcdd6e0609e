"""`ct-assistant compare`: seven perceivers trained alike on two small scans, and their table."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from typer.testing import CliRunner

from napari_ct_assistant.cli import app
from napari_ct_assistant.model.modeling import VolumeLanguageModel
from napari_ct_assistant.model.perceivers import PERCEIVERS
from napari_ct_assistant.training.evaluation.perceiver_table import tabulate
from napari_ct_assistant.volume import CTVolume
from tests.tiny_model import save_tiny_model

run = CliRunner().invoke


@pytest.fixture(scope="module")
def compared(
    small_volume: CTVolume, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[str]]:
    """Compare on two small scans; trained on reports of two others, asked two questions."""
    root = tmp_path_factory.mktemp("compared")
    start = save_tiny_model(root / "tiny", learned=False)
    for i in range(4):
        data = small_volume.hu.transpose(2, 1, 0)[:, ::-1, ::-1] + i
        image = nib.Nifti1Image(np.ascontiguousarray(data), np.diag([6, 5, 8, 1]))
        nib.save(image, root / f"{i}.nii.gz")
    (root / "train.csv").write_text("image,report\n0.nii.gz,A nodule.\n1.nii.gz,Nothing.\n")
    (root / "test.csv").write_text(
        # Not the scans that it is trained on: those are refused.
        "image,question,answer,choices\n2.nii.gz,Which side?,left,left|right\n"
        "3.nii.gz,What is seen?,a nodule,\n"
    )
    command = ["compare", "perceivers/instruct", f"root={root}", "conversation.report=true"]
    command += [
        f"data={{kind: table, table: {root / 'train.csv'}, spacing: [10, 6, 6], split: all}}"
    ]
    command += ["training.samples=2", "training.batch_size=1", "--max-new-tokens", "6"]
    command += ["--from", str(start), "--test", str(root / "test.csv"), "--device", "cpu"]
    command += ["--task", "choice", "--task", "vqa", "--out", str(root / "out")]
    done = run(app, command)
    assert done.exit_code == 0, done.output
    assert "# Perceivers on test.csv" in done.stdout
    assert "train_loss" not in done.stdout
    return root / "out", command


def test_all_seven_are_trained_and_tabulated(compared: tuple[Path, list[str]]) -> None:
    out, _ = compared
    with (out / "perceivers.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert {row["perceiver"] for row in rows} == set(PERCEIVERS)
    metrics = {row["metric"] for row in rows}
    assert {"BLEU-1", "ROUGE-1", "METEOR", "multiple choice"} == metrics
    assert all(row["seeds"] == "1" for row in rows)
    assert all(0 <= float(row["value"]) <= 100 for row in rows)
    assert all(row["low"] == "" for row in rows), "two patients have no interval"
    for row in rows:
        if row["perceiver"] != "convolution":
            theirs = next(
                r for r in rows if r["perceiver"] == "convolution" and r["metric"] == row["metric"]
            )
            gain = float(row["value"]) - float(theirs["value"])
            assert float(row["gain"]) == pytest.approx(gain, abs=1e-6)
    table = (out / "perceivers.md").read_text()
    assert all(f"| {name} | " in table for name in PERCEIVERS)
    for name in ("convolution", "max_pooling"):
        model = VolumeLanguageModel.from_pretrained(out / f"{name}-0" / "instruct")
        assert model.config.perceiver == name
        size = sum(p.numel() for p in model.projector.parameters())
        assert {int(r["parameters"]) for r in rows if r["perceiver"] == name} == {size}


def test_runs_share_everything_but_the_perceiver(compared: tuple[Path, list[str]]) -> None:
    out, _ = compared
    one, two = (
        VolumeLanguageModel.from_pretrained(out / f"{name}-0" / "instruct").state_dict()
        for name in ("convolution", "mlp_mixer")
    )
    encoder = [name for name in one if name.startswith("vision_tower.")]
    assert encoder
    assert all((one[name] == two[name]).all() for name in encoder)


def test_a_comparison_goes_on(compared: tuple[Path, list[str]]) -> None:
    out, command = compared
    before = (out / "perceivers.md").read_text()
    kept = (out / "convolution-0" / "instruct" / "model.safetensors").stat().st_mtime_ns
    (out / "max_pooling-0" / "draws.json").unlink()
    done = run(app, command)
    assert done.exit_code == 0, done.output
    assert "already finished" in done.stderr
    assert (out / "perceivers.md").read_text() == before
    assert (out / "convolution-0" / "instruct" / "model.safetensors").stat().st_mtime_ns == kept
    other = run(app, [*command, "training.samples=3"])
    assert other.exit_code == 1
    assert "holds a comparison with other overrides" in other.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["demo/mae"], "stage mae joins no encoder, perceiver and language model"),
        (["perceivers/instruct", "colour=red"], "colour"),
        (["perceivers/instruct", "--perceiver", "cubist"], "--perceiver cubist: choose from"),
        (["perceivers/instruct", "--task", "art"], "--task art: choose from"),
        (["a", "b", "c"], "takes one recipe, or align and instruct; got 3"),
    ],
)
def test_bad_input_gets_one_line(arguments: list[str], said: str, tmp_path: Path) -> None:
    done = run(app, ["compare", *arguments, "--test", "phantoms:0:1", "-o", str(tmp_path / "out")])
    assert done.exit_code == 1, done.output
    assert said in done.stderr.splitlines()[-1]


def test_seeds_are_averaged_and_gains_are_paired(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    patient = rng.normal(0, 10, 1000)  # hard patients are hard for both

    def keep(kind: str, seed: int, value: float) -> None:
        folder = tmp_path / f"{kind}-{seed}"
        folder.mkdir()
        one = {"value": value, "draws": list(value + patient), "items": 40, "patients": 20}
        figures = {"BLEU-1": {**one, "implementation": "by hand"}}
        (folder / "draws.json").write_text(json.dumps({"parameters": 7, "figures": figures}))

    for seed, (a, b) in enumerate([(40.0, 42.0), (44.0, 43.0)]):
        keep("convolution", seed, a)
        keep("max_pooling", seed, b)
    first, second = tabulate(tmp_path, ["convolution", "max_pooling"], seeds=2)
    assert (first.value, first.seed_low, first.seed_high, first.seeds) == (42, 40, 44, 2)
    assert math.isnan(first.gain)
    assert second.value == 42.5
    assert second.high - second.low > 30
    # What both share cancels: the gain is certain where each figure alone is not.
    assert (second.gain, second.gain_low, second.gain_high) == pytest.approx((0.5, 0.5, 0.5))
