"""Mouse moves as a window system sends them, and a window that has come to rest."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication, QWidget

if TYPE_CHECKING:
    from napari.viewer import Viewer
    from pytestqt.qtbot import QtBot

REST_S = 0.4


def send_move(
    widget: QWidget, position: QPoint, held: Qt.MouseButton = Qt.MouseButton.NoButton
) -> None:
    """Send a mouse move to `widget`; qtbot's own holds no button and moves the real pointer."""
    point = QPointF(position)
    move = QMouseEvent(
        QEvent.Type.MouseMove,
        point,
        QPointF(widget.mapToGlobal(position)),
        Qt.MouseButton.NoButton,
        held,
        Qt.KeyboardModifier.NoModifier,
    )
    QApplication.sendEvent(widget, move)


def wait_for_layout(viewer: Viewer, qtbot: QtBot) -> None:
    """Wait until the canvas keeps its size: a window lays out its docks in several steps."""
    known = [(viewer.canvas.size, time.monotonic())]

    def at_rest() -> bool:
        if viewer.canvas.size != known[0][0]:
            known[0] = (viewer.canvas.size, time.monotonic())
        return time.monotonic() - known[0][1] > REST_S

    qtbot.waitUntil(at_rest, timeout=20_000)
