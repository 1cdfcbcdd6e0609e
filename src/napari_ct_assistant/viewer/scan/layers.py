"""Converts a CT volume to a napari layer, and points of a layer to patient space.

The data axes of a CT layer are (I, P, L): towards the feet, the back and the patient's left.
napari's world coordinates are mm along the same three directions, so a world point ``w`` has the
RAS coordinates ``(-w[2], -w[1], -w[0])``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.support.plain_text import without_markup
from napari_ct_assistant.support.translation import _, localized

if TYPE_CHECKING:
    from napari.layers import Image
    from napari.viewer import Viewer

    from napari_ct_assistant.volume import CTVolume

CT_KEY: Final = "ct_volume"
HU_RANGE: Final = (-1024, 3071)
START_WINDOW: Final = (-160, 240)  # soft tissue, 400/40

# Columns: the RAS directions of I, P and L in a volume whose axes are the body axes.
_STRAIGHT: Final = np.array([[0.0, 0.0, -1.0], [0.0, -1.0, 0.0], [-1.0, 0.0, 0.0]])


def is_oblique(volume: CTVolume, tolerance_degrees: float = 0.1) -> bool:
    """Return whether the volume's axes differ from the body axes by more than a tolerance."""
    steps = np.asarray(volume.affine, dtype=float)[:3, :3]
    cosines = np.sum(steps / np.linalg.norm(steps, axis=0) * _STRAIGHT, axis=0)
    return bool(np.any(cosines < np.cos(np.radians(tolerance_degrees))))


def scan_name(volume: CTVolume) -> str:
    """Return the name of a scan's layer: its series description, else its size.

    File and folder names are no names for a scan: they often contain the patient's.
    """
    images, spacing = volume.shape[0], float(np.linalg.norm(volume.affine[:3, 0]))
    return volume.series or _("CT, {images} images, {spacing} mm").format(
        images=images, spacing=localized(f"{spacing:.3g}")
    )


def layer_kwargs(volume: CTVolume, name: str = "") -> dict[str, Any]:
    """Return the keyword arguments of the napari image layer that shows `volume`.

    napari's 2D view ignores rotations. An oblique volume is therefore shown along its own axes,
    with its centre in the right place; the exact affine stays in ``metadata``.

    Parameters
    ----------
    volume : CTVolume
        Axes (I, P, L).
    name : str, optional
        Layer name; by default that of `scan_name`.

    Returns
    -------
    dict
        Scale and translate in mm along (I, P, L), contrast limits in HU.
    """
    affine = np.asarray(volume.affine, dtype=float)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    centre = (np.asarray(volume.shape) - 1) / 2
    centre_ras = affine[:3, :3] @ centre + affine[:3, 3]
    return {
        # napari's labels and tooltips render a name that looks like HTML.
        "name": without_markup(name or scan_name(volume)),
        "scale": spacing,
        "translate": -centre_ras[::-1] - centre * spacing,
        "units": ("mm",) * 3,
        "axis_labels": ("I", "P", "L"),
        "contrast_limits": START_WINDOW,
        "colormap": "gray",
        # Radiologists expect smooth images when zoomed in.
        "interpolation2d": "linear",
        # napari's default is the mean, which converts every slice to floats.
        "projection_mode": "none",
        "metadata": {CT_KEY: volume},
    }


def layer_data(volume: CTVolume, name: str = "") -> tuple[NDArray[np.int16], dict[str, Any], str]:
    """Return `volume` as the layer data tuple that a napari reader returns."""
    return volume.hu, layer_kwargs(volume, name), "image"


def add_volume(viewer: Viewer, volume: CTVolume, name: str = "") -> Image:
    """Add `volume` to `viewer`, select it and return its layer."""
    layer = viewer.add_image(volume.hu, **layer_kwargs(volume, name))
    viewer.layers.selection.active = layer
    return layer


@cache
def prepare_layers() -> None:
    """Make napari ready for its first layer of shapes; call it in a worker thread.

    napari imports pandas and loads its compiled triangulation with the first one. That takes a
    quarter of a second, for which the window would stand still at the reader's first measurement.
    """
    import scipy.ndimage  # noqa: F401 - napari imports it with the first layer
    from napari.layers import Shapes

    Shapes(ndim=3, features={"label": np.empty(0, dtype=object)})


def volume_of(layer: Any) -> CTVolume | None:
    """Return the CT volume that `layer` shows, None if it shows something else.

    A layer made by cropping or resampling a CT layer inherits its metadata, but has another
    geometry. It does not show the volume in its metadata, so the result is None for it, too.
    """
    metadata = getattr(layer, "metadata", None)
    volume: CTVolume | None = metadata.get(CT_KEY) if isinstance(metadata, dict) else None
    if volume is None or tuple(layer.data.shape) != tuple(volume.shape):
        return None
    return volume


def widen_contrast_range(layer: Any) -> None:
    """Extend the contrast slider to all HU; napari limits it to the initial contrast limits."""
    low, high = layer.contrast_limits
    layer.contrast_limits_range = (min(low, HU_RANGE[0]), max(high, HU_RANGE[1]))


def index_to_world(layer: Any, index: Sequence[float]) -> tuple[float, float, float]:
    """Return the napari world point (mm, last three axes) of a voxel index (i, p, l)."""
    world = np.asarray(layer.scale) * np.asarray(index, float) + np.asarray(layer.translate)
    return float(world[-3]), float(world[-2]), float(world[-1])


def world_to_index(layer: Any, world: Sequence[float]) -> NDArray[np.float64]:
    """Return the fractional voxel index (i, p, l) under a napari world point in mm."""
    point = np.asarray(world, float)[-3:]
    return (point - np.asarray(layer.translate)[-3:]) / np.asarray(layer.scale)[-3:]
