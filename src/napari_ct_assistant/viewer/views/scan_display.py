"""Shows one scan at a time: the chosen one, with its own layers, its name and its image number."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from napari.components.overlays import TextOverlay
from qtpy.QtCore import QObject
from qtpy.QtGui import QGuiApplication

from napari_ct_assistant.viewer.scan.belonging import is_foreign, is_marked, is_of, mark_layer
from napari_ct_assistant.viewer.scan.image_numbers import image_of
from napari_ct_assistant.viewer.scan.layers import index_to_world, volume_of, world_to_index
from napari_ct_assistant.viewer.views.fitting import fit_scan, is_fitted
from napari_ct_assistant.viewer.views.letters import NARROW, SHADE
from napari_ct_assistant.viewer.views.planes import PLANES, current_plane
from napari_ct_assistant.viewer.views.warm_up import CanvasWarmUp

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_ct_assistant.viewer.session.scan_session import ScanSession
    from napari_ct_assistant.volume import CTVolume

CAPTION: Final = "ct_caption"
# The width of a character of the caption, in pixels at 96 dots per inch.
CHARACTER: Final = 12


def longest_name(width: int) -> int:
    """Return how many characters of a scan's name fit beside the letter at the upper edge."""
    dots = QGuiApplication.primaryScreen().logicalDotsPerInch() / 96
    # The letter is in the corner of a narrow canvas, else in the middle.
    room = width - 60 * dots if width < NARROW else width / 2 - 40 * dots
    return max(12, int(room / (CHARACTER * dots)))


