"""Axial, coronal and sagittal views, and the view of the bones in 3D."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from napari_ct_assistant.support.translation import N_, Texts
from napari_ct_assistant.viewer.views.fitting import fit_scan, shown_scan

if TYPE_CHECKING:
    from napari.viewer import Viewer

# `dims.order` of the last three axes (I, P, L). With napari's default camera, each view is
# radiological: the patient's right is on the left of the screen, and the head is up.
PLANES: Final[dict[str, tuple[int, int, int]]] = {
    "axial": (0, 1, 2),
    "coronal": (1, 0, 2),
    "sagittal": (2, 0, 1),
}
PLANE_NAMES: Final = Texts(
    {"axial": N_("Axial"), "coronal": N_("Coronal"), "sagittal": N_("Sagittal")}
)
# What the 3D view shows as black and as white, in HU, and how fast the depth fades.
BONES: Final = (150.0, 1000.0)
ATTENUATION: Final = 0.3
# In the metadata of a CT layer while it is shown in 3D: its `PlaneView` before.
VIEW_KEY: Final = "ct_view_before_3d"


class PlaneView(NamedTuple):
    """What was on screen before a scan was shown in 3D."""

    plane: str
    zoom: float
    center: tuple[float, ...]
    point: tuple[float, ...]
    limits: tuple[float, float]


def set_plane(viewer: Viewer, plane: str) -> None:
    """Show `plane` ("axial", "coronal" or "sagittal") in 2D and fit it to the canvas.

    Back from 3D, the plane that was on screen before has its zoom and place again.
    """
    dims = viewer.dims
    first = dims.ndim - 3
    if first < 0:
        return
    layer = shown_scan(viewer)
    before = None if layer is None else layer.metadata.pop(VIEW_KEY, None)
    dims.ndisplay = 2
    dims.order = (*range(first), *(first + axis for axis in PLANES[plane]))
    if layer is None or before is None:
        fit_scan(viewer)
        return
    if tuple(layer.contrast_limits) == BONES:
        layer.contrast_limits = before.limits
    dims.point = before.point
    if before.plane == plane:
        viewer.scene.camera.zoom, viewer.scene.camera.center = before.zoom, before.center
    else:
        fit_scan(viewer)


def show_3d(viewer: Viewer) -> None:
    """Show the bones of the scan from the front, in the axis order (I, P, L).

    Other orders may mirror the volume.
    """
    camera, dims, layer = viewer.scene.camera, viewer.dims, shown_scan(viewer)
    plane = current_plane(viewer)
    if layer is not None:
        if plane in PLANES:
            layer.metadata[VIEW_KEY] = PlaneView(
                plane, camera.zoom, camera.center, dims.point, tuple(layer.contrast_limits)
            )
        # A plain maximum projection shows the bones of front and back on top of each other.
        layer.rendering, layer.attenuation = "attenuated_mip", ATTENUATION
        layer.contrast_limits = BONES
    dims.order = tuple(range(dims.ndim))
    dims.ndisplay = 3
    fit_scan(viewer)
    camera.set_view_direction(view_direction=(0, 1, 0), up_direction=(-1, 0, 0))


def current_plane(viewer: Viewer) -> str | None:
    """Return the plane on screen, "3d", or None for any other axis order."""
    dims = viewer.dims
    if dims.ndisplay == 3:
        return "3d"
    first = dims.ndim - 3
    order = tuple(axis - first for axis in dims.order[-3:])
    return next((name for name, axes in PLANES.items() if axes == order), None)
