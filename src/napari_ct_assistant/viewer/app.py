"""Starts napari with a scan and the panel, for the command line."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_ct_assistant.viewer.panel import CTAssistantPanel
    from napari_ct_assistant.volume import CTVolume


def display_available() -> tuple[bool, str]:
    """Return whether a window can be opened here, and if not, why.

    Returns
    -------
    available : bool
    reason : str
        Empty when a window can be opened.
    """
    import importlib.util

    bindings = ("PySide6", "PyQt6", "PyQt5", "PySide2")
    if not any(importlib.util.find_spec(binding) for binding in bindings):
        return False, "no Qt binding is installed: pip install 'napari-ct-assistant[all]'"
    if sys.platform.startswith("linux") and os.environ.get("QT_QPA_PLATFORM") != "offscreen":
        if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            return False, "there is no display: neither DISPLAY nor WAYLAND_DISPLAY is set"
    return True, ""


def open_viewer(
    scan: str | Path | CTVolume | None = None, *, draft: bool = False, model: str | None = None
) -> tuple[Viewer, CTAssistantPanel]:
    """Open a maximised napari window with the panel docked, and open `scan` in it.

    Parameters
    ----------
    scan : path or CTVolume, optional
        A path is opened in the background, as by the panel's Open buttons.
    draft : bool, optional
        Draft the report as soon as the scan is open.
    model : str, optional
        Bundled name, folder or hub id; by default the one in the preferences.

    Returns
    -------
    viewer : napari.viewer.Viewer
    panel : CTAssistantPanel
    """
    import napari

    from napari_ct_assistant.viewer.docking import dock_panel
    from napari_ct_assistant.viewer.preferences import load_preferences
    from napari_ct_assistant.viewer.scan.layers import add_volume

    viewer = napari.Viewer(title="CT Assistant")
    panel = dock_panel(viewer)
    panel.window().showMaximized()
    if load_preferences().layout != "napari":
        panel.reading_layout.set_reading(True)
    if model is not None:
        panel.models.set_model(str(model))
    if draft:
        panel.draft_next_scan()
    if isinstance(scan, str | Path):
        panel.scans.open(scan)
    elif scan is not None:
        panel.scans.opened.emit(add_volume(viewer, scan))
    return viewer, panel


def run_viewer(
    scan: str | Path | CTVolume | None = None, *, draft: bool = False, model: str | None = None
) -> None:
    """Open napari as `open_viewer` does, and return when its window is closed.

    Raises
    ------
    KeyboardInterrupt
        If Ctrl-C closed the window. A second Ctrl-C ends the process at once.
    """
    import napari

    viewer, _ = open_viewer(scan, draft=draft, model=model)
    interrupted = False

    def close(*_: object) -> None:
        # An exception must not be raised here: it would end in whatever slot Qt just called.
        nonlocal interrupted
        if interrupted:
            os._exit(130)
        interrupted = True
        viewer.close()

    before = signal.signal(signal.SIGINT, close)
    try:
        napari.run()
    finally:
        signal.signal(signal.SIGINT, before)
    if interrupted:
        raise KeyboardInterrupt
