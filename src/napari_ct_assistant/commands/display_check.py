"""Find out whether Qt can open a window on this machine."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

from napari_ct_assistant.commands.system_libraries import describe, missing_libraries

# Qt aborts the process if it finds no display or a library is missing, so a
# separate process tries first. napari's canvas needs the OpenGL widget.
_PROBE: Final = (
    "from qtpy.QtOpenGLWidgets import QOpenGLWidget; "
    "from qtpy.QtWidgets import QApplication; QApplication([])"
)
_PROBE_SECONDS: Final = 60.0


def window_problem() -> str | None:
    """Return in one line why no window can open here, or None if one can."""
    from napari_ct_assistant.viewer.app import display_available

    available, reason = display_available()
    if not available:
        return reason
    try:
        probe = subprocess.run(
            [sys.executable, "-c", _PROBE],
            capture_output=True,
            text=True,
            timeout=_PROBE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"Qt did not start within {_PROBE_SECONDS:.0f} s"
    if probe.returncode == 0:
        return None
    missing = missing_libraries()
    if missing:
        return describe(missing)
    lines = [line.strip() for line in probe.stderr.splitlines() if line.strip()]
    if not lines:
        return f"Qt does not start (exit status {probe.returncode})"
    # A Python traceback names the error in its last line; Qt names it in its first.
    return f"Qt does not start: {lines[-1] if lines[0].startswith('Traceback') else lines[0]}"
