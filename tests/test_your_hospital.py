"""docs/your-hospital.md as a reader follows it: 12 phantoms become a model in the real panel."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.test_examples import EXAMPLES, run

# Opens the panel with the new model on a scan that it was not trained on, and drafts its report.
DRAFT = """
import sys, time
from qtpy.QtWidgets import QApplication
from napari_ct_assistant.viewer.app import open_viewer

scan, model, picture = sys.argv[1:]
viewer, panel = open_viewer(scan, model=model, draft=True)
end = time.monotonic() + 300
while "the pleura are seen" not in panel.transcript.plain_text() or panel.conversation.jobs.busy:
    assert time.monotonic() < end, panel.transcript.plain_text()
    QApplication.processEvents()
    time.sleep(0.02)
viewer.window._qt_window.grab().save(picture)
print(panel.transcript.plain_text())
viewer.close()
"""


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_from_a_table_to_a_model_in_the_panel(tmp_path: Path) -> None:
    out = tmp_path / "own"
    printed = run(str(EXAMPLES / "your_hospital.py"), "--out", str(out), timeout=1800)
    assert "train: 9 scans of 9 patients\ntest: 3 scans of 3 patients\n" in printed
    assert "read as Windows-1252" in printed
    figures = json.loads((out / "evaluation" / "figures.json").read_text())
    assert figures["scans"] == 3
    found = {(f["answers"], f["metric"]): f["value"] for f in figures["figures"]}
    assert {"model", "shuffled", "blind", "most common", "model - shuffled"} <= {
        a for a, _ in found
    }
    # The sentence of this hospital is learned from nine reports.
    answered = out / "evaluation" / "answers.jsonl"
    answers = [json.loads(line) for line in answered.read_text().splitlines()]
    drafted = [a["answer"] for a in answers if a["image"] != "none"]
    assert all("both lungs and the pleura are seen." in text for text in drafted)
    scan, picture = out / "scans" / "scan-20.nii.gz", tmp_path / "panel.png"
    shown = run("-c", DRAFT, str(scan), str(out / "adapt"), str(picture))
    assert "both lungs and the pleura are seen." in shown
    notice = json.loads((out / "adapt" / "config.json").read_text())["notice"]
    assert "the scans of a table; not evaluated clinically" in notice
    assert picture.stat().st_size > 10_000
