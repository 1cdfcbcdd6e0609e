"""Mouse moves as a window system sends them."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication, QWidget


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