class ScanDisplay(QObject):
    """Hides the layers of every other scan, and keeps the slice inside the chosen scan.

    A reader can still show another scan over the chosen one with the eye in napari's layer list.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    """

    def __init__(self, viewer: Viewer, parent: QObject | None = None) -> None:
        super().__init__(parent)
        # napari gives plugins a proxy, whose layers are different objects at each access.
        self._viewer = getattr(viewer, "__wrapped__", viewer)
        self._layer: Any = None
        self._last: weakref.ref[CTVolume] | None = None
        # The layers that were visible when another scan was chosen.
        self._hidden: weakref.WeakSet[Any] = weakref.WeakSet()
        self._caption: Any = None
        self._attached = False
        self._size: tuple[int, int] = (0, 0)
        self._warm_up = CanvasWarmUp(self._viewer, self)

    def attach(self) -> None:
        """Follow the viewer; called when the panel is docked."""
        self._attached = True
        viewer = self._viewer
        self._caption = TextOverlay(
            position="top_left", font_size=12, visible=False, color="white", box_color=SHADE
        )
        viewer.canvas.overlays[CAPTION] = self._caption
        # A light theme must not dazzle beside a dark picture, nor change its contrast.
        viewer.canvas.background_color_override = "black"
        self._warm_up.start()
        self._size = viewer.canvas.size
        viewer.canvas.events.size.connect(self._on_size)
        viewer.layers.events.inserted.connect(self._on_inserted)
        for event in self._dims_events():
            event.connect(self._on_dims)
        self._show_caption()

    def detach(self) -> None:
        """Stop following the viewer; called when the panel is closed."""
        if not self._attached:
            return
        self._attached = False
        self._warm_up.stop()
        viewer = self._viewer
        viewer.layers.events.inserted.disconnect(self._on_inserted)
        viewer.canvas.events.size.disconnect(self._on_size)
        viewer.canvas.background_color_override = None
        for event in self._dims_events():
            event.disconnect(self._on_dims)
        self._watch(None)
        viewer.canvas.overlays.pop(CAPTION, None)
        self._caption = None

    def _dims_events(self) -> tuple[Any, ...]:
        events = self._viewer.dims.events
        return events.point, events.order, events.ndisplay, events.range

    def set_scan(self, layer: Any) -> None:
        """Show this CT layer alone, at its middle slice and fitted to the canvas."""
        volume = volume_of(layer)
        self._watch(layer if volume is not None else None)
        if volume is None:
            self._show_caption()
            return
        before = None if self._last is None else self._last()
        self._last = weakref.ref(volume)
        for each in self._viewer.layers:
            if not is_marked(each):
                mark_layer(each, volume)
        self._show_own(volume)
        if before is not volume:
            self._go_to_middle(volume)
            fit_scan(self._viewer, layer)
        self._show_caption()

    def close_scan(self, scan: ScanSession) -> None:
        """Remove what was drawn on a scan that was closed; other layers of it stay hidden."""
        from napari.layers import Shapes

        for layer in list(self._viewer.layers):
            if is_of(layer, scan.volume):
                if isinstance(layer, Shapes):
                    self._viewer.layers.remove(layer)
                else:
                    layer.visible = False

    def _watch(self, layer: Any) -> None:
        if self._layer is not None:
            self._layer.events.name.disconnect(self._show_caption)
        self._layer = layer
        if layer is not None:
            layer.events.name.connect(self._show_caption)

    def _show_own(self, volume: CTVolume) -> None:
        for layer in self._viewer.layers:
            if layer is self._layer:
                layer.visible = True
            elif volume_of(layer) is not None or is_foreign(layer, volume):
                if layer.visible:
                    self._hidden.add(layer)
                    layer.visible = False
            elif layer in self._hidden:
                self._hidden.discard(layer)
                layer.visible = True

    def _go_to_middle(self, volume: CTVolume) -> None:
        first = self._viewer.dims.ndim - 3
        middle = [size // 2 for size in volume.shape]
        world = index_to_world(self._layer, middle)
        self._viewer.dims.set_point(range(first, first + 3), world)

    def _on_inserted(self, event: Any) -> None:
        layer, volume = event.value, volume_of(self._layer)
        if volume is None:
            return
        if not is_marked(layer):
            mark_layer(layer, volume)
        elif layer is not self._layer and is_foreign(layer, volume):
            # napari selects a new layer right afterwards; a scan is then chosen and shown.
            layer.visible = False

    def _on_dims(self, event: Any = None) -> None:  # noqa: ARG002 - napari passes the event
        """Move the viewer back into the scan: its sliders span every layer, hidden ones, too."""
        dims, volume = self._viewer.dims, volume_of(self._layer)
        if volume is not None and dims.ndim >= 3 and self._layer in self._viewer.layers:
            index = world_to_index(self._layer, dims.point)
            inside = np.clip(index, 0, np.asarray(volume.shape) - 1)
            if np.abs(index - inside).max() > 0.5:
                first = dims.ndim - 3
                dims.set_point(range(first, first + 3), index_to_world(self._layer, tuple(inside)))
                return
        self._show_caption()

    def _on_size(self, event: Any = None) -> None:  # noqa: ARG002 - napari passes the event
        """Fit the body to the canvas again, unless the reader has moved or zoomed it."""
        viewer = self._viewer
        before, self._size = self._size, viewer.canvas.size
        self._show_caption()
        if volume_of(self._layer) is None or min(before) <= 0:
            return
        if viewer.dims.ndisplay == 3:
            viewer.scene.camera.zoom *= min(self._size) / min(before)
        elif is_fitted(viewer, self._layer, before):
            fit_scan(viewer, self._layer)

    def _show_caption(self, event: Any = None) -> None:  # noqa: ARG002 - napari passes the event
        """Write the scan's name and the number of the image onto the picture."""
        if self._caption is None:
            return
        volume = volume_of(self._layer)
        self._caption.visible = volume is not None
        if volume is None:
            self._caption.text = ""
            return
        most = longest_name(self._viewer.canvas.size[1])
        name, plane = str(self._layer.name), current_plane(self._viewer)
        text = name if len(name) <= most else f"{name[: most - 1]}…"
        if plane in PLANES:
            axis = PLANES[plane][0]
            index = float(world_to_index(self._layer, self._viewer.dims.point)[axis])
            text += f"\n{image_of(volume, axis, index)}"
        if text != self._caption.text:
            self._caption.text = text
