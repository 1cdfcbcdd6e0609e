"""Rulers and regions: drawn with the mouse, measured against arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QPoint, QRectF, Qt

from napari_ct_assistant.viewer.measure.labels import free_place
from napari_ct_assistant.viewer.measure.measure_bar import MeasureBar
from napari_ct_assistant.viewer.measure.measuring import length_mm, shape_text
from napari_ct_assistant.viewer.measure.regions import selected_region
from napari_ct_assistant.viewer.preferences import Preferences
from napari_ct_assistant.viewer.scan.layers import add_volume
from napari_ct_assistant.viewer.views.crosshair import canvas_point
from napari_ct_assistant.viewer.views.reading_bar import ReadingBar
from napari_ct_assistant.volume import CTVolume
from tests.viewer.conftest import box_volume
from tests.viewer.mouse import send_move, wait_for_layout

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from napari_ct_assistant.viewer.panel import CTAssistantPanel

Maker = Callable[..., "CTAssistantPanel"]
LEFT = Qt.MouseButton.LeftButton


class Scene:
    """A viewer model with a scan and the measuring bar, without napari's window."""

    def __init__(self, ct: CTVolume, qtbot: QtBot) -> None:
        self.viewer = ViewerModel()
        self.scan = add_volume(self.viewer, ct)
        self.bar = MeasureBar(self.viewer)
        qtbot.addWidget(self.bar)
        self.bar.set_scan(self.scan)
        self.bar.attach()

    def shapes(self) -> Any:
        """Take the tool that chooses, and return the layer of measurements."""
        self.bar.toggle("select")
        layer = self.bar.measurements.layer
        assert layer is not None
        return layer

    def region(self) -> Any:
        return selected_region(self.viewer, self.scan)


@pytest.fixture
def scene(ct: CTVolume, qtbot: QtBot) -> Scene:
    return Scene(ct, qtbot)


def box(axis: int, at: float, low: tuple[float, float], high: tuple[float, float]) -> np.ndarray:
    flat = [low, (high[0], low[1]), high, (low[0], high[1])]
    return np.insert(np.array(flat, float), axis, at, axis=1)


def test_ruler_and_region_drawn_with_the_mouse(
    make_panel: Maker, ct: CTVolume, qtbot: QtBot
) -> None:
    panel = make_panel(show=True)
    viewer, bar = panel.viewer, panel.reading_bar.measure
    scan = add_volume(viewer, ct)
    viewer.dims.set_point((0, 1, 2), scan.data_to_world((3, 20, 24)))
    viewer.screenshot(flash=False)
    canvas = viewer.window._qt_viewer.canvas.native

    def spot(p: float, left: float) -> QPoint:
        world = scan.data_to_world((3, p, left))
        return canvas_point(viewer, world, canvas.width(), canvas.height()).toPoint()

    def drag(start: QPoint, end: QPoint) -> None:
        qtbot.mousePress(canvas, LEFT, pos=start)
        for part in (0.5, 1.0):
            qtbot.wait(20)
            send_move(canvas, start + (end - start) * part, LEFT)
        # Live, while the button is down.
        qtbot.waitUntil(lambda: bool(bar.text.text()), timeout=20_000)
        qtbot.mouseRelease(canvas, LEFT, pos=end)
        qtbot.waitUntil(lambda: bar.measurements.tool == "", timeout=20_000)

    with qtbot.waitActive(viewer.window._qt_window, timeout=20_000):
        viewer.window._qt_window.activateWindow()
    canvas.setFocus()
    wait_for_layout(viewer, qtbot)
    qtbot.keyClick(canvas, Qt.Key.Key_M)
    assert bar.buttons["line"].isChecked()
    # Keys and buttons of the scan go on working while the tool is selected.
    assert viewer.layers.selection.active is scan
    qtbot.keyClick(canvas, Qt.Key.Key_2)
    assert panel.view_bar.window_buttons["Lung"].isChecked()
    # A click is no ruler, and the tool stays for the next try.
    camera = viewer.scene.camera.center
    qtbot.mouseClick(canvas, LEFT, pos=spot(10, 10))
    assert bar.measurements.layer is not None
    assert len(bar.measurements.layer.data) == 0
    assert bar.measurements.tool == "line"
    drag(spot(10, 10), spot(10, 30))
    assert viewer.scene.camera.center == camera
    layer = bar.measurements.layer
    # Back at the scan, with the ruler chosen: window drags and keys work at once.
    assert viewer.layers.selection.active is scan
    ends = np.diff(layer.data[0], axis=0)[0] * scan.scale
    assert bar.text.text() == f"Chest: Distance {np.linalg.norm(ends):.1f} mm"
    assert np.linalg.norm(ends) == pytest.approx(20 * 2.5, abs=3)
    assert list(layer.features["label"]) == [bar.text.text().removeprefix("Chest: Distance ")]
    qtbot.keyClick(canvas, Qt.Key.Key_E)
    drag(spot(6, 6), spot(11, 13))
    assert layer.shape_type == ["line", "ellipse"]
    region = selected_region(viewer, scan)
    assert region == bar.region
    assert region.statistics.mean_hu == 700
    assert (region.side, region.slice) == ("right", 3)
    assert layer.features["label"][1].startswith("700 ± 0 HU")
    assert "image 4" in bar.text.text()
    qtbot.mouseClick(bar.remove_button, LEFT)
    assert layer.shape_type == ["line"]
    qtbot.waitUntil(lambda: not bar.text.text(), timeout=20_000)


