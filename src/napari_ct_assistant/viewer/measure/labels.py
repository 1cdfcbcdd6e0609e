"""The texts of the measurements, painted over the canvas: outlined, and never on one another.

napari's own text of a Shapes layer has no outline, so that it cannot be read over bone, and lies
over the text of a shape nearby.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from qtpy.QtCore import QEvent, QObject, QPointF, QRectF, QSizeF, Qt
from qtpy.QtGui import QColor, QPainter, QPainterPath, QPaintEvent, QPen
from qtpy.QtWidgets import QWidget

from napari_ct_assistant.viewer.measure.measuring import COLOUR, Measurements
from napari_ct_assistant.viewer.scan.layers import world_to_index
from napari_ct_assistant.viewer.views.crosshair import canvas_point

if TYPE_CHECKING:
    from napari.viewer import Viewer

OUTLINE: Final = 3.0  # pixels
AWAY: Final = 6.0  # from the shape, in pixels


class MeasurementLabels(QWidget):
    """A transparent widget over the canvas with the texts of the shapes on the slice on screen.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    canvas : QWidget
        napari's canvas.
    measurements : Measurements
    """

    def __init__(self, viewer: Viewer, canvas: QWidget, measurements: Measurements) -> None:
        super().__init__(canvas)
        self._viewer, self._canvas, self._measurements = viewer, canvas, measurements
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAttribute(Qt.WidgetAttribute.WA_NoSystemBackground)
        self.setGeometry(canvas.rect())
        canvas.installEventFilter(self)
        measurements.changed.connect(self.refresh)
        for event in self._events():
            event.connect(self.refresh)
        self.refresh()

    def _events(self) -> tuple[Any, ...]:
        dims, camera = self._viewer.dims.events, self._viewer.scene.camera.events
        return dims.point, dims.order, dims.ndisplay, camera.center, camera.zoom

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Follow the size of the canvas."""
        if event.type() == QEvent.Type.Resize:
            self.setGeometry(self._canvas.rect())
        return bool(super().eventFilter(watched, event))

    def refresh(self, event: Any = None) -> None:  # noqa: ARG002 - napari passes the event
        """Paint the texts again; without any, the widget is hidden."""
        layer = self._measurements.layer
        if layer is not None and layer.text.visible:
            layer.text.visible = False
        self.setVisible(layer is not None and len(layer.data) > 0)
        self.update()

    def texts(self) -> list[tuple[str, QRectF]]:
        """Return the texts on screen, and the rectangles in pixels in which they are painted."""
        layer, viewer = self._measurements.layer, self._viewer
        if layer is None or not layer.visible or viewer.dims.ndisplay != 2:
            return []
        hidden = [axis - viewer.dims.ndim for axis in viewer.dims.not_displayed]
        here = world_to_index(layer, viewer.dims.point)
        wanted = []
        for data, text in zip(layer.data, layer.features["label"], strict=True):
            if not text or any(abs(data[:, a] - here[a]).max() > 0.5 for a in hidden if a >= -3):
                continue
            corners = [
                canvas_point(viewer, layer.data_to_world(one), self.width(), self.height())
                for one in np.asarray(data)
            ]
            found = [corner for corner in corners if corner is not None]
            if found:
                right = max(found, key=QPointF.x)
                wanted.append((str(text), QPointF(right.x() + AWAY, right.y())))
        return self._placed(wanted)

    def _placed(self, wanted: list[tuple[str, QPointF]]) -> list[tuple[str, QRectF]]:
        metrics = self.fontMetrics()
        placed: list[tuple[str, QRectF]] = []
        for text, at in wanted:
            lines = text.split("\n")
            width = max(metrics.horizontalAdvance(line) for line in lines) + 2 * OUTLINE
            size = QSizeF(width, len(lines) * metrics.height() + OUTLINE)
            box = QRectF(QPointF(at.x(), at.y() - size.height() / 2), size)
            placed.append((text, free_place(box, [one for _, one in placed], QRectF(self.rect()))))
        return placed

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Paint the texts with a dark outline."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        metrics = self.fontMetrics()
        pen = QPen(QColor(0, 0, 0, 220), OUTLINE)
        pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
        for text, box in self.texts():
            path = QPainterPath()
            for number, line in enumerate(text.split("\n")):
                down = box.top() + OUTLINE / 2 + metrics.ascent() + number * metrics.height()
                path.addText(QPointF(box.left() + OUTLINE, down), self.font(), line)
            painter.strokePath(path, pen)
            painter.fillPath(path, QColor(COLOUR))
        painter.end()

    def remove(self) -> None:
        """Remove the widget and stop following the viewer; napari writes the texts again."""
        for event in self._events():
            event.disconnect(self.refresh)
        self._measurements.changed.disconnect(self.refresh)
        self._canvas.removeEventFilter(self)
        layer = self._measurements.layer
        if layer is not None:
            layer.text.visible = True
        self.hide()
        self.deleteLater()


def free_place(box: QRectF, taken: list[QRectF], frame: QRectF) -> QRectF:
    """Return the place for a text: inside the frame, and below those that are in its way."""
    box = QRectF(box)
    box.moveRight(min(box.right(), frame.right()))
    box.moveLeft(max(box.left(), frame.left()))
    for _ in range(len(taken)):
        other = next((one for one in taken if one.intersects(box)), None)
        if other is None:
            break
        box.moveTop(other.bottom() + 1)
    return box
