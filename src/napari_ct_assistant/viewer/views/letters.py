"""The anatomical letters at the edges of the canvas, in 2D and in 3D."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from napari.components.overlays import TextOverlay

from napari_ct_assistant.viewer.scan.layers import CT_KEY

if TYPE_CHECKING:
    from napari.viewer import Viewer
    from numpy.typing import ArrayLike

# The letters at the start and at the end of each axis. Head and feet, as scanners write them,
# rather than S and I: a single I at an edge looks like a line.
AXIS_LETTERS: Final = (("H", "F"), ("A", "P"), ("R", "L"))
# A direction has the letter of an axis that it is within 67.5 degrees of.
ALONG: Final = 0.383
# Behind the letters, so that they can be read over air, over bone and in a light theme.
SHADE: Final = (0.0, 0.0, 0.0, 0.5)
POSITIONS: Final = {
    "top": "top_center",
    "bottom": "bottom_center",
    "left": "middle_left",
    "right": "middle_right",
}
# Below this width in pixels, letters in the middle would lie on the caption and the scale bar.
NARROW: Final = 520
NARROW_POSITIONS: Final = POSITIONS | {"top": "top_right", "bottom": "bottom_left"}


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


def letters_in_3d(view: ArrayLike, up: ArrayLike, *, right_handed: bool = True) -> dict[str, str]:
    """Return the letters at each edge of a 3D view, such as "LP" where the view is oblique.

    Parameters
    ----------
    view, up : array-like of 3 numbers
        The directions into the screen and up on it, in (I, P, L).
    right_handed : bool, optional
        As napari's camera is, unless one of its axes was turned over.

    Returns
    -------
    dict
        Keys top, bottom, left, right.
    """
    right = np.cross(np.asarray(view, float), np.asarray(up, float)) * (1 if right_handed else -1)
    return {
        "top": _letters_along(up),
        "bottom": _letters_along(-np.asarray(up)),
        "left": _letters_along(-right),
        "right": _letters_along(right),
    }


def _letters_along(direction: ArrayLike) -> str:
    """Return the letters of a direction, the main one first, as DICOM's patient orientation."""
    along = np.asarray(direction, float)
    along = along / max(float(np.linalg.norm(along)), 1e-9)
    axes = [axis for axis in np.argsort(-np.abs(along)) if abs(along[axis]) > ALONG]
    return "".join(AXIS_LETTERS[axis][int(along[axis] > 0)] for axis in axes)


class AnatomicalLetters:
    """Letters at the four edges of the canvas, updated when the view turns.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The letters are shown while it has a CT layer.
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
            viewer.scene.camera.events.angles,
            viewer.canvas.events.size,
        )

    def refresh(self, event: Any = None) -> None:  # noqa: ARG002 - napari passes the event
        """Show the letters of the axes on screen."""
        viewer = self._viewer
        dims = viewer.dims
        first = dims.ndim - 3
        shown = [axis - first for axis in dims.displayed]
        ct = any(CT_KEY in layer.metadata for layer in viewer.layers)
        visible = ct and min(shown) >= 0
        letters = self._of_view(shown) if visible else dict.fromkeys(POSITIONS, "")
        narrow = viewer.canvas.size[1] < NARROW
        for edge, overlay in self._overlays.items():
            overlay.position = (NARROW_POSITIONS if narrow else POSITIONS)[edge]
            overlay.text = letters[edge]
            overlay.visible = visible

    def _of_view(self, shown: Sequence[int]) -> dict[str, str]:
        camera = self._viewer.scene.camera
        if self._viewer.dims.ndisplay == 2:
            return edge_letters(shown, camera.orientation2d)
        view, up = np.zeros(3), np.zeros(3)
        view[list(shown)], up[list(shown)] = camera.view_direction, camera.up_direction
        right_handed = str(camera.handedness) == "right"
        # An odd order of the axes mirrors the picture.
        odd = tuple(shown) in ((0, 2, 1), (1, 0, 2), (2, 1, 0))
        return letters_in_3d(view, up, right_handed=right_handed != odd)

    def remove(self) -> None:
        """Remove the letters and stop following the viewer."""
        for event in self._events():
            event.disconnect(self.refresh)
        for edge in self._overlays:
            self._viewer.canvas.overlays.pop(f"ct_{edge}", None)
        self._overlays.clear()
