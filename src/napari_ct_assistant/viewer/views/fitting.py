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
    if volume_of(layer) is None:
        viewer.reset_view()
        return
    # napari cannot fit to a layer that has fewer axes than the viewer.
    alone = [layer] if layer.ndim == viewer.dims.ndim else None
    viewer.reset_view(layers=alone, margin=MARGIN)
    if viewer.dims.ndisplay == 2:
        camera = viewer.scene.camera
        camera.zoom, middle = fitted_view(viewer, layer, viewer.canvas.viewbox_size(viewer.layers))
        camera.center = (camera.center[0], *middle)


def fitted_view(
    viewer: Viewer, layer: Any, size: tuple[float, float]
) -> tuple[float, tuple[float, float]]:
    """Return zoom and centre (world mm, vertical and horizontal) at which the body fits a canvas.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        It shows a plane.
    layer : napari.layers.Image
        A CT layer.
    size : (float, float)
        Height and width of the canvas in pixels.
    """
    volume = volume_of(layer)
    if volume is None:
        raise ValueError(f"layer {layer.name!r} shows no CT scan: there is no body to fit to")
    shown = [axis - viewer.dims.ndim for axis in viewer.dims.displayed]
    scale = np.asarray(layer.scale)
    first, last = body_box(volume) * scale + np.asarray(layer.translate)
    zoom = (1 - MARGIN) * float((np.asarray(size, float) / (last - first + scale)[shown]).min())
    down, across = ((first + last) / 2)[shown]
    return zoom, (float(down), float(across))


def is_fitted(viewer: Viewer, layer: Any, size: tuple[float, float]) -> bool:
    """Return whether the camera fits the body to a canvas of this size (height, width)."""
    if volume_of(layer) is None or viewer.dims.ndisplay != 2:
        return False
    zoom, middle = fitted_view(viewer, layer, size)
    camera = viewer.scene.camera
    away = np.abs(np.asarray(camera.center[-2:]) - middle)
    return bool(abs(camera.zoom / zoom - 1) < 1e-3 and away.max() * zoom < 1)
