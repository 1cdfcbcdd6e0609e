"""Drawing a ruler or a region with the mouse while the scan stays the active layer.

napari's own drawing needs the Shapes layer to be active. The keys and buttons for windows and
planes would then be off, and the docks would be laid out anew under the pointer, so that a drag
that starts at once loses its beginning.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal

if TYPE_CHECKING:
    from napari.viewer import Viewer

# A shape with a side of fewer screen pixels is a click, not a measurement.
LEAST_PIXELS: Final = 4.0


class ShapeDrawing(QObject):
    """Draws one shape after the other onto a Shapes layer.

    A line, a rectangle or an ellipse is dragged. The corners of a polygon are clicked; a double
    click ends it. A shape too small to be seen is discarded, and the drawing goes on.

    Parameters
    ----------
    viewer : napari.viewer.Viewer

    Signals
    -------
    finished : int
        The number of the shape that was drawn.
    """

    finished = Signal(int)

    def __init__(self, viewer: Viewer, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._layer: Any = None
        self._kind = ""
        self._corners: list[NDArray[np.float64]] = []
        self._drawn = False  # whether the last shape of the layer is the one being drawn

    def begin(self, layer: Any, kind: str) -> None:
        """Draw shapes of `kind` onto `layer`, and stop the camera from following the mouse."""
        self.end()
        self._layer, self._kind = layer, kind
        viewer = self._viewer
        viewer.mouse_drag_callbacks.append(self._on_drag)
        if kind == "polygon":
            viewer.mouse_move_callbacks.append(self._on_move)
            viewer.mouse_double_click_callbacks.append(self._on_double_click)
        viewer.scene.camera.mouse_pan = False

    def end(self) -> None:
        """Stop drawing; an unfinished shape is removed."""
        if self._layer is None:
            return
        self._remove()
        viewer = self._viewer
        for callbacks, callback in (
            (viewer.mouse_drag_callbacks, self._on_drag),
            (viewer.mouse_move_callbacks, self._on_move),
            (viewer.mouse_double_click_callbacks, self._on_double_click),
        ):
            if callback in callbacks:
                callbacks.remove(callback)
        viewer.scene.camera.mouse_pan = True
        self._layer, self._corners = None, []

    def forget(self) -> None:
        """Stop drawing because the layer was removed."""
        self._drawn = False
        self.end()

    # -- napari's mouse callbacks

    def _on_drag(self, viewer: Viewer, event: Any) -> Iterator[None]:
        if event.button != 1 or viewer.dims.ndisplay != 2 or event.type != "mouse_press":
            return
        start = self._at(event)
        if self._kind == "polygon":
            # The last corner follows the pointer.
            self._corners = [*self._corners[:-1], start, start]
            self._show()
            return
        self._corners = [start, start]
        yield
        while event.type == "mouse_move":
            self._corners[1] = self._at(event)
            self._show()
            yield
        if self._layer is None:  # the tool was deselected during the drag
            return
        self._corners[1] = self._at(event)
        self._finish()

    def _on_move(self, _viewer: Viewer, event: Any) -> None:
        if self._corners:
            self._corners[-1] = self._at(event)
            self._show()

    def _on_double_click(self, _viewer: Viewer, _event: Any) -> None:
        # The first click of the two has set the last corner already.
        self._corners = self._corners[:-1]
        self._finish()

    # -- the shape

    def _at(self, event: Any) -> NDArray[np.float64]:
        """Return the index (i, p, l) under the pointer, exactly on the slice on screen."""
        index = np.asarray(self._layer.world_to_data(event.position), float)[-3:]
        hidden = [axis - self._viewer.dims.ndim for axis in self._viewer.dims.not_displayed]
        for axis in (axis for axis in hidden if axis >= -3):
            index[axis] = np.round(index[axis])
        return index

    def _vertices(self) -> tuple[NDArray[np.float64], str]:
        """Return the vertices as napari stores them, and the kind of shape."""
        corners = np.array(self._corners)
        if self._kind == "polygon":
            return corners, "polygon" if len(corners) > 2 else "path"
        if self._kind == "line":
            return corners, "line"
        first, last = corners
        _, across = (axis - self._viewer.dims.ndim for axis in self._viewer.dims.displayed)
        second, fourth = last.copy(), first.copy()
        second[across], fourth[across] = first[across], last[across]
        return np.array([first, second, last, fourth]), self._kind

    def _too_small(self) -> bool:
        shown = [axis - self._viewer.dims.ndim for axis in self._viewer.dims.displayed]
        scale = np.asarray(self._layer.scale, float)[-3:]
        sides = np.ptp(np.array(self._corners), axis=0)[shown] * scale[shown]
        pixels = sides * self._viewer.scene.camera.zoom
        if self._kind == "line":
            return bool(np.hypot(*pixels) < LEAST_PIXELS)
        few = self._kind == "polygon" and len(self._corners) < 3
        return few or bool(pixels.min() < LEAST_PIXELS)

    def _show(self) -> None:
        """Draw the shape as it is now."""
        vertices, kind = self._vertices()
        self._remove()
        self._layer.add(vertices, shape_type=kind)
        # Selected, so that its figures are shown while it is drawn.
        self._layer.selected_data = {len(self._layer.data) - 1}
        self._drawn = True

    def _remove(self) -> None:
        if self._drawn:
            self._layer.selected_data = {len(self._layer.data) - 1}
            self._layer.remove_selected()
            self._drawn = False

    def _finish(self) -> None:
        if self._too_small():
            self._remove()
            self._corners = []
            return
        self._show()
        self._drawn, self._corners = False, []
        self.finished.emit(len(self._layer.data) - 1)
