"""The crosshair over napari's own canvas, moved by a click or a drag."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from qtpy.QtCore import QEvent, QObject, QPointF, QRectF, Qt
from qtpy.QtGui import QPainter, QPaintEvent
from qtpy.QtWidgets import QWidget

from napari_ct_assistant.viewer.views.plane_view import paint_crosshair

if TYPE_CHECKING:
    from napari.viewer import Viewer

# Pixels: a press within NEAR of a line drags it; a press that moves at most STILL is a click.
NEAR: Final = 8.0
STILL: Final = 3.0


class Crosshair(QWidget):
    """Lines over the canvas at the viewer's point, while a plane is shown.

    The widget is a child of the canvas, like napari's welcome screen, and is not part of
    screenshots of the canvas.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    canvas : QWidget
        The viewer's canvas.
    """

    def __init__(self, viewer: Viewer, canvas: QWidget) -> None:
        super().__init__(canvas)
        self._viewer = viewer
        self._canvas = canvas
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAttribute(Qt.WidgetAttribute.WA_NoSystemBackground)
        self.setGeometry(canvas.rect())
        canvas.installEventFilter(self)
        for event in self._events():
            event.connect(self._refresh)
        viewer.mouse_drag_callbacks.append(drag_crosshair)
        self.show()
        self.raise_()

    def _events(self) -> tuple[Any, ...]:
        dims, camera = self._viewer.dims.events, self._viewer.scene.camera.events
        return (
            dims.point,
            dims.order,
            dims.ndisplay,
            camera.center,
            camera.zoom,
            camera.orientation,
        )

    def _refresh(self, event: Any = None) -> None:  # noqa: ARG002 - napari passes the event
        self.update()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Follow the size of the canvas."""
        if event.type() == QEvent.Type.Resize:
            self.setGeometry(self._canvas.rect())
        return bool(super().eventFilter(watched, event))

    @property
    def at(self) -> QPointF | None:
        """The crossing in canvas pixels; None in 3D and in napari's grid mode."""
        return canvas_point(self._viewer, self._viewer.dims.point, self.width(), self.height())

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw the lines."""
        at = self.at
        if at is None:
            return
        painter = QPainter(self)
        paint_crosshair(painter, at, QRectF(self.rect()))
        painter.end()

    def remove(self) -> None:
        """Remove the crosshair and stop following the viewer."""
        for event in self._events():
            event.disconnect(self._refresh)
        if drag_crosshair in self._viewer.mouse_drag_callbacks:
            self._viewer.mouse_drag_callbacks.remove(drag_crosshair)
        self._canvas.removeEventFilter(self)
        self.setParent(None)
        self.deleteLater()


def canvas_point(viewer: Any, world: Any, width: float, height: float) -> QPointF | None:
    """Return the pixel of a world point on a canvas of a given size; None in 3D and grid mode."""
    if viewer.dims.ndisplay != 2 or viewer.canvas.grid.enabled:
        return None
    camera = viewer.scene.camera
    row, column = (np.asarray(world)[axis] for axis in viewer.dims.displayed)
    down, right = (1 if str(way) in ("down", "right") else -1 for way in camera.orientation2d)
    x = width / 2 + right * camera.zoom * (column - camera.center[-1])
    y = height / 2 + down * camera.zoom * (row - camera.center[-2])
    return QPointF(float(x), float(y))


def drag_crosshair(viewer: Any, event: Any) -> Iterator[None]:
    """Move the viewer's point: a napari mouse-drag callback.

    A click moves the point there. A drag that starts on one of the lines, or with Shift pressed,
    drags it along. Any other drag pans the image. Nothing happens while the active layer is being
    drawn on.
    """
    active = viewer.layers.selection.active
    if event.button != 1 or viewer.dims.ndisplay != 2:
        return
    if str(getattr(active, "mode", "pan_zoom")) != "pan_zoom" or event.type != "mouse_press":
        return
    camera = viewer.scene.camera
    if not camera.mouse_pan:  # a measuring tool draws
        return
    world = np.asarray(event.position)
    shown = list(viewer.dims.displayed)
    away = np.abs(world - np.asarray(viewer.dims.point))[shown] * camera.zoom
    shift = "Shift" in event.modifiers
    if "Control" in event.modifiers or "Alt" in event.modifiers:
        return
    # A drag at the crossing moves both lines; a drag on one line moves only that line.
    held = [axis for axis, far in zip(shown, away, strict=True) if far <= NEAR]
    if shift:
        held = shown
        viewer.dims.set_point(shown, world[shown])
    start, travelled = np.asarray(event.pos, float), 0.0
    pan = camera.mouse_pan
    camera.mouse_pan = pan and not held
    try:
        yield
        while event.type == "mouse_move":
            travelled = max(travelled, float(np.abs(np.asarray(event.pos) - start).max()))
            if held and travelled > STILL:
                viewer.dims.set_point(held, np.asarray(event.position)[held])
            yield
        if travelled <= STILL:
            viewer.dims.set_point(shown, world[shown])
    finally:
        camera.mouse_pan = pan
