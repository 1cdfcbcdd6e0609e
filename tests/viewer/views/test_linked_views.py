"""Linked planes: what they show, what moves them, and that they go away without a trace."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication

from napari_ct_assistant.viewer.chat.links import ScanPosition, go_to
from napari_ct_assistant.viewer.scan.layers import add_volume, volume_of, world_to_index
from napari_ct_assistant.viewer.views.crosshair import canvas_point, drag_crosshair
from napari_ct_assistant.viewer.views.linked_views import SLAB_NAMES, LinkedViews
from napari_ct_assistant.viewer.views.plane_view import PlaneView
from napari_ct_assistant.viewer.views.planes import current_plane, set_plane, show_3d
from napari_ct_assistant.viewer.views.slab_bar import apply_slab
from napari_ct_assistant.viewer.views.slice_images import layer_picture
from napari_ct_assistant.viewer.views.windows import window_of
from napari_ct_assistant.volume.slabs import project
from tests.viewer.mouse import send_move

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from napari_ct_assistant.viewer.panel import CTAssistantPanel
    from napari_ct_assistant.volume import CTVolume

Maker = Callable[..., "CTAssistantPanel"]
LEFT, RIGHT = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton
BLOCK = (3, 8, 10)  # inside the bright block: in front, to the right, near the head


class Scene:
    """A viewer model with a scan and the linked views, without napari's window."""

    def __init__(self, ct: CTVolume, qtbot: QtBot) -> None:
        self.viewer = ViewerModel()
        self.layer = add_volume(self.viewer, ct)
        self.linked = LinkedViews(self.viewer)
        qtbot.addWidget(self.linked)
        self.linked.set_scan(self.layer)
        self.linked.attach()
        self.linked.resize(300, 420)
        self.linked.show()
        self.views = self.linked.views

    def shown(self) -> set[str]:
        return {plane for plane, view in self.views.items() if not view.isHidden()}

    def go(self, index: tuple[float, ...]) -> None:
        self.viewer.dims.set_point((0, 1, 2), self.layer.data_to_world(index))

    def point(self) -> list[float]:
        """Return the viewer's point as fractional indices of the scan."""
        return [float(v) for v in world_to_index(self.layer, self.viewer.dims.point)]


@pytest.fixture
def scene(ct: CTVolume, qtbot: QtBot) -> Scene:
    return Scene(ct, qtbot)


def linked(panel: CTAssistantPanel) -> LinkedViews:
    assert panel.reading_bar.linked is not None
    return panel.reading_bar.linked


def pixel(view: PlaneView, layer: Any, index: tuple[float, ...]) -> QPoint:
    """Return where a voxel lies in a view."""
    world = np.delete(layer.data_to_world(index), view.axis)
    return view.to_screen(QPointF(world[1], world[0])).toPoint()


def test_the_other_two_planes_are_shown(scene: Scene) -> None:
    assert scene.shown() == {"coronal", "sagittal"}
    set_plane(scene.viewer, "sagittal")
    assert scene.shown() == {"axial", "coronal"}
    show_3d(scene.viewer)
    assert scene.shown() == {"axial", "coronal", "sagittal"}
    set_plane(scene.viewer, "axial")
    assert scene.shown() == {"coronal", "sagittal"}


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_a_view_is_radiological(scene: Scene, plane: str) -> None:
    """The bright block lies in front, to the right, near the head: top left in every plane."""
    set_plane(scene.viewer, "coronal" if plane == "axial" else "axial")
    scene.go(BLOCK)
    view = scene.views[plane]
    view.grab()  # lays it out
    view.show_cross(-1e4, -1e4, "")  # the crosshair would be as bright as the block
    view.letters = {}
    picture = view.grab().toImage()
    at = pixel(view, scene.layer, BLOCK)
    assert picture.pixelColor(at).lightness() > 250
    mirrored = QPoint(view.width() - at.x(), view.height() - at.y())
    assert picture.pixelColor(mirrored).lightness() < 150
    assert at.x() < view.width() / 2
    assert at.y() < view.height() / 2


