"""Fits the camera to the body of one scan, whatever else is in the viewer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.viewer.scan.layers import volume_of
from napari_ct_assistant.volume.regions import BODY_HU

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_ct_assistant.volume import CTVolume

# Enough samples along each axis for the outline of a body.
SAMPLES: Final = 96
# A row or column with less tissue than this share of the fullest one is a table or noise.
LEAST_SHARE: Final = 0.04
MARGIN: Final = 0.04


def body_box(volume: CTVolume) -> NDArray[np.int64]:
    """Return the first and the last voxel index of the body along (I, P, L): int [2, 3].

    The whole scan where no body is found.
    """
    steps = [max(1, size // SAMPLES) for size in volume.shape]
    body = volume.hu[tuple(slice(None, None, step) for step in steps)] > BODY_HU
    last = np.asarray(volume.shape) - 1
    box = np.array([np.zeros(3, int), last])
    if not body.any():
        return box
    for axis, step in enumerate(steps):
        share = body.mean(axis=tuple(n for n in range(3) if n != axis))
        full = np.flatnonzero(share >= LEAST_SHARE * share.max())
        box[:, axis] = full[0] * step, min(last[axis], full[-1] * step + step - 1)
    return box


def shown_scan(viewer: Viewer) -> Any:
    """Return the CT layer that fills the canvas, None unless exactly one is visible."""
    shown = [one for one in viewer.layers if one.visible and volume_of(one) is not None]
    return shown[0] if len(shown) == 1 else None


def fit_scan(viewer: Viewer, layer: Any = None) -> None:
    """Fit the camera to a scan's body, by default that of the scan on screen."""
    layer = shown_scan(viewer) if layer is None else layer
    volume = volume_of(layer)
    if volume is None:
        viewer.reset_view()
        return
    viewer.reset_view(layers=[layer], margin=MARGIN)
    if viewer.dims.ndisplay != 2:
        return
    first, last = body_box(volume) * np.asarray(layer.scale) + np.asarray(layer.translate)
    camera, shown = viewer.scene.camera, [axis - viewer.dims.ndim for axis in viewer.dims.displayed]
    whole = np.asarray(layer.scale) * np.asarray(volume.shape)
    body = (last - first) + np.asarray(layer.scale)
    # The camera's zoom is the smaller of the two ratios of canvas to scene.
    canvas = np.asarray(viewer.canvas.size, float)
    ratios = canvas / body[shown], canvas / whole[shown]
    camera.zoom *= float(ratios[0].min() / ratios[1].min())
    middle = (first + last) / 2
    camera.center = (camera.center[0], middle[shown[0]], middle[shown[1]])
