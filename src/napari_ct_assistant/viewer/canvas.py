"""Keeps the canvas from being drawn before a scan that is opened is complete on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from qtpy.QtCore import QTimer
from qtpy.QtOpenGLWidgets import QOpenGLWidget
from qtpy.QtWidgets import QWidget


@contextmanager
def undrawn(window: QWidget) -> Iterator[None]:
    """Draw the canvases of a window once afterwards, not whenever Qt resizes them.

    Qt draws a canvas at once when it gets another size, and napari's sliders change its size while
    a layer is added: before slice, camera and caption are those of the scan.
    """
    canvases = [one for one in window.findChildren(QOpenGLWidget) if one.updatesEnabled()]
    for canvas in canvases:
        canvas.setUpdatesEnabled(False)
    try:
        yield
    finally:
        for canvas in canvases:
            # In a later step of the event loop: keys and mouse are answered in between. The timer
            # belongs to the canvas, which may be closed before.
            later = QTimer(canvas)
            later.setSingleShot(True)
            later.timeout.connect(partial(_draw, canvas, later))
            later.start(0)


def _draw(canvas: QOpenGLWidget, later: QTimer) -> None:
    later.deleteLater()
    # This asks for a drawing, too.
    canvas.setUpdatesEnabled(True)
