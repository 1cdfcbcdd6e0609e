"""The anatomical letters of the 3D view, compared with where the picture shows the patient."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_ct_assistant.viewer.scan.layers import add_volume
from napari_ct_assistant.viewer.views.letters import letters_in_3d
from napari_ct_assistant.viewer.views.planes import show_3d
from tests.viewer.views.test_planes import shown_letters

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_ct_assistant.viewer.panel import CTAssistantPanel
    from napari_ct_assistant.volume import CTVolume

FRONT = {"top": "H", "bottom": "F", "left": "R", "right": "L"}


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2)])
@pytest.mark.parametrize("depth", ["away", "towards"])
def test_the_block_lies_where_the_letters_say(
    make_panel: Callable[..., CTAssistantPanel], ct: CTVolume, order: tuple[int, ...], depth: str
) -> None:
    """The block in front, to the right, near the head, in views from four sides."""
    panel = make_panel(show=True)
    viewer = panel.viewer
    layer = add_volume(viewer, ct)
    show_3d(viewer)
    assert shown_letters(panel) == FRONT
    camera = viewer.scene.camera
    viewer.dims.order = order
    camera.orientation = (depth, *camera.orientation[1:])
    viewer.canvas.overlays.scale_bar.visible = False
    wrong = []
    seen = set()
    for view, up in (
        ((0, 1, 0), (-1, 0, 0)),
        ((0, -1, 0), (-1, 0, 0)),
        ((0, 0, -1), (-1, 0, 0)),
        ((-1, 0, 0), (0, -1, 0)),
    ):
        camera.set_view_direction(
            view_direction=[view[axis] for axis in order], up_direction=[up[axis] for axis in order]
        )
        camera.zoom *= 0.999  # the canvas is drawn anew
        letters = shown_letters(panel)
        for edge in letters:
            viewer.canvas.overlays[f"ct_{edge}"].visible = False
        viewer.canvas.overlays["ct_caption"].visible = False
        picture = viewer.screenshot(flash=False)[..., 0].astype(float)
        for edge in letters:
            viewer.canvas.overlays[f"ct_{edge}"].visible = True
        rows, columns = np.nonzero(picture > 100)
        assert len(rows) > 20, (view, picture.max())
        left = columns.mean() < picture.shape[1] / 2
        above = rows.mean() < picture.shape[0] / 2
        ends = {"left": left, "right": not left, "top": above, "bottom": not above}
        wrong += [
            (view, edge, letters) for edge, so in ends.items() if so != (letters[edge] in "RAH")
        ]
        seen |= set(letters.values())
    assert wrong == []
    assert seen == set("RLAPHF")
    assert layer in viewer.layers


def test_letters_follow_a_view_that_is_turned(
    make_panel: Callable[..., CTAssistantPanel], ct: CTVolume
) -> None:
    panel = make_panel()
    viewer = panel.viewer
    add_volume(viewer, ct)
    show_3d(viewer)
    viewer.scene.camera.set_view_direction(view_direction=(0, 1, -1), up_direction=(-1, 0, 0))
    turned = shown_letters(panel)
    assert {edge: "".join(sorted(text)) for edge, text in turned.items()} == {
        "top": "H", "bottom": "F", "left": "AR", "right": "LP"
    }  # fmt: skip
    panel.view_bar.show_plane("axial")
    assert shown_letters(panel) == {"top": "A", "bottom": "P", "left": "R", "right": "L"}


def test_a_slight_tilt_keeps_one_letter() -> None:
    assert letters_in_3d((0.1, 1, -0.3), (-1, 0.1, 0)) == FRONT
    assert letters_in_3d((0, 1, -0.6), (-1, 0, 0))["left"] == "RA"


def test_the_name_of_the_scan_keeps_off_the_letter(
    make_panel: Callable[..., CTAssistantPanel], ct: CTVolume
) -> None:
    panel = make_panel()
    viewer = panel.viewer
    layer = add_volume(viewer, ct)
    layer.name = "A series with a very long description, of which there are many, 0.6 mm"
    for width, most in ((495, 36), (1400, 55)):
        viewer.canvas.size = (600, width)
        name = viewer.canvas.overlays["ct_caption"].text.splitlines()[0]
        assert most - 2 <= len(name) <= most
        assert name.endswith("\u2026")
    viewer.canvas.size = (600, 2000)
    assert viewer.canvas.overlays["ct_caption"].text.splitlines()[0] == layer.name
