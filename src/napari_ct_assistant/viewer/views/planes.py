"""Axial, coronal and sagittal views, and the anatomical letters at the canvas edges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from napari.components.overlays import TextOverlay

from napari_ct_assistant.support.translation import N_, Texts
from napari_ct_assistant.viewer.scan.layers import CT_KEY
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
# The letters at the start and at the end of each axis. Head and feet, as scanners write them,
# rather than S and I: a single I at an edge looks like a line.
AXIS_LETTERS: Final = (("H", "F"), ("A", "P"), ("R", "L"))
# Behind the letters, so that they can be read over air, over bone and in a light theme.
SHADE: Final = (0.0, 0.0, 0.0, 0.5)
# What the 3D view shows as black and as white, in HU, and how fast the depth fades.
BONES: Final = (150.0, 1000.0)
ATTENUATION: Final = 0.3
# In the metadata of a CT layer while it is shown in 3D: its `PlaneView` before.
VIEW_KEY: Final = "ct_view_before_3d"
POSITIONS: Final = {
    "top": "top_center",
    "bottom": "bottom_center",
    "left": "middle_left",
    "right": "middle_right",
}
# Below this width in pixels, letters in the middle would lie on the caption and the scale bar.
NARROW: Final = 520
NARROW_POSITIONS: Final = POSITIONS | {"top": "top_right", "bottom": "bottom_left"}


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


def edge_letters(
    displayed: Sequence[int], orientation: Sequence[str] = ("down", "right")
) -> dict[str, str]:
    """Return the letter at each edge of a 2D view.

    Parameters
    ----------
    displayed : sequence of int
        The (vertical, horizontal) axes on screen, as indices into (I, P, L).
    orientation : sequence of str, optional
        The directions of the vertical and the horizontal axis, as in napari's camera.

    Returns
    -------
    dict
        Keys top, bottom, left, right.
    """
    top, bottom = AXIS_LETTERS[displayed[0]]
    left, right = AXIS_LETTERS[displayed[1]]
    if str(orientation[0]) == "up":
        top, bottom = bottom, top
    if str(orientation[1]) == "left":
        left, right = right, left
    return {"top": top, "bottom": bottom, "left": left, "right": right}


class AnatomicalLetters:
    """Letters at the four edges of the canvas, updated when the axis order changes.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The letters are shown while it has a CT layer and is in 2D.
    """

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._overlays: dict[str, Any] = {}
        for edge, position in POSITIONS.items():
            overlay = TextOverlay(
                position=position, font_size=14, visible=False, color="white", box_color=SHADE
            )
            self._overlays[edge] = overlay
            viewer.canvas.overlays[f"ct_{edge}"] = overlay
        for event in self._events():
            event.connect(self.refresh)
        self.refresh()

    def _events(self) -> tuple[Any, ...]:
        viewer = self._viewer
        return (
            viewer.dims.events.order,
            viewer.dims.events.ndisplay,
            viewer.dims.events.ndim,
            viewer.layers.events.inserted,
            viewer.layers.events.removed,
            viewer.scene.camera.events.orientation,
            viewer.canvas.events.size,
        )

    def refresh(self, event: Any = None) -> None:  # noqa: ARG002 - napari passes the event
        """Show the letters of the axes on screen."""
        viewer = self._viewer
        dims = viewer.dims
        first = dims.ndim - 3
        shown = [axis - first for axis in dims.displayed]
        ct = any(CT_KEY in layer.metadata for layer in viewer.layers)
        visible = ct and dims.ndisplay == 2 and min(shown) >= 0
        letters = (
            edge_letters(shown, viewer.scene.camera.orientation2d)
            if visible
            else dict.fromkeys(POSITIONS, "")
        )
        narrow = viewer.canvas.size[1] < NARROW
        for edge, overlay in self._overlays.items():
            overlay.position = (NARROW_POSITIONS if narrow else POSITIONS)[edge]
            overlay.text = letters[edge]
            overlay.visible = visible

    def remove(self) -> None:
        """Remove the letters and stop following the viewer."""
        for event in self._events():
            event.disconnect(self.refresh)
        for edge in self._overlays:
            self._viewer.canvas.overlays.pop(f"ct_{edge}", None)
        self._overlays.clear()