def test_a_polygon_is_clicked_and_ends_with_a_double_click(
    make_panel: Maker, ct: CTVolume, qtbot: QtBot
) -> None:
    panel = make_panel(show=True)
    viewer, bar = panel.viewer, panel.reading_bar.measure
    scan = add_volume(viewer, ct)
    viewer.dims.set_point((0, 1, 2), scan.data_to_world((3, 20, 24)))
    viewer.screenshot(flash=False)
    canvas = viewer.window._qt_viewer.canvas.native
    wait_for_layout(viewer, qtbot)
    bar.toggle("polygon")
    corners = ((6, 6), (6, 14), (12, 14), (12, 6))
    for corner in corners:
        world = scan.data_to_world((3, *corner))
        at = canvas_point(viewer, world, canvas.width(), canvas.height()).toPoint()
        send_move(canvas, at)
        qtbot.mouseClick(canvas, LEFT, pos=at)
    qtbot.mouseDClick(canvas, LEFT, pos=at)
    layer = bar.measurements.layer
    assert layer is not None
    assert layer.shape_type == ["polygon"]
    np.testing.assert_allclose(layer.data[0][:, 1:], corners, atol=1)
    assert bar.measurements.tool == ""
    # A tool that is deselected in the middle leaves nothing behind, and panning is on again.
    bar.toggle("polygon")
    qtbot.mouseClick(canvas, LEFT, pos=at)
    bar.toggle("polygon")
    assert len(layer.data) == 1
    assert viewer.scene.camera.mouse_pan


def test_texts_of_measurements_stay_apart_and_on_their_slice(
    make_panel: Maker, ct: CTVolume, qtbot: QtBot
) -> None:
    panel = make_panel(show=True)
    viewer, bar = panel.viewer, panel.reading_bar.measure
    scan = add_volume(viewer, ct)
    wait_for_layout(viewer, qtbot)
    viewer.dims.set_point((0, 1, 2), scan.data_to_world((3, 20, 24)))
    bar.toggle("select")
    layer, labels = bar.measurements.layer, panel.reading_bar._labels
    assert layer is not None
    assert labels is not None
    # Two rulers with the same end, and one on another slice.
    for image, row in ((3, 8), (3, 8.5), (9, 8)):
        layer.add_lines(np.array([(image, row, 10), (image, 8, 20)], float))
    bar.measurements.measure()
    (first, one), (second, other) = labels.texts()
    assert (first, second) == ("25.0 mm", "25.0 mm")
    assert not one.intersects(other)
    assert labels.isVisible()
    assert not layer.text.visible
    viewer.dims.set_point(0, scan.data_to_world((9, 0, 0))[0])
    assert len(labels.texts()) == 1
    # napari writes them again once the panel is closed.
    panel.reading_bar.detach()
    assert layer.text.visible
    panel.reading_bar.attach()


