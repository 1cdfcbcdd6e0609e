"""The heat map over the slices: one napari image layer, reused for every sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from napari.layers import Image
from napari.utils.colormaps import Colormap

from napari_ct_assistant.support.translation import N_, _
from napari_ct_assistant.viewer.scan.belonging import mark_layer
from napari_ct_assistant.viewer.scan.layers import CT_KEY, index_to_world

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_ct_assistant.backends.heat_map import HeatMap

HEAT_KEY: Final = "ct_evidence"
NAME: Final = N_("Evidence")
OPACITY: Final = 0.6
# The cells of the model's grid measure 24 to 48 mm; the map is interpolated to steps of a few mm.
FINER: Final = 6
# Values below this are not drawn, so that the eye goes to where the sentence comes from.
COOLEST: Final = 0.15
COLOURS: Final = Colormap(
    [(1.0, 0.85, 0.2, 0.0), (1.0, 0.6, 0.1, 0.55), (1.0, 0.2, 0.05, 1.0)], name="ct_evidence"
)


def heat_kwargs(scan_layer: Any, heat: HeatMap) -> dict[str, Any]:
    """Return data, scale and translate of the layer that shows `heat` over a scan's layer.

    The axes of the model's grid are parallel to the volume's, and so to the layer's.
    """
    from scipy import ndimage

    volume = scan_layer.metadata[CT_KEY]
    corners = heat.affine @ np.array([[0, 0, 0, 1], [1, 1, 1, 1]], dtype=float).T
    first, second = (volume.ras_to_index(corner[:3]) for corner in corners.T)
    step = np.abs(second - first) * np.asarray(scan_layer.scale, dtype=float)[-3:]
    data = ndimage.zoom(heat.values, FINER, order=1, mode="nearest", grid_mode=True)
    scale = step / FINER
    # The outer edges of the first voxels coincide.
    translate = np.asarray(index_to_world(scan_layer, first)) + (scale - step) / 2
    # Cut to the scan: a larger layer would make the sliders longer and the image smaller.
    low = np.asarray(index_to_world(scan_layer, (-0.5, -0.5, -0.5)))
    last = [size - 0.5 for size in volume.shape]
    high = np.asarray(index_to_world(scan_layer, last))
    start = np.ceil((low - translate) / scale + 0.5 - 1e-6).clip(0, None).astype(int)
    stop = np.floor((high - translate) / scale + 0.5 + 1e-6).astype(int)
    stop = np.clip(stop, start + 1, data.shape)
    start = np.minimum(start, stop - 1)
    part = data[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]
    return {
        "data": part.astype(np.float32),
        "scale": scale,
        "translate": translate + start * scale,
    }


class HeatLayer:
    """Shows one heat map at a time.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    """

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._opacity = OPACITY

    @property
    def layer(self) -> Image | None:
        """The layer, None if there is none or the reader has deleted it."""
        return next((one for one in self._viewer.layers if HEAT_KEY in one.metadata), None)

    def show(self, scan_layer: Any, heat: HeatMap, about: str) -> Image:
        """Show `heat` over a scan's layer; `about` is the sentence that it belongs to."""
        placed = heat_kwargs(scan_layer, heat)
        layer = self.layer
        if layer is not None and layer.data.shape == placed["data"].shape:
            layer.data = placed["data"]
            # Each of these draws the layer again; the maps of one scan lie at the same place.
            for name in ("scale", "translate"):
                if not np.array_equal(getattr(layer, name), placed[name]):
                    setattr(layer, name, placed[name])
        else:
            if layer is not None:
                self._viewer.layers.remove(layer)
            layer = self._add(placed)
        layer.metadata[HEAT_KEY] = about
        mark_layer(layer, scan_layer.metadata[CT_KEY])
        if not layer.visible:
            # napari builds all shaders again, even where nothing changes.
            layer.visible = True
        return layer

    def _add(self, placed: dict[str, Any]) -> Image:
        selection = self._viewer.layers.selection
        selected, active = set(selection), selection.active
        layer = Image(
            **placed,
            name=_(NAME),
            colormap=COLOURS,
            contrast_limits=(COOLEST, 1.0),
            blending="translucent_no_depth",
            interpolation2d="linear",
            opacity=self._opacity,
            units=("mm",) * 3,
            axis_labels=("I", "P", "L"),
            metadata={HEAT_KEY: ""},
        )
        self._viewer.add_layer(layer)
        # The scan stays selected, so that windows and tools act on it.
        selection.clear()
        selection.update(selected)
        selection.active = active
        return layer

    def blank(self) -> None:
        """Show no map until the next one.

        The layer stays visible, with nothing in it: napari builds the shaders of all that is on
        the canvas again when a layer is hidden or shown, which takes longer than a new map.
        """
        layer = self.layer
        if layer is not None and layer.visible and layer.metadata[HEAT_KEY]:
            layer.data = np.zeros_like(layer.data)
            layer.metadata[HEAT_KEY] = ""

    @property
    def visible(self) -> bool:
        """Whether a map is shown."""
        layer = self.layer
        return layer is not None and bool(layer.visible and layer.metadata[HEAT_KEY])

    def set_visible(self, visible: bool) -> None:
        """Show or hide the map."""
        layer = self.layer
        if layer is not None:
            layer.visible = visible

    def set_opacity(self, opacity: float) -> None:
        """Set the opacity, 0 to 1, of this map and of later ones."""
        self._opacity = opacity
        layer = self.layer
        if layer is not None:
            layer.opacity = opacity

    def remove(self) -> None:
        """Remove the map."""
        layer = self.layer
        if layer is not None:
            self._viewer.layers.remove(layer)
