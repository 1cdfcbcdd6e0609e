"""`evaluate` of models that write no text: rows of ranks, and calibrated probabilities."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from napari_ct_assistant import load_assistant, open_ct
from napari_ct_assistant.cli import app
from napari_ct_assistant.training.evaluation.metrics.classification import auroc
from napari_ct_assistant.volume import write_nifti
from tests.backends.colipri.tiny_colipri import save_tiny_colipri
from tests.backends.probe.tiny_probe import save_tiny_probe
from tests.training.probing.scans import scan_of

run = CliRunner().invoke
SCANS = 8
NAMES = ("Lung nodule", "Emphysema", "Atelectasis")
LABELS = ("Emphysema", "Atelectasis")
Rows = dict[tuple[str, str, str], dict[str, Any]]


@pytest.fixture(scope="module")
def colipri(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_colipri(tmp_path_factory.mktemp("model") / "tiny-colipri")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scans with reports and labels of three findings."""
    folder = tmp_path_factory.mktemp("data")
    columns = ["image", "patient", "report", *NAMES]
    with (folder / "scans.csv").open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(columns)
        for number in range(SCANS):
            write_nifti(scan_of(number, number % 2 == 0), folder / f"{number}.nii.gz")
            truth = [number % 2, int(number < 3), int(number > 4)]
            rows.writerow([f"{number}.nii.gz", f"p{number}", "Findings: None.", *truth])
    return folder / "scans.csv"


def figures(model: Path, table: Path, out: Path) -> Rows:
    done = run(app, ["evaluate", str(model), str(table), "--out", str(out), "--device", "cpu"])
    assert done.exit_code == 0, (done.stderr[-2000:], done.exception)
    found = json.loads((out / "figures.json").read_text())["figures"]
    assert {row["task"] for row in found} == {"diagnosis"}
    assert "AUROC" in (out / "figures.md").read_text()
    return {(row["group"], row["answers"], row["metric"]): row for row in found}


def test_ranks_have_an_auroc_and_no_yes(colipri: Path, table: Path, tmp_path: Path) -> None:
    found = figures(colipri, table, tmp_path / "out")
    assert {metric for _, _, metric in found} == {"AUROC", "present"}
    assert "pooled" not in {group for group, _, _ in found}
    assistant = load_assistant(colipri, device="cpu")
    scans = [open_ct(table.parent / f"{n}.nii.gz") for n in range(SCANS)]
    margins = [assistant.read(scan).screen(NAMES) for scan in scans]
    truth = {"Lung nodule": [n % 2 for n in range(SCANS)], LABELS[0]: [n < 3 for n in range(SCANS)]}
    for name, present in truth.items():
        scores = np.array([row[NAMES.index(name)].margin for row in margins])
        row = found[name, "model", "AUROC"]
        assert row["value"] == pytest.approx(100 * auroc(np.array(present, float), scores))
        assert row["low"] <= row["value"] <= row["high"]
        # No scan is the same margin for everybody.
        assert found[name, "blind", "AUROC"]["value"] == 50
        assert (name, "shuffled", "AUROC") in found
    of_all = [found[name, "model", "AUROC"]["value"] for name in NAMES]
    assert found["mean of the findings", "model", "AUROC"]["value"] == pytest.approx(
        np.mean(of_all)
    )


def test_an_interrupted_run_goes_on(colipri: Path, table: Path, tmp_path: Path) -> None:
    whole = figures(colipri, table, tmp_path / "out")
    log = tmp_path / "out" / "answers.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    assert all("margin" in json.loads(line) for line in lines)
    log.write_text("".join(lines[: len(lines) // 2]))
    assert figures(colipri, table, tmp_path / "out") == whole


def test_calibrated_heads_say_yes_or_no(colipri: Path, table: Path, tmp_path: Path) -> None:
    heads = save_tiny_probe(tmp_path / "heads", colipri, labels=LABELS)
    found = figures(heads, table, tmp_path / "out")
    groups = {group for group, _, _ in found}
    assert groups == {"pooled", "mean of the findings", *LABELS}
    assistant = load_assistant(heads, device="cpu")
    said = [
        assistant.read(open_ct(table.parent / f"{n}.nii.gz")).screen()[0].reaches_threshold
        for n in range(SCANS)
    ]
    right = np.mean([yes == (n < 3) for n, yes in enumerate(said)])
    assert found[LABELS[0], "model", "accuracy"]["value"] == pytest.approx(100 * right)
    assert (LABELS[0], "model", "AUROC") in found


def test_a_task_that_needs_text_is_refused(colipri: Path, table: Path, tmp_path: Path) -> None:
    done = run(
        app,
        ["evaluate", str(colipri), str(table), "--out", str(tmp_path / "out"), "--task", "report"],
    )
    assert done.exit_code != 0
    assert "writes no text, so report cannot be evaluated" in done.stderr
    assert "Traceback" not in done.stderr


def test_heads_for_other_findings_are_refused(colipri: Path, table: Path, tmp_path: Path) -> None:
    heads = save_tiny_probe(tmp_path / "heads", colipri)
    done = run(app, ["evaluate", str(heads), str(table), "--out", str(tmp_path / "out")])
    assert done.exit_code != 0
    assert "screens for none of the findings" in done.stderr.splitlines()[-1]
