"""The stages run on each data set in its published layout, at toy size."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from napari_ct_assistant.cli import app
from napari_ct_assistant.model import VolumeLanguageModel
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.load import load_recipe
from napari_ct_assistant.training.data.leaks import FILE, LeakError, Seen
from napari_ct_assistant.training.run import run_stage
from tests.tiny_model import tiny_model
from tests.training.data.datasets import layouts

SPACING = [10.0, 6.0, 6.0]
ENCODER = {
    "preset": "demo",
    "changes": {
        "image_size": [32, 64, 64],
        "hidden_size": 24,
        "num_hidden_layers": 1,
        "stem": "linear",
    },
}
DATA: dict[str, Callable[[Path], dict[str, Any]]] = {
    "ct_rate": lambda root: {"root": layouts.write_ct_rate(root), "spacing": SPACING},
    "ct_rate v1": lambda root: {
        "root": layouts.write_ct_rate(root, version="original"),
        "version": "original",
        "spacing": SPACING,
    },
    "bimcv_r": lambda root: {
        "root": layouts.write_bimcv_r(root),
        "split": "all",
        "unreadable": "skip",
    },
    "amos_mm": lambda root: {"root": layouts.write_amos_mm(root), "preparation": "minmax"},
    "m3d_cap": lambda root: {"root": layouts.write_m3d(root), "vqa": root / "M3D_VQA_train.csv"},
    "m3d_vqa": lambda root: {"root": layouts.write_m3d(root), "table": root / "M3D_VQA_train.csv"},
}


def recipe_for(folder: Path, stage: str, data: dict[str, Any], **more: Any) -> Path:
    """A recipe of two samples."""
    values = {
        "stage": stage,
        "root": str(folder),
        "output": stage,
        "data": {**data, "store": "store"},
        "training": {"samples": 2, "learning_rate": 1e-3, "log_steps": 1},
        **more,
    }
    file = folder / f"{stage}.yaml"
    file.write_text(yaml.safe_dump(json.loads(json.dumps(values, default=str))))
    return file


@pytest.mark.parametrize("name", DATA)
def test_mae(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    data = {"kind": name.split()[0], **DATA[name](tmp_path / "data")}
    run_stage("mae", recipe_for(tmp_path, "mae", data, encoder=ENCODER))
    losses = json.loads((tmp_path / "mae" / "losses.json").read_text())
    assert losses
    assert all(row["loss"] > 0 for row in losses)
    seen = Seen.read(tmp_path / "mae")
    assert seen.patients
    assert seen.scans
    if name == "bimcv_r":
        # Ten of its twelve files are empty: skipped, counted and listed.
        listed = tmp_path / "store" / "skipped.csv"
        assert len(listed.read_text().splitlines()) == 11
        assert f"skipped 10 scan(s), listed in {listed}" in capsys.readouterr().out


@pytest.fixture(scope="module")
def language_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny causal language model with its tokenizer."""
    folder = tmp_path_factory.mktemp("language")
    model, processor = tiny_model()
    model.language_model.save_pretrained(folder)
    processor.tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("name", ["ct_rate", "amos_mm", "m3d_cap"])
def test_align_and_instruct(tmp_path: Path, name: str, language_model: Path) -> None:
    data = {"kind": name, **DATA[name](tmp_path / "data")}
    common: dict[str, Any] = {"conversation": {"questions": 4, "max_length": 200}}
    align = recipe_for(tmp_path, "align", data, encoder=ENCODER, model=language_model, **common)
    run_stage("align", align)
    lora = {"r": 2, "alpha": 4}
    common["conversation"] = {"questions": 4, "max_length": 200, "packed": False}
    run_stage(
        "instruct", recipe_for(tmp_path, "instruct", data, model="align", lora=lora, **common)
    )
    assert VolumeLanguageModel.from_pretrained(tmp_path / "instruct").num_image_tokens > 0
    assert Seen.read(tmp_path / "instruct") == Seen.read(tmp_path / "align")


def test_held_out_data_in_the_training_data_is_refused(tmp_path: Path) -> None:
    root = layouts.write_ct_rate(tmp_path / "data")
    data = {"kind": "ct_rate", "root": root, "spacing": SPACING}
    held_out = [{**data, "store": "store", "split": "validation"}]
    good = recipe_for(tmp_path, "mae", data, encoder=ENCODER, held_out=held_out)
    same = recipe_for(
        tmp_path, "mae", data, encoder=ENCODER, held_out=[{**data, "store": "store"}], output="x"
    )
    with pytest.raises(LeakError, match=r"x and the held-out data share 2 patient\(s\)"):
        run_stage("mae", same)
    assert not (tmp_path / "store" / "volumes").exists(), "refused before anything was prepared"
    # A validation scan that is a training scan under another name.
    folder = root / "dataset"
    scan = folder / "train_fixed/train_1/train_1_a/train_1_a_2.nii.gz"
    copy = folder / "valid_fixed/valid_1/valid_1_a/valid_1_a_1.nii.gz"
    true = copy.read_bytes()
    copy.write_bytes(scan.read_bytes())
    good = recipe_for(tmp_path, "mae", data, encoder=ENCODER, held_out=held_out)
    with pytest.raises(LeakError, match=r"share 1 scan.*voxel for voxel, first .* valid_1_a_1"):
        run_stage("mae", good)
    assert not (tmp_path / "mae" / FILE).exists()
    copy.write_bytes(true)
    store = [str(p) for p in (tmp_path / "store" / "volumes").rglob("*.b2nd")]
    done = CliRunner().invoke(
        app, ["prepare", str(good), "data.split=validation", "--verify", "--json"]
    )
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["volumes"], told["verified"], told["skipped"]) == (1, 1, {})
    assert "1 scan(s) have changed since they were prepared, and are prepared again" in done.stderr
    assert len(store) == 4
    run_stage("mae", good)
    assert len(Seen.read(tmp_path / "mae").scans) == 3


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"kind": "ct_rate"}, "data.root is missing"),
        (
            {"kind": "ct_rate", "root": "x", "version": "v3"},
            "data.version: .*'fixed' or 'original'",
        ),
        ({"kind": "table", "table": "x", "held_out": 2}, "data.held_out: .*got 2"),
        ({"kind": "m3d_cap", "root": "x", "preparation": "spacing"}, "data.preparation: .*minmax"),
        ({"kind": "mr"}, "data: .*'ct_rate'"),
    ],
)
def test_an_error_in_data_names_its_line(
    tmp_path: Path, data: dict[str, Any], message: str
) -> None:
    with pytest.raises(RecipeError, match=rf"mae\.yaml line \d+: {message}"):
        load_recipe(recipe_for(tmp_path, "mae", data, encoder=ENCODER))
