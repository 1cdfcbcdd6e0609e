"""Ctrl-C, once or again and again, ends a command with one line, and never with a traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from napari_ct_assistant.commands.terminal.output import INTERRUPTED, NO_MEMORY, one_line_errors
from napari_ct_assistant.volume import CTVolume, write_nifti

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no POSIX signals here")


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scan") / "ct.nii.gz"
    affine = np.array([[0, 0, -1.5, 0], [0, -1.5, 0, 0], [-3.0, 0, 0, 0], [0, 0, 0, 1]])
    hu = np.random.default_rng(0).integers(-1000, 400, (100, 220, 220)).astype(np.int16)
    write_nifti(CTVolume(hu, affine), path)
    return path


@pytest.mark.parametrize("again", [1, 3])
def test_ctrl_c(scan: Path, again: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "napari_ct_assistant", "report", str(scan)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        # A shell that starts the tests in the background lets its children ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stderr is not None
    # The scan is open once this line comes; then torch is imported, which takes seconds.
    lines = [next(process.stderr)]
    while "loading" not in lines[-1]:
        lines.append(next(process.stderr))
    for _ in range(again):
        process.send_signal(signal.SIGINT)
        time.sleep(0.02)
    out, error = process.communicate(timeout=60)
    assert "Traceback" not in error
    assert "Exception" not in error
    assert out == ""
    # The interpreter gives the signal back to the system while it ends.
    assert process.returncode in (INTERRUPTED, -signal.SIGINT)
    assert [line for line in error.splitlines() if line] in ([], ["stopped"])


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: 1 bytes")]
)
def test_a_lack_of_memory_is_one_line(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    import typer

    with pytest.raises(typer.Exit), one_line_errors():
        raise error
    assert capsys.readouterr().err == f"error: {NO_MEMORY}\n"
