"""Every script in `examples/` runs as a reader would run it, and says what it should."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"

# What a script prints, and the arguments that keep it short; {tmp} is an empty folder.
SAID = {
    "read_a_scan.py": ([], r"Findings above their threshold:\n  Pleural effusion"),
    "evidence_picture.py": (["{tmp}/heat.png"], r"effusion.*\(slice \d+\)\nwrote "),
    "export_report.py": (["{tmp}"], r"report\.txt\n.*report\.json\n.*report\.dcm"),
    "phantom_screen.py": (["1"], r"\d+ of 18 findings judged right"),
    "build_a_model.py": ([], r"8 image tokens .*\nloss \d\.\d+\ngenerated ids: \["),
    "your_hospital.py": (
        [
            *("--out", "{tmp}/own", "--phantoms", "5", "--max-new-tokens", "4"),
            *("--set", "training.epochs=1", "--set", "data.limit=2", "--set", "data.held_out=0.1"),
        ],
        r"train: 2 scans of 2 patients\ntest: 1 scans of 1 patients\n(?s:.*)"
        r"see it with: ct-assistant view SCAN --model .*own/adapt",
    ),
    "train_one_stage.py": (
        ["{tmp}/runs", "data.count=2", "training.samples=2"],
        r"model\.safetensors: \d+\.\d MB",
    ),
}
IN_NAPARI = "open_in_napari.py"

# The window of the last one stays open until a person closes it: here the end of the draft does.
UNTIL_DRAFTED = """
import runpy, sys, time, napari
from qtpy.QtWidgets import QApplication

def run():
    viewer = napari.current_viewer()
    panel = next(iter(viewer.window.dock_widgets.values()))
    end = time.monotonic() + 120
    while "Impression" not in panel.transcript.plain_text() or panel.conversation.jobs.busy:
        assert time.monotonic() < end, panel.transcript.plain_text()
        QApplication.processEvents()
    print(panel.transcript.plain_text())
    viewer.close()

napari.run = run
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run(*command: str, timeout: int = 240) -> str:
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, check=False, timeout=timeout
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_every_example_is_tested_and_listed() -> None:
    scripts = {path.name for path in EXAMPLES.glob("*.py")}
    assert scripts == {*SAID, IN_NAPARI}
    listed = re.findall(r"\]\((\w+\.py)\)", (EXAMPLES / "README.md").read_text(encoding="utf-8"))
    assert sorted(listed) == sorted(scripts)


# The stage that this one runs has tests of its own.
LONG = "train_one_stage.py"


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n == LONG else n for n in SAID]
)
def test_example_runs(name: str, tmp_path: Path) -> None:
    arguments, said = SAID[name]
    filled = [argument.format(tmp=tmp_path) for argument in arguments]
    assert re.search(said, run(str(EXAMPLES / name), *filled))


def test_example_opens_in_napari() -> None:
    assert "effusion" in run("-c", UNTIL_DRAFTED, str(EXAMPLES / IN_NAPARI))
