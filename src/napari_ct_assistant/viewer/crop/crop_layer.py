"""The frame around the part of a scan that a model reads: one napari image layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from napari.layers import Image
from napari.utils.colormaps import Colormap
from numpy.typing import NDArray

from napari_ct_assistant.support.translation import N_, _
from napari_ct_assistant.viewer.scan.belonging import mark_layer
from napari_ct_assistant.viewer.scan.layers import CT_KEY, index_to_world

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_ct_assistant.volume import ModelGrid

CROP_KEY: Final = "ct_crop"
NAME: Final = N_("Part that is read")
OPACITY: Final = 0.7
LINE_MM: Final = 2.0  # width of the frame, where the scan's own voxels are not larger
COLOURS: Final = Colormap([(0.2, 0.9, 1.0, 0.0), (0.2, 0.9, 1.0, 1.0)], name="ct_crop")


def frame_kwargs(scan_layer: Any, grid: ModelGrid) -> dict[str, Any]:
    """Return data, scale and translate of the layer that frames a box over a scan's layer.

    The frame lies within the box, and is cut off where the box leaves the scan. The axes of the
    box are parallel to the volume's, up to their direction.
    """
    volume = scan_layer.metadata[CT_KEY]
    ends = np.array([[-0.5, n - 0.5] for n in grid.shape])
    corners = (grid.affine @ np.array([[*ends[:, 0], 1.0], [*ends[:, 1], 1.0]]).T).T[:, :3]
    world = np.array([index_to_world(scan_layer, volume.ras_to_index(c)) for c in corners])
    low, high = world.min(axis=0), world.max(axis=0)
    # Not finer than the scan: the sliders' steps would become finer, too.
    least = np.maximum(np.abs(np.asarray(scan_layer.scale, dtype=float)[-3:]), LINE_MM)
    cells = np.floor((high - low) / least + 1e-6).clip(3, None).astype(int)
    cell = (high - low) / cells
    first = np.asarray(index_to_world(scan_layer, (-0.5, -0.5, -0.5)))
    last = np.asarray(index_to_world(scan_layer, [n - 0.5 for n in volume.shape]))
    start = np.ceil((np.minimum(first, last) - low) / cell - 1e-6).clip(0, cells - 1).astype(int)
    stop = np.floor((np.maximum(first, last) - low) / cell + 1e-6).clip(1, cells).astype(int)
    stop = np.maximum(stop, start + 1)
    part = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    return {
        "data": _frame(cells)[part],
        "scale": cell,
        "translate": low + (start + 0.5) * cell,
    }


def _frame(cells: NDArray[np.int_]) -> NDArray[np.float32]:
    """Return a box of cells in which the faces are 1."""
    frame = np.zeros(cells, dtype=np.float32)
    for axis in range(3):
        faces = np.moveaxis(frame, axis, 0)
        faces[0] = faces[-1] = 1.0
    return frame


class CropLayer:
    """Shows one frame at a time.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    """

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer

    @property
    def layer(self) -> Image | None:
        """The layer, None if there is none or the reader has deleted it."""
        return next((one for one in self._viewer.layers if CROP_KEY in one.metadata), None)

    def show(self, scan_layer: Any, grid: ModelGrid) -> Image:
        """Frame a box over a scan's layer."""
        placed = frame_kwargs(scan_layer, grid)
        shown = self.layer
        if shown is not None and _is_at(shown, placed):
            return shown
        # Another range of the sliders must not move the reader to another slice.
        point = self._viewer.dims.point
        self.remove()
        selection = self._viewer.layers.selection
        selected, active = set(selection), selection.active
        layer = Image(
            **placed,
            name=_(NAME),
            colormap=COLOURS,
            contrast_limits=(0.0, 1.0),
            blending="translucent_no_depth",
            interpolation2d="nearest",
            opacity=OPACITY,
            units=("mm",) * 3,
            axis_labels=("I", "P", "L"),
            metadata={CROP_KEY: True},
        )
        mark_layer(layer, scan_layer.metadata[CT_KEY])
        self._viewer.add_layer(layer)
        # The scan stays selected, so that windows and tools act on it.
        selection.clear()
        selection.update(selected)
        selection.active = active
        self._viewer.dims.point = point
        return layer

    def remove(self) -> None:
        """Remove the frame."""
        layer = self.layer
        if layer is not None:
            self._viewer.layers.remove(layer)


def _is_at(layer: Any, placed: dict[str, Any]) -> bool:
    """Return whether a layer is placed so already."""
    same = layer.data.shape == placed["data"].shape
    return same and all(np.allclose(getattr(layer, k), placed[k]) for k in ("scale", "translate"))