def test_clicks_wheel_keys_and_links_move_every_view(scene: Scene, qtbot: QtBot) -> None:
    layer, views = scene.layer, scene.views
    views["coronal"].grab()
    qtbot.mouseClick(views["coronal"], LEFT, pos=pixel(views["coronal"], layer, (3, 0, 10)))
    i, _, left = scene.point()
    assert (i, left) == pytest.approx((3, 10), abs=0.5)
    assert f"Sagittal {round(left) + 1}" in views["sagittal"].caption
    # A drag carries on; the place is kept inside the scan.
    qtbot.mousePress(views["sagittal"], LEFT, pos=QPoint(150, 100))
    send_move(views["sagittal"], QPoint(2000, 100), LEFT)
    qtbot.mouseRelease(views["sagittal"], LEFT, pos=QPoint(2000, 100))
    assert scene.point()[1] == pytest.approx(layer.data.shape[1] - 1)
    # A notch of the wheel is a slice, and a touch pad sends notches in pieces.
    before = scene.point()[2]
    for pieces in ((-120,), (-60, -60)):
        for piece in pieces:
            wheel(views["sagittal"], piece)
    assert scene.point()[2] == pytest.approx(before + 2)
    qtbot.keyClick(views["sagittal"], Qt.Key.Key_Left)
    qtbot.keyClick(views["sagittal"], Qt.Key.Key_PageUp)
    assert scene.point()[1:] == pytest.approx([layer.data.shape[1] - 2, before + 1])
    ras = volume_of(layer).index_to_ras(BLOCK)
    go_to(scene.viewer, layer, ScanPosition(3, tuple(ras)))
    assert scene.point() == pytest.approx(BLOCK)
    assert f"Coronal {BLOCK[1] + 1}" in views["coronal"].caption  # people count from 1
    cross = views["coronal"].to_screen(views["coronal"].cross).toPoint()
    assert cross == pixel(views["coronal"], layer, BLOCK)


