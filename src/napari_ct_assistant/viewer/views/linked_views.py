"""Linked axial, coronal and sagittal views, all at the viewer's point."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from qtpy.QtCore import QEvent, QRectF, QSize, Qt, Signal
from qtpy.QtWidgets import QSplitter, QVBoxLayout, QWidget

from napari_ct_assistant.support.translation import N_, Texts, _, localized
from napari_ct_assistant.viewer.scan.image_numbers import with_filed
from napari_ct_assistant.viewer.scan.layers import volume_of, widen_contrast_range, world_to_index
from napari_ct_assistant.viewer.views.plane_view import PlaneView
from napari_ct_assistant.viewer.views.planes import PLANE_NAMES, PLANES, current_plane, set_plane
from napari_ct_assistant.viewer.views.slice_images import Picture, layer_outlines, layer_picture
from napari_ct_assistant.viewer.views.windows import Window, apply_window, dragged_window, window_of
from napari_ct_assistant.volume.slabs import PROJECTIONS, Projection, slab_reach

if TYPE_CHECKING:
    from napari.viewer import Viewer

# Events of a layer whose appearance changed. `set_data` is left out: scrolling emits it, too.
APPEARANCE_EVENTS = (
    "visible",
    "opacity",
    "blending",
    "data",
    "contrast_limits",
    "colormap",
    "gamma",
    "interpolation2d",
    "selected_label",
    "show_selected_label",
    "labels_update",
    "features",
    "edge_color",
)


class LinkedViews(QWidget):
    """A column of the planes that the large canvas does not show.

    The shared crosshair is the viewer's own point (`viewer.dims.point`). Whatever moves the
    viewer, such as a slice link, therefore moves all views.

    Parameters
    ----------
    viewer : napari.viewer.Viewer

    Signals
    -------
    hovered : tuple or None
        The world point (mm) under the pointer.
    closed
        The dock that holds the views was closed.
    """

    hovered = Signal(object)
    closed = Signal()

    def __init__(self, viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._layer: Any = None
        self._slab: tuple[float, Projection] = (0.0, "none")
        self._listening: list[Any] = []
        self._attached = False
        self._shown: dict[str, tuple[Any, ...]] = {}
        self._window = Window("", 1, 0)
        self.views: dict[str, PlaneView] = {}
        self.setAccessibleName(_("Linked views"))
        self._column = splitter = QSplitter(Qt.Orientation.Vertical)
        splitter.setChildrenCollapsible(False)
        splitter.setHandleWidth(3)
        for plane in PLANES:
            view = PlaneView(plane)
            view.pointed.connect(self._point)
            view.hovered.connect(self._hover)
            view.stepped.connect(self._step)
            view.scrolled.connect(self._scroll)
            view.windowed.connect(self._drag_window)
            view.promoted.connect(self._promote)
            self.views[plane] = view
            splitter.addWidget(view)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(splitter)
        self.setMinimumWidth(220)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return a size at which a chest can be read."""
        return QSize(360, 700)

    # -- what is shown

    def set_scan(self, layer: Any) -> None:
        """Show this CT layer and the layers over it."""
        self._layer = layer if volume_of(layer) is not None else None
        self._refresh_images()

    def set_slab(self, thickness_mm: float, how: Projection) -> None:
        """Show the scan as a slab; "none" shows single slices."""
        self._slab = (thickness_mm, how)
        self._refresh_images()

    def attach(self) -> None:
        """Follow the viewer."""
        if self._attached:
            return
        self._attached = True
        viewer = self._viewer
        viewer.dims.events.point.connect(self.refresh)
        viewer.dims.events.order.connect(self._on_order)
        viewer.dims.events.ndisplay.connect(self._on_order)
        for event in (viewer.layers.events.inserted, viewer.layers.events.removed):
            event.connect(self._on_layers)
        viewer.layers.events.reordered.connect(self._refresh_images)
        self._on_layers()

    def detach(self) -> None:
        """Stop following the viewer."""
        if not self._attached:
            return
        self._attached = False
        viewer = self._viewer
        viewer.dims.events.point.disconnect(self.refresh)
        viewer.dims.events.order.disconnect(self._on_order)
        viewer.dims.events.ndisplay.disconnect(self._on_order)
        for event in (viewer.layers.events.inserted, viewer.layers.events.removed):
            event.disconnect(self._on_layers)
        viewer.layers.events.reordered.disconnect(self._refresh_images)
        self._listen_to([])

    def event(self, event: QEvent) -> bool:
        """Emit `closed` when the dock is closed, which removes the parent."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self.closed.emit()
        return bool(super().event(event))

    def _on_layers(self, event: Any = None) -> None:  # noqa: ARG002 - napari passes the event
        layers = list(self._viewer.layers)
        if self._layer is not None and self._layer not in layers:
            self._layer = None
        self._listen_to(layers)
        self._shown.clear()
        # The viewer has no axes before the first layer and after the last one.
        self._on_order()

    def _listen_to(self, layers: list[Any]) -> None:
        for layer in self._listening:
            for name in APPEARANCE_EVENTS:
                if name in layer.events:
                    layer.events[name].disconnect(self._refresh_images)
        for layer in layers:
            for name in APPEARANCE_EVENTS:
                if name in layer.events:
                    layer.events[name].connect(self._refresh_images)
        self._listening = layers

    def _on_order(self, event: Any = None) -> None:  # noqa: ARG002 - napari passes the event
        """Hide the plane that the large canvas shows."""
        large = current_plane(self._viewer)
        for plane, view in self.views.items():
            view.setVisible(plane != large)
        self.refresh()
        # All views have the same width, so their heights follow from their aspect ratios.
        self._column.setSizes([round(1000 * view.aspect_ratio) for view in self.views.values()])

    def _refresh_images(self, event: Any = None) -> None:  # noqa: ARG002 - napari passes the event
        """Make all images again: the appearance of a layer has changed."""
        self._shown.clear()
        self.refresh()

    def refresh(self, event: Any = None) -> None:  # noqa: ARG002 - napari passes the event
        """Move the views to the viewer's point; a plane that did not move keeps its image."""
        layer = self._layer
        if not self._attached:
            return
        if self._viewer.dims.ndim < 3:
            # The last layer was removed: the dims change before the layer list does.
            layer = None
        for plane, view in self.views.items():
            if view.isHidden():
                self._shown.pop(plane, None)
            elif layer is None:
                view.show_pictures((), ())
            else:
                self._show(plane, view, layer)

    def _show(self, plane: str, view: PlaneView, layer: Any) -> None:
        point = self._viewer_point()
        index = int(np.round(world_to_index(layer, point)[view.axis]))
        rows, columns = (axis for axis in range(3) if axis != view.axis)
        # Not the slice index: layers on another grid may change between two slices of the scan.
        key = (layer, round(point[view.axis], 3))
        if self._shown.get(plane) != key:
            self._shown[plane] = key
            view.set_bounds(_bounds(layer, rows, columns))
            view.show_pictures(*self._layers_at(view.axis, point, layer))
        caption = f"{PLANE_NAMES[plane]} {index + 1}"
        volume = volume_of(layer)
        if volume is not None:
            caption = with_filed(caption, volume.archive_number(index, view.axis), index + 1)
        thickness, how = self._slab
        if how != "none":
            caption += f"  {SLAB_NAMES[how]} {localized(f'{thickness:g}')} mm"
        view.show_cross(point[rows], point[columns], caption)

    def _layers_at(
        self, axis: int, point: tuple[float, float, float], scan: Any
    ) -> tuple[list[Picture], list[Any]]:
        pictures, outlines = [], []
        thickness, how = self._slab
        for layer in self._viewer.layers:
            # Show one scan at a time: a second one would cover the first.
            if layer is not scan and volume_of(layer) is not None:
                continue
            slab: tuple[int, Projection] = (0, "none")
            own = str(getattr(layer, "projection_mode", "none"))
            if how != "none" and own in PROJECTIONS and layer.ndim == 3:
                # As on the canvas, each layer has a projection of its own.
                slab = (slab_reach(thickness, float(layer.scale[axis])), own)
            picture = layer_picture(layer, axis, point, slab)
            if picture is not None:
                pictures.append(picture)
            outlines += layer_outlines(layer, axis, point, float(scan.scale[axis]) / 2)
        return pictures, outlines

    # -- mouse and keys

    def _viewer_point(self) -> tuple[float, float, float]:
        i, p, left = (float(value) for value in self._viewer.dims.point[-3:])
        return i, p, left

    def _world_point(self, axis: int, row: float, column: float) -> list[float]:
        """Return the world point (I, P, L) of a position in the view across `axis`."""
        point = list(self._viewer_point())
        rows, columns = (other for other in range(3) if other != axis)
        point[rows], point[columns] = row, column
        return point

    def _go(self, point: Any) -> None:
        """Move the viewer to a world point, limited to the scan."""
        layer = self._layer
        if layer is None or self._viewer.dims.ndim < 3:
            return
        low = np.asarray(layer.translate, float)
        high = low + np.asarray(layer.scale) * (np.asarray(layer.data.shape) - 1)
        first = self._viewer.dims.ndim - 3
        self._viewer.dims.set_point(
            range(first, first + 3), np.clip(np.asarray(point, float), low, high)
        )

    def _point(self, axis: int, row: float, column: float) -> None:
        if self._layer is not None:
            self._go(self._world_point(axis, row, column))

    def _hover(self, axis: int, row: float, column: float) -> None:
        if self._viewer.dims.ndim >= 3:
            self.hovered.emit(tuple(self._world_point(axis, row, column)))

    def _step(self, axis: int, rows: int, columns: int) -> None:
        if self._layer is not None:
            steps = np.insert([rows, columns], axis, 0)
            self._go(np.asarray(self._viewer_point()) + steps * np.asarray(self._layer.scale))

    def _scroll(self, axis: int, slices: int) -> None:
        if self._layer is not None:
            steps = np.eye(3)[axis] * slices
            self._go(np.asarray(self._viewer_point()) + steps * np.asarray(self._layer.scale))

    def _promote(self, plane: str) -> None:
        set_plane(self._viewer, plane)

    def _drag_window(self, right: int, down: int) -> None:
        if self._layer is None:
            return
        if (right, down) == (0, 0):
            widen_contrast_range(self._layer)
            self._window = window_of(self._layer)
            return
        apply_window(self._layer, dragged_window(self._window, right, down))


SLAB_NAMES: Final = Texts({"max": N_("MIP"), "min": N_("MinIP"), "mean": N_("mean")})


def _bounds(layer: Any, rows: int, columns: int) -> QRectF:
    """Return a scan's extent along two axes in world mm."""
    scale, shift = np.asarray(layer.scale, float), np.asarray(layer.translate, float)
    size = scale * np.asarray(layer.data.shape)
    corner = shift - scale / 2
    return QRectF(corner[columns], corner[rows], size[columns], size[rows])
