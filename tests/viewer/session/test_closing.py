"""The window can be closed whatever runs: the process ends soon, and does not abort."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.viewer.session.close_victim import STUCK_SECONDS


@pytest.mark.parametrize(
    ("what", "status"),
    [
        ("draft", 0),
        pytest.param("load", 0, marks=pytest.mark.slow),
        pytest.param("open", 0, marks=pytest.mark.slow),
        ("fail", 1),
    ],
)
def test_closing_ends_the_process(tmp_path: Path, what: str, status: int) -> None:
    (tmp_path / "slice.dcm").write_bytes(bytes(128) + b"DICM")
    done = subprocess.run(
        [sys.executable, "-m", "tests.viewer.session.close_victim", what, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=STUCK_SECONDS,
        cwd=Path(__file__).parents[3],
        env=os.environ | {"QT_QPA_PLATFORM": "offscreen", "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == status, done.stderr[-2000:]
    began, closed = done.stdout.split()
    assert began == "began"
    print(f"{what}: ended {time.time() - float(closed):.1f} s after the window was closed")
    failed = "OSError: the program failed" in done.stderr
    assert failed == (what == "fail")
    assert done.stderr.count("Traceback") == failed
    assert "Fatal" not in done.stderr