def wheel(view: PlaneView, angle: int) -> None:
    at = QPointF(150, 100)
    event = QWheelEvent(
        at,
        QPointF(view.mapToGlobal(at.toPoint())),
        QPoint(),
        QPoint(0, angle),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(view, event)


def test_right_drag_windows_and_double_click_enlarges(scene: Scene, qtbot: QtBot) -> None:
    layer, view = scene.layer, scene.views["coronal"]
    before = window_of(layer)
    picture = view.pictures[0].image
    qtbot.mousePress(view, RIGHT, pos=QPoint(100, 100))
    send_move(view, QPoint(140, 120), RIGHT)
    qtbot.mouseRelease(view, RIGHT, pos=QPoint(140, 120))
    after = window_of(layer)
    assert (after.width, after.level) == (before.width + 40, before.level + 20)
    assert view.pictures[0].image != picture
    qtbot.mouseDClick(view, LEFT, pos=QPoint(150, 100))
    assert current_plane(scene.viewer) == "coronal"
    assert scene.shown() == {"axial", "sagittal"}


def test_labels_heat_and_shapes_lie_over_the_scan(scene: Scene) -> None:
    """Each in its own grid: they are placed by their world coordinates."""
    viewer, layer = scene.viewer, scene.layer
    scene.go(BLOCK)
    view = scene.views["coronal"]
    view.grab()  # lays it out
    view.show_cross(-1e4, -1e4, "")
    at = pixel(view, layer, BLOCK)

    def colour() -> tuple[int, int, int]:
        view.cross = QPointF(-1e4, -1e4)
        seen = view.grab().toImage().pixelColor(at)
        return seen.red(), seen.green(), seen.blue()

    assert len(set(colour())) == 1
    half = np.zeros((10, 20, 24), np.uint8)  # twice the voxel size
    half[1, 4, 5] = 1
    scale = np.asarray(layer.scale)
    placed = {
        "scale": scale * 2,
        "translate": np.asarray(layer.translate) + scale / 2,
        "units": layer.units,
    }
    labels = viewer.add_labels(half, colormap={1: "red", None: "transparent"}, **placed)
    red, green, blue = colour()
    assert red > 200 > max(green, blue)
    labels.visible = False
    assert len(set(colour())) == 1
    heat = viewer.add_image(
        half.astype(np.float32), colormap="green", blending="additive", **placed
    )
    layer.visible = False
    red, green, blue = colour()
    assert green > 250
    assert max(red, blue) < 10
    heat.visible = False
    shapes = viewer.add_shapes(ndim=3, scale=scale, translate=layer.translate, units=layer.units)
    shapes.add_lines([[3, 8, 0], [3, 8, 40]], edge_color="blue")
    view.cross = QPointF(-1e4, -1e4)
    picture = view.grab().toImage()
    seen = [picture.pixelColor(at + QPoint(0, n)) for n in (-1, 0, 1)]
    assert max(one.blue() for one in seen) > 100
    assert max(one.red() for one in seen) == 0
    viewer.dims.set_point(1, layer.data_to_world((0, 9, 0))[1])
    assert not view.outlines
    assert shapes.visible


@pytest.mark.parametrize("how", ["max", "min", "mean"])
def test_slabs_are_the_same_in_every_view(scene: Scene, ct: CTVolume, how: Any) -> None:
    """napari projects in its canvas, we in the linked views: from the very same slices."""
    viewer, layer = scene.viewer, scene.layer
    noise = np.random.default_rng(0).integers(-1000, 1000, ct.shape).astype(np.int16)
    layer.data = noise
    scene.go((9.3, 17.6, 20.4))
    for axis, plane, reach, index in ((0, "axial", 1, 9), (1, "coronal", 3, 18)):
        apply_slab(viewer, layer, 14, how)
        set_plane(viewer, plane)
        canvas = np.asarray(layer._slice.image.raw)
        np.testing.assert_allclose(canvas, project(noise, axis, index, reach, how), rtol=1e-5)
    scene.linked.set_slab(14, how)
    assert f"{SLAB_NAMES[how]} 14 mm" in scene.views["axial"].caption
    slab = layer_picture(layer, 0, tuple(viewer.dims.point), (1, how))
    assert slab is not None
    assert scene.views["axial"].pictures[0].image == slab.image
    apply_slab(viewer, layer, 14, "none")
    np.testing.assert_array_equal(np.asarray(layer._slice.image.raw), noise[:, 18])
    assert viewer.dims.margin_left == (0, 0, 0)


def test_the_views_leave_no_trace(make_panel: Maker, ct: CTVolume) -> None:
    panel = make_panel()
    viewer = panel.viewer
    layer = add_volume(viewer, ct)

    def listeners() -> list[int]:
        gc.collect()
        emitters = (viewer.dims.events.point, viewer.dims.events.order, layer.events.opacity)
        return [len(emitter.callbacks) for emitter in emitters] + [len(viewer.mouse_drag_callbacks)]

    before = listeners()
    gone = []
    for _ in range(3):
        panel.reading_bar.linked_button.click()
        gone.append(weakref.ref(linked(panel)))
        assert drag_crosshair in viewer.mouse_drag_callbacks
        panel.reading_bar.linked_button.click()
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    assert listeners() == before
    assert [one() for one in gone] == [None, None, None]
    # Closed by the dock's own cross.
    panel.reading_bar.linked_button.click()
    viewer.window.remove_dock_widget(linked(panel))
    assert panel.reading_bar.linked is None
    assert not panel.reading_bar.linked_button.isChecked()
    # Without a scan the views are empty; the next scan is shown in them.
    panel.reading_bar.linked_button.click()
    viewer.layers.remove(layer)
    assert [len(view.pictures) for view in linked(panel).views.values()] == [0, 0, 0]
    add_volume(viewer, ct)
    full = [view for view in linked(panel).views.values() if not view.isHidden()]
    assert [len(view.pictures) for view in full] == [1, 1]


def test_the_crosshair_on_the_canvas(make_panel: Maker, ct: CTVolume, qtbot: QtBot) -> None:
    """Its place is checked against the canvas; a click sets it, a drag on a line moves one axis."""
    panel = make_panel(show=True)
    viewer = panel.viewer
    layer = add_volume(viewer, ct)
    canvas = viewer.window._qt_viewer.canvas
    with qtbot.waitActive(viewer.window._qt_window, timeout=20_000):
        viewer.window._qt_window.activateWindow()
    canvas.native.setFocus()
    qtbot.keyClick(canvas.native, Qt.Key.Key_X)
    assert panel.reading_bar.linked is not None
    qtbot.wait(1000)  # until the docks have settled
    for plane in ("sagittal", "coronal", "axial"):
        panel.view_bar.show_plane(plane)
        viewer.screenshot(flash=False)
        corner = np.asarray(canvas._map_canvas2world((37, 51), canvas.view))
        at = canvas_point(viewer, corner, canvas.native.width(), canvas.native.height())
        assert (at.x(), at.y()) == pytest.approx((37, 51), abs=0.6)

    def point(panel: CTAssistantPanel) -> list[float]:
        return [float(v) for v in world_to_index(layer, viewer.dims.point)]

    def spot(index: tuple[float, ...]) -> QPoint:
        size = canvas.native.size()
        return canvas_point(
            viewer, layer.data_to_world(index), size.width(), size.height()
        ).toPoint()

    def drag(start: QPoint, end: QPoint) -> None:
        qtbot.mousePress(canvas.native, LEFT, pos=start)
        for part in (0.5, 1.0):
            qtbot.wait(20)
            send_move(canvas.native, start + (end - start) * part, LEFT)
        qtbot.wait(20)
        qtbot.mouseRelease(canvas.native, LEFT, pos=end)

    qtbot.mouseClick(canvas.native, LEFT, pos=spot((0, 12, 30)))
    assert point(panel)[1:] == pytest.approx([12, 30], abs=0.5)
    centre = viewer.scene.camera.center
    drag(spot((0, 12, 15)), spot((0, 25, 15)))  # on the horizontal line, away from the crossing
    assert point(panel)[1:] == pytest.approx([25, 30], abs=0.5)
    drag(spot((0, 25, 30)), spot((0, 20, 10)))  # the crossing
    assert point(panel)[1:] == pytest.approx([20, 10], abs=0.5)
    assert viewer.scene.camera.center == centre
    drag(spot((0, 30, 30)), spot((0, 34, 34)))  # anywhere else pans as ever
    assert point(panel)[1:] == pytest.approx([20, 10], abs=0.5)
    assert viewer.scene.camera.center != centre
    assert viewer.scene.camera.mouse_pan
