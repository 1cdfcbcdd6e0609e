"""Run a command where a window can be opened."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import Final

from benchmarks.rows import MissingPeerError

SCREEN: Final = "-screen 0 1400x900x24"


def on_display(command: Sequence[str]) -> list[str]:
    """Return the command, under Xvfb if there is no display.

    Raises
    ------
    MissingPeerError
        If there is neither; the text says what to install.
    """
    from napari_ct_assistant.viewer.app import display_available

    available, reason = display_available()
    if available:
        return list(command)
    xvfb = shutil.which("xvfb-run")
    if xvfb is None:
        raise MissingPeerError(f"{reason}; start a display or install Xvfb")
    return [xvfb, "-a", "-s", SCREEN, *command]