def test_a_text_stays_inside_the_canvas() -> None:
    frame = QRectF(0, 0, 200, 100)
    taken = [QRectF(150, 40, 50, 20)]
    place = free_place(QRectF(180, 45, 50, 20), taken, frame)
    assert frame.contains(place)
    assert not place.intersects(taken[0])


@pytest.mark.parametrize(("axis", "expected"), [(0, 10.0), (1, 15.0), (2, 12.5)])
def test_lengths_in_every_plane(scene: Scene, axis: int, expected: float) -> None:
    """From the spacing (5, 2, 2.5): triangles of 3 and 4 on the screen."""
    ends = {0: [(3, 5, 8), (3, 10, 8)], 1: [(2, 6, 8), (5, 6, 8)], 2: [(2, 6, 8), (2, 6, 13)]}
    layer = scene.shapes()
    layer.add_lines(np.array(ends[axis], float))
    assert length_mm(scene.viewer, scene.scan, layer, 0) == pytest.approx(expected)
    assert shape_text(scene.viewer, scene.scan, layer, 0) == f"{expected:.1f} mm"


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_box_in_every_plane(scene: Scene, axis: int) -> None:
    edges = [(2, 5), (6, 12), (6, 14)]
    flat = [edge for n, edge in enumerate(edges) if n != axis]
    layer = scene.shapes()
    low, high = np.array(flat).T - 0.5
    layer.add_rectangles(box(axis, 3 if axis == 0 else 8, tuple(low), tuple(high)))
    region = scene.region()
    assert region is not None
    found = region.statistics
    counts = [b - a for a, b in flat]
    spacing = np.delete((5.0, 2.0, 2.5), axis)
    assert (found.min_hu, found.max_hu, found.voxels) == (700, 700, np.prod(counts))
    assert found.area_mm2 == pytest.approx(np.prod(counts) * np.prod(spacing))


def test_an_ellipse_has_the_area_of_an_ellipse(scene: Scene) -> None:
    layer = scene.shapes()
    layer.add_ellipses(box(0, 10, (5, 5), (35, 43)))
    region = scene.region()
    assert region is not None
    assert region.statistics.area_mm2 == pytest.approx(np.pi * 30 * 47.5, rel=0.02)


def test_which_region_is_meant(scene: Scene) -> None:
    viewer, scan = scene.viewer, scene.scan
    assert selected_region(viewer, scan) is None
    assert selected_region(viewer, None) is None
    layer = scene.shapes()
    layer.add_rectangles(box(0, 3, (5.5, 5.5), (11.5, 13.5)))
    layer.add_rectangles(box(0, 9, (20, 20), (25, 25)))
    layer.add_lines(np.array([(3, 5, 8), (3, 10, 8)], float))
    layer.selected_data = {0}
    assert selected_region(viewer, scan).name == "Measurements, rectangle 1"
    scene.bar.toggle("select")  # back at the scan
    assert selected_region(viewer, scan).slice == 3
    viewer.layers.selection.active = layer
    layer.selected_data = {2}
    assert selected_region(viewer, scan) is None  # a ruler is no region
    layer.selected_data = {1}
    assert selected_region(viewer, scan).slice == 9
    layer.data = [box(0, 50, (5, 5), (9, 9))]  # below the scan
    layer.selected_data = {0}
    assert selected_region(viewer, scan) is None
    layer.data = [np.array([(3, 5, 5), (3, 9, 5), (6, 9, 9), (6, 5, 9)], float)]  # aslant
    assert selected_region(viewer, scan) is None


