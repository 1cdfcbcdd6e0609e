"""Window presets by button, key and right-button drag."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtCore import QPoint, Qt

from napari_ct_assistant.viewer.scan.layers import add_volume
from napari_ct_assistant.viewer.views.windows import PRESETS, window_of
from tests.viewer.mouse import send_move, wait_for_layout

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from napari_ct_assistant.viewer.panel import CTAssistantPanel
    from napari_ct_assistant.volume import CTVolume

Maker = Callable[..., "CTAssistantPanel"]


LIMITS = {
    "Soft tissue": (-160, 240),
    "Lung": (-1350, 150),
    "Bone": (-500, 1300),
    "Brain": (0, 80),
    "Liver": (-45, 105),
    "Mediastinum": (-125, 225),
}


def test_preset_buttons(make_panel: Maker, ct: CTVolume, qtbot: QtBot) -> None:
    panel = make_panel()
    layer = add_volume(panel.viewer, ct)
    for name, limits in LIMITS.items():
        qtbot.mouseClick(panel.view_bar.window_buttons[name], Qt.MouseButton.LeftButton)
        assert tuple(layer.contrast_limits) == limits
        checked = [
            key for key, button in panel.view_bar.window_buttons.items() if button.isChecked()
        ]
        assert checked == [name]


def test_number_keys_work_with_the_canvas_focused_but_not_while_typing(
    make_panel: Maker, ct: CTVolume, qtbot: QtBot
) -> None:
    panel = make_panel(show=True)
    viewer = panel.viewer
    layer = add_volume(viewer, ct)
    canvas = viewer.window._qt_viewer.canvas.native
    with qtbot.waitActive(viewer.window._qt_window):
        viewer.window._qt_window.activateWindow()
    canvas.setFocus()
    qtbot.keyClick(canvas, Qt.Key.Key_2)
    assert window_of(layer).name == "Lung"
    qtbot.keyClick(canvas, Qt.Key.Key_C)
    assert viewer.dims.order == (1, 0, 2)

    box = panel.ask_row.box
    box.setFocus()
    qtbot.keyClicks(box, "3 cm? ACS")
    assert box.toPlainText() == "3 cm? ACS"
    assert window_of(layer).name == "Lung"
    assert viewer.dims.order == (1, 0, 2)


def test_keys_are_left_to_other_layers(make_panel: Maker, ct: CTVolume, qtbot: QtBot) -> None:
    """In a Labels layer the number keys choose tools."""
    panel = make_panel(show=True)
    viewer = panel.viewer
    layer = add_volume(viewer, ct)
    qtbot.waitUntil(lambda: len(panel.view_bar.shortcuts) == 10)
    assert all(shortcut.isEnabled() for shortcut in panel.view_bar.shortcuts)
    viewer.add_labels(ct.hu * 0, scale=layer.scale, units=layer.units)
    assert not any(shortcut.isEnabled() for shortcut in panel.view_bar.shortcuts)
    viewer.layers.selection.active = layer
    assert all(shortcut.isEnabled() for shortcut in panel.view_bar.shortcuts)


def test_right_drag_changes_window_and_not_the_camera(
    make_panel: Maker, ct: CTVolume, qtbot: QtBot
) -> None:
    panel = make_panel(show=True)
    viewer = panel.viewer
    layer = add_volume(viewer, ct)
    canvas = viewer.window._qt_viewer.canvas.native
    viewer.screenshot(flash=False)
    wait_for_layout(viewer, qtbot)
    zoom, centre = viewer.scene.camera.zoom, viewer.scene.camera.center
    before = window_of(layer)
    right = Qt.MouseButton.RightButton
    qtbot.mousePress(canvas, right, pos=QPoint(100, 100))
    for step in (20, 40):
        qtbot.wait(20)  # napari lets a move through every 5 ms
        send_move(canvas, QPoint(100 + step, 100 + step // 2), right)
    qtbot.wait(20)
    qtbot.mouseRelease(canvas, right, pos=QPoint(140, 120))
    after = window_of(layer)
    assert after.width > before.width
    assert after.level > before.level
    assert viewer.scene.camera.zoom == zoom
    assert viewer.scene.camera.center == centre
    assert viewer.scene.camera.mouse_pan


def test_presets_are_the_usual_ones() -> None:
    assert [(preset.width, preset.level) for preset in PRESETS] == [
        (400, 40),
        (1500, -600),
        (1800, 400),
        (80, 40),
        (150, 30),
        (350, 50),
    ]
