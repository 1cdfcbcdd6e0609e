"""`report`, `ask` and `screen` with a model that reads a part of the scan and that reasons."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from napari_ct_assistant.backends.nv_reason_ct import processor
from napari_ct_assistant.backends.nv_reason_ct.conversation.labels import (
    ABDOMEN_LABELS,
    CHEST_LABELS,
)
from napari_ct_assistant.cli import app
from napari_ct_assistant.volume import CTVolume, write_nifti
from tests.backends.nv_reason_ct.tiny_checkpoint import save_tiny_checkpoint

run = CliRunner().invoke


@pytest.fixture(scope="module")
def scan(small_volume: CTVolume, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("scan") / "scan.nii.gz"
    write_nifti(small_volume, path)
    return str(path)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = save_tiny_checkpoint(tmp_path_factory.mktemp("nv") / "tiny-nv")
    return ["--model", str(folder), "--device", "cpu"]


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "MAX_NEW_TOKENS", 12)


@pytest.mark.parametrize(
    ("region", "labels"), [("chest", CHEST_LABELS), ("abdomen", ABDOMEN_LABELS)]
)
def test_the_screen_has_the_findings_of_the_region(
    scan: str, model: list[str], region: str, labels: tuple[str, ...]
) -> None:
    done = run(app, ["screen", scan, *model, "--region", region, "--json"])
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result["region"] == region
    assert tuple(row["name"] for row in result["findings"]) == labels


def test_the_region_is_said_where_nobody_chose_one(scan: str, model: list[str]) -> None:
    done = run(app, ["screen", scan, *model])
    assert done.exit_code == 0, done.output
    assert "Read as a chest CT (no body part is named, and no lungs were found)." in done.stderr
    assert "No lungs were found" in done.stderr
    assert "note: Left aside, not run: the auto_map in config.json." in done.stderr
    assert len(done.stdout.strip().splitlines()) == 30 + 2  # the rows, and the notice


def test_the_box_goes_where_it_is_put(scan: str, model: list[str]) -> None:
    near, far = (
        json.loads(
            run(
                app, ["ask", scan, "Where?", *model, "--crop", crop, "--no-reasoning", "--json"]
            ).stdout
        )
        for crop in ("0,0,-60", "0,0,-100")
    )
    assert near["ras"][2] > far["ras"][2]
    assert near["region"] == "chest"


def test_reasoning_is_apart_from_the_answer(scan: str, model: list[str]) -> None:
    shown = run(app, ["ask", scan, "Where?", *model, "--reasoning", "--json"])
    with_it = json.loads(shown.stdout)
    assert with_it["reasoning"]
    assert with_it["answer"] == ""
    assert not with_it["complete"]
    without = json.loads(
        run(app, ["ask", scan, "Where?", *model, "--no-reasoning", "--json"]).stdout
    )
    assert without["reasoning"] == ""
    assert without["answer"]
    text = run(app, ["report", scan, *model, "--reasoning"])
    assert with_it["model"]["notice"] in text.stdout
    assert "INCOMPLETE" in text.stdout


@pytest.mark.parametrize("crop", ["0,0", "a,b,c", "0,0,nan", "0,0,1e9"])
def test_a_crop_that_is_no_point(scan: str, model: list[str], crop: str) -> None:
    done = run(app, ["screen", scan, *model, "--crop", crop])
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1].startswith(f"error: --crop {crop}: write three mm")


def test_a_region_that_the_model_does_not_have(
    scan: str, model: list[str], tiny_model_folder: Path
) -> None:
    done = run(app, ["screen", scan, *model, "--region", "knee"])
    assert done.exit_code == 1
    assert "region is 'knee'; give one of chest, abdomen, none" in done.stderr.splitlines()[-1]
    other = run(app, ["screen", scan, "--model", str(tiny_model_folder), "--region", "chest"])
    assert other.exit_code == 1
    assert "reads the middle of every scan" in other.stderr.splitlines()[-1]
