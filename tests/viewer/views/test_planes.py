"""Radiological views: the patient's right on the left of the screen, the head up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QPoint, Qt

from napari_ct_assistant.viewer.scan.layers import add_volume, world_to_index
from napari_ct_assistant.viewer.views.letters import edge_letters
from napari_ct_assistant.viewer.views.planes import current_plane, show_3d
from tests.viewer.mouse import send_move

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytestqt.qtbot import QtBot

    from napari_ct_assistant.viewer.panel import CTAssistantPanel
    from napari_ct_assistant.volume import CTVolume

LETTERS = {
    "axial": {"top": "A", "bottom": "P", "left": "R", "right": "L"},
    "coronal": {"top": "H", "bottom": "F", "left": "R", "right": "L"},
    "sagittal": {"top": "H", "bottom": "F", "left": "A", "right": "P"},
}


def shown_letters(panel: CTAssistantPanel) -> dict[str, str]:
    overlays = panel.viewer.canvas.overlays
    return {
        edge: overlays[f"ct_{edge}"].text
        for edge in ("top", "bottom", "left", "right")
        if overlays[f"ct_{edge}"].visible
    }


# The RAS axis and direction that a letter stands for.
TOWARDS = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "H": (2, 1), "F": (2, -1)}


def test_letters_name_what_lies_at_the_edges_of_the_canvas(
    make_panel: Callable[..., CTAssistantPanel], ct: CTVolume, qtbot: QtBot
) -> None:
    """The letters are checked against the canvas: which patient point lies under each edge."""
    panel = make_panel(show=True)
    viewer = panel.viewer
    layer = add_volume(viewer, ct)
    canvas = viewer.window._qt_viewer.canvas
    for plane, letters in LETTERS.items():
        qtbot.mouseClick(panel.view_bar.plane_buttons[plane], Qt.MouseButton.LeftButton)
        assert shown_letters(panel) == letters
        assert panel.view_bar.plane_buttons[plane].isChecked()
        viewer.screenshot(flash=False)  # draws once, so that the camera has moved
        height, width = canvas.size
        ends = [
            ct.index_to_ras(world_to_index(layer, canvas._map_canvas2world(corner, canvas.view)))
            for corner in ((0, 0), (width, height))
        ]
        for edge, start, end in (
            ("left", *ends),
            ("top", *ends),
            ("right", *ends[::-1]),
            ("bottom", *ends[::-1]),
        ):
            axis, sign = TOWARDS[letters[edge]]
            assert np.sign(start[axis] - end[axis]) == sign, (plane, edge)


def test_bright_block_appears_where_it_lies_in_the_patient(
    make_panel: Callable[..., CTAssistantPanel], ct: CTVolume
) -> None:
    """In front, to the right: top left of an axial picture."""
    panel = make_panel(show=True)
    viewer = panel.viewer
    add_volume(viewer, ct)
    panel.view_bar.show_plane("axial")
    viewer.dims.set_current_step(0, 3)
    viewer.canvas.overlays.scale_bar.visible = False
    for edge in ("top", "bottom", "left", "right"):
        viewer.canvas.overlays[f"ct_{edge}"].visible = False
    picture = viewer.screenshot(flash=False)[..., 0].astype(float)
    bright = np.argwhere(picture > 200)
    middle = np.array(picture.shape) / 2
    assert np.all(bright.mean(axis=0) < middle)


def test_letters_follow_the_axis_order_and_the_camera() -> None:
    assert edge_letters((0, 2)) == LETTERS["coronal"]
    assert edge_letters((2, 1)) == {"top": "R", "bottom": "L", "left": "A", "right": "P"}
    flipped = edge_letters((1, 2), ("up", "left"))
    assert flipped == {"top": "P", "bottom": "A", "left": "L", "right": "R"}


def test_3d_puts_the_axes_in_order_first(
    make_panel: Callable[..., CTAssistantPanel], ct: CTVolume
) -> None:
    """An odd order would mirror the patient in the volume rendering."""
    panel = make_panel()
    viewer = panel.viewer
    add_volume(viewer, ct)
    panel.view_bar.show_plane("coronal")
    assert viewer.dims.order == (1, 0, 2)
    orders = []
    viewer.dims.events.ndisplay.connect(lambda event: orders.append(viewer.dims.order))
    show_3d(viewer)
    assert orders == [(0, 1, 2)]
    assert current_plane(viewer) == "3d"


def test_letters_are_hidden_without_a_ct(
    make_panel: Callable[..., CTAssistantPanel], ct: CTVolume
) -> None:
    panel = make_panel()
    viewer = panel.viewer
    assert shown_letters(panel) == {}
    layer = add_volume(viewer, ct)
    assert shown_letters(panel) == LETTERS["axial"]
    viewer.layers.remove(layer)
    assert shown_letters(panel) == {}


def test_readout_gives_hu_and_place_under_the_pointer(
    make_panel: Callable[..., CTAssistantPanel], ct: CTVolume, qtbot: QtBot
) -> None:
    panel = make_panel(show=True)
    viewer = panel.viewer
    layer = add_volume(viewer, ct)
    viewer.dims.set_current_step(0, 3)
    viewer.screenshot(flash=False)
    canvas = viewer.window._qt_viewer.canvas
    at = (3, 8, 10)  # inside the bright block
    world = np.array(layer.data_to_world(at))[1:]
    height, width = canvas.size
    start = np.array(canvas._map_canvas2world((0, 0), canvas.view))[1:]
    end = np.array(canvas._map_canvas2world((width, height), canvas.view))[1:]
    y, x = (world - start) / (end - start) * (height, width)
    send_move(canvas.native, QPoint(round(x), round(y)))
    qtbot.waitUntil(lambda: "700 HU" in panel.view_bar.readout.text(), timeout=2000)
    ras = ct.index_to_ras(at)
    text = panel.view_bar.readout.text()
    assert f"R {ras[0]:.0f}" in text
    assert "image 4 of 20" in panel.view_bar.slice_line.text()