def test_labels_of_the_same_and_of_another_grid(scene: Scene, ct: CTVolume, qtbot: QtBot) -> None:
    viewer, scan = scene.viewer, scene.scan
    marks = np.zeros(ct.shape, np.uint8)
    marks[2:5, 6:12, 6:14] = 3
    placed = {"translate": scan.translate, "units": scan.units}
    labels = viewer.add_labels(marks, scale=scan.scale, **placed)
    labels.selected_label = 3
    region = selected_region(viewer, scan)
    assert region.statistics.voxels == 3 * 6 * 8
    assert region.statistics.mean_hu == 700
    assert region.statistics.volume_ml == pytest.approx(144 * 0.025)
    qtbot.waitUntil(lambda: scene.bar.text.text() == f"Chest: {region.text}", timeout=20_000)
    coarse = np.zeros((20, 20, 24), np.uint8)
    coarse[2:5, 3:6, 3:7] = 3
    scale = np.asarray(scan.scale) * (1, 2, 2)
    shift = np.asarray(scan.translate) + np.asarray(scan.scale) * (0, 0.5, 0.5)
    other = viewer.add_labels(coarse, scale=scale, translate=shift, units=scan.units)
    other.selected_label = 3
    assert selected_region(viewer, scan).statistics == region.statistics
    other.selected_label = 7
    assert selected_region(viewer, scan) is None


def test_each_scan_keeps_its_own_measurements(scene: Scene) -> None:
    viewer, measurements = scene.viewer, scene.bar.measurements
    layer = scene.shapes()
    layer.add_rectangles(box(0, 3, (5, 5), (11, 13)))
    second = add_volume(viewer, box_volume((12, 30, 30)), "second")
    scene.bar.set_scan(second)
    assert measurements.layer is None
    scene.bar.set_scan(scene.scan)
    assert measurements.layer is layer
    viewer.layers.remove(layer)
    assert measurements.layer is None
    scene.bar.set_scan(second)
    scene.bar.toggle("line")
    assert measurements.layer is not None
    np.testing.assert_allclose(measurements.layer.scale, second.scale)


def test_a_closed_panel_draws_on_no_scan_that_has_gone(scene: Scene) -> None:
    scene.bar.detach()
    scene.viewer.layers.clear()
    add_volume(scene.viewer, box_volume((12, 30, 30)), "second")
    scene.bar.measurements.select_tool("polygon")
    assert scene.bar.measurements.tool == ""
    assert scene.bar.measurements.layer is None


@pytest.fixture
def reading(ct: CTVolume, qtbot: QtBot) -> ReadingBar:
    viewer = ViewerModel()
    bar = ReadingBar(viewer, Preferences())
    qtbot.addWidget(bar)
    bar.set_scan(add_volume(viewer, CTVolume(ct.hu, ct.affine, "Chest", ("tilted",), "LPS")))
    return bar


def test_scan_details(reading: ReadingBar, qtbot: QtBot) -> None:
    qtbot.mouseClick(reading.details_button, LEFT)
    dialog = reading.details
    assert dialog is not None
    texts = {name: value.text() for name, value in dialog.values.items()}
    assert texts["Series"] == "Chest"
    assert texts["Matrix"] == "40 × 48, 20 slices"
    assert texts["Slice spacing"] == "5.000 mm"
    assert texts["Stored axes"] == "LPS (towards left, back, head)"
    assert texts["Warnings"] == "tilted"
    qtbot.waitUntil(lambda: dialog.values["HU range"].text() == "-1000 to 700 HU", timeout=20_000)
    dialog.close()
    qtbot.waitUntil(lambda: reading.details is None, timeout=20_000)


def test_slab_controls(reading: ReadingBar) -> None:
    layer, dims = reading._scan, reading._viewer.dims
    reading.slab.next()
    reading.slab.thickness.setValue(14)
    assert layer.projection_mode == "max"
    assert dims.margin_left == (5, 6, 5)  # whole slices of (5, 2, 2.5) mm
    reading.slab.box.setCurrentIndex(0)
    assert dims.margin_left == (0, 0, 0)
    assert not reading.slab.thickness.isEnabled()


def test_every_control_has_a_tip_and_a_name(reading: ReadingBar) -> None:
    controls = [
        reading.linked_button,
        reading.details_button,
        reading.slab.box,
        reading.slab.thickness,
        reading.measure.remove_button,
        *reading.measure.buttons.values(),
    ]
    for control in controls:
        assert control.toolTip()
        assert control.accessibleName()
