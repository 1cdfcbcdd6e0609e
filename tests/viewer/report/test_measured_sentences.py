"""A measurement and its sentence: made with one key, linked both ways, kept up to date."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QApplication

from napari_ct_assistant.assistant.report.document import ReportDocument
from napari_ct_assistant.viewer.measure.outlines import OutlineError, check_grid, take_outline
from napari_ct_assistant.viewer.report.editor import MARGIN, MEASURED
from napari_ct_assistant.viewer.scan.belonging import mark_layer
from napari_ct_assistant.viewer.scan.layers import add_volume, volume_of, world_to_index
from napari_ct_assistant.viewer.texts import MEASURED_UNNAMED, NO_MEASUREMENT
from napari_ct_assistant.volume import CTVolume, region_statistics
from tests.assistant.report.report_samples import sample_draft
from tests.viewer.conftest import box_volume, said

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from napari_ct_assistant.viewer.panel import CTAssistantPanel

Maker = Callable[..., "CTAssistantPanel"]
LEFT = Qt.MouseButton.LeftButton


class Desk:
    """A panel with a scan, and rulers drawn on it as napari stores them."""

    def __init__(self, panel: CTAssistantPanel, ct: CTVolume, qtbot: QtBot) -> None:
        self.panel, self.qtbot = panel, qtbot
        self.viewer = panel.viewer
        self.scan = add_volume(panel.viewer, ct)
        self.tab = panel.report_controller.tab
        self.editor = self.tab.editor
        self.measurements = panel.reading_bar.measure.measurements
        qtbot.waitUntil(lambda: not self.editor.isReadOnly(), timeout=20_000)

    @property
    def layer(self) -> Any:
        self.measurements.select_tool("select")
        self.measurements.select_tool("")
        return self.measurements.layer

    def draw(self, kind: str, *corners: tuple[float, float, float]) -> None:
        layer = self.layer
        layer.add(np.array(corners, float), shape_type=kind)
        layer.selected_data = {len(layer.data) - 1}
        self.measurements.measure()

    def f5(self) -> None:
        """Press F5 with the focus on the canvas."""
        self.qtbot.keyClick(self.viewer.window._qt_viewer.canvas.native, Qt.Key.Key_F5)
        self.qtbot.waitUntil(lambda: not self.panel.measured._measuring, timeout=20_000)

    def cursor_in(self, part: str) -> None:
        line = next(x for x in self.editor.text.document_lines() if part in x.text)
        self.editor.select_line(line)

    def status(self) -> str:
        return str(self.panel.status.label.text())

    def place(self) -> list[int]:
        point = world_to_index(self.scan, self.viewer.dims.point)
        return [round(float(value)) for value in point]


@pytest.fixture
def desk(make_panel: Maker, ct: CTVolume, qtbot: QtBot) -> Desk:
    panel = make_panel(show=True)
    made = Desk(panel, ct, qtbot)
    with qtbot.waitActive(panel.viewer.window._qt_window, timeout=20_000):
        panel.viewer.window._qt_window.activateWindow()
    return made


def drafted(desk: Desk) -> Desk:
    scan = desk.panel.scans.scan
    assert scan is not None
    desk.tab.take_draft(scan, sample_draft())
    return desk


# The body's middle is l = 23.5; the right of the patient has the lower indices.
ON_THE_RIGHT = ((8.0, 20.0, 8.0), (8.0, 20.0, 13.6))
ACROSS = ((8.0, 17.0, 10.0), (8.0, 22.5, 10.0))
ON_THE_LEFT = ((8.0, 20.0, 34.0), (8.0, 20.0, 39.6))


def test_a_ruler_becomes_a_sentence_with_what_the_model_said(desk: Desk) -> None:
    drafted(desk)
    desk.draw("line", *ON_THE_RIGHT)
    desk.cursor_in("nodule of 1.5 cm")
    desk.f5()
    # Name and side are the model's; 5.6 voxels of 2.5 mm are 14 mm; slice 8 is image 9.
    assert "Nodule, 14 mm, right lung, image 9." in said(desk.tab)
    assert "right lung, is from the model" in desk.status()
    line = desk.editor.current_line()
    assert line is not None
    assert line.state == "own"
    assert line.measurement is not None
    assert line.measurement.side == "right"


def test_no_side_is_guessed_where_the_model_names_the_other_one(desk: Desk) -> None:
    drafted(desk)
    desk.draw("line", *ON_THE_LEFT)
    desk.cursor_in("nodule of 1.5 cm")
    desk.f5()
    assert "Nodule, 14 mm, image 9." in said(desk.tab)


def test_two_rulers_that_cross_are_long_and_short_axis(desk: Desk, qtbot: QtBot) -> None:
    desk.draw("line", *ON_THE_RIGHT)
    desk.draw("line", *ACROSS)
    row = desk.tab.measurement
    desk.panel.tabs.setCurrentWidget(desk.tab)
    qtbot.waitUntil(row.isVisible)
    qtbot.keyClicks(row.name.lineEdit(), "mass")
    qtbot.keyClicks(row.place.lineEdit(), "right upper lobe")
    qtbot.mouseClick(row.insert_button, LEFT)
    assert "Mass, 14 x 11 mm, right upper lobe, image 9." in said(desk.tab)
    # Said once: the next measurement is another finding.
    assert row.name.currentText() == row.place.currentText() == ""


def test_an_unnamed_measurement_waits_for_its_name(desk: Desk, qtbot: QtBot) -> None:
    desk.draw("line", *ON_THE_RIGHT)
    desk.f5()
    assert desk.status() == MEASURED_UNNAMED
    assert desk.editor.textCursor().selectedText() == "Distance"
    qtbot.waitUntil(desk.editor.hasFocus)
    qtbot.keyClicks(desk.editor, "Node")
    assert "Node, 14 mm, image 9." in said(desk.tab)
    line = desk.editor.current_line()
    assert line is not None
    assert line.measurement is not None


def test_a_region_gives_its_hounsfield_units(desk: Desk) -> None:
    desk.draw("rectangle", (3, 6, 6), (3, 6, 13), (3, 11, 13), (3, 11, 6))
    desk.tab.measurement.name.setEditText("calcification")
    desk.f5()
    (line,) = (x for x in said(desk.tab) if x.startswith("Calcification"))
    # 5 x 7 voxel centres lie inside, of 2 x 2.5 mm each.
    assert line == "Calcification, mean 700 HU (SD 0, 700 to 700 HU), area 175 mm², image 4."


def test_nothing_is_drawn(desk: Desk) -> None:
    before = said(desk.tab)
    desk.f5()
    assert desk.status() == NO_MEASUREMENT
    assert said(desk.tab) == before


def test_the_sentence_leads_to_the_measurement_and_back(desk: Desk, qtbot: QtBot) -> None:
    desk.draw("line", *ON_THE_RIGHT)
    desk.tab.measurement.name.setEditText("nodule")
    desk.f5()
    desk.draw("line", *ON_THE_LEFT)
    desk.tab.measurement.name.setEditText("cyst")
    desk.f5()
    layer = desk.layer
    layer.selected_data = set()
    desk.viewer.dims.set_point(0, desk.scan.data_to_world((15, 0, 0))[0])
    desk.panel.tabs.setCurrentWidget(desk.tab)
    QApplication.processEvents()
    # A click into the words.
    desk.cursor_in("Nodule")
    at = desk.editor.cursorRect().center()
    desk.cursor_in("Cyst")
    qtbot.mouseClick(desk.editor.viewport(), LEFT, pos=at)
    assert layer.selected_data == {0}
    assert desk.place() == [8, 20, 11]
    # The other way: the selected ruler underlays its sentence.
    layer.selected_data = {1}
    qtbot.waitUntil(lambda: underlaid(desk) == ["Cyst, 14 mm, image 9."])
    layer.selected_data = set()
    qtbot.waitUntil(lambda: underlaid(desk) == [])
    # The number in the margin is a link, too.
    line = next(x for x in desk.editor.text.document_lines() if "Cyst" in x.text)
    spot = desk.editor.top_of(line).center()
    spot.setX(MARGIN - 20)
    qtbot.mouseClick(desk.editor.margin, LEFT, pos=spot)
    assert layer.selected_data == {1}


def underlaid(desk: Desk) -> list[str]:
    marks = desk.editor.extraSelections()
    measured = [
        one for one in marks if one.format.background().color().rgb() == QColor(MEASURED).rgb()
    ]
    return [one.cursor.block().text() for one in measured]


def test_a_ruler_that_was_deleted_is_drawn_again(desk: Desk) -> None:
    desk.draw("line", *ON_THE_RIGHT)
    desk.tab.measurement.name.setEditText("nodule")
    desk.f5()
    layer = desk.layer
    before = np.array(layer.data[0])
    layer.selected_data = {0}
    layer.remove_selected()
    desk.cursor_in("Nodule")
    desk.editor.follow()
    np.testing.assert_allclose(layer.data[0], before, atol=0.01)
    assert layer.selected_data == {0}


def test_moving_the_ruler_offers_the_new_figure(desk: Desk, qtbot: QtBot) -> None:
    desk.draw("line", *ON_THE_RIGHT)
    desk.tab.measurement.name.setEditText("nodule")
    desk.f5()
    row = desk.tab.measurement
    assert row.changed.isHidden()
    layer = desk.layer
    layer.selected_data = {0}
    layer.data = [np.array([(8, 20, 8), (8, 20, 16)], float)]
    layer.selected_data = {0}
    desk.measurements.measure()
    qtbot.waitUntil(lambda: not row.changed.isHidden())
    assert "20.0 mm" in row.label.text()
    # The words of the report are the reader's: nothing changes before the reader agrees.
    assert "Nodule, 14 mm, image 9." in said(desk.tab)
    row.update_button.click()
    assert "Nodule, 20 mm, image 9." in said(desk.tab)
    assert row.changed.isHidden()
    desk.editor.undo()
    assert "Nodule, 14 mm, image 9." in said(desk.tab)


def test_the_journal_keeps_the_measurement(desk: Desk) -> None:
    desk.draw("line", *ON_THE_RIGHT)
    desk.draw("line", *ACROSS)
    desk.f5()
    report = desk.editor.text.report()
    again = ReportDocument.from_json(report.to_json())
    ((line, measurement),) = again.measured()
    assert line.text == "Lesion, 14 x 11 mm, image 9."
    assert (measurement.kind, len(measurement.shapes)) == ("axes", 2)


# -- outlines


def labels_on(desk: Desk, data: Any, **changes: Any) -> Any:
    kwargs = {"scale": desk.scan.scale, "translate": desk.scan.translate, "name": "nnInteractive"}
    return desk.viewer.add_labels(data, **(kwargs | changes))


def measured_as_mass(desk: Desk, data: Any) -> Any:
    """Return a layer of labels of which the third stands in the report as a mass."""
    labels = labels_on(desk, data)
    labels.selected_label = 3
    desk.viewer.layers.selection.active = labels
    desk.tab.measurement.name.setEditText("mass")
    desk.f5()
    return labels


def outlined(desk: Desk) -> Any:
    """Return a label layer one of whose labels stands in the report."""
    data = np.zeros((20, 40, 48), np.uint8)
    data[2:5, 6:12, 6:14] = 3
    data[3, 8, 8] = 0
    data[10, 10, 10] = 1
    return measured_as_mass(desk, data)


def test_a_label_of_any_plugin_is_the_outline_of_a_finding(desk: Desk, qtbot: QtBot) -> None:
    ct = volume_of(desk.scan)
    assert ct is not None
    data = np.zeros(ct.shape, np.uint8)
    data[2:5, 6:12, 6:14] = 3
    data[10, 10, 10] = 1
    labels = measured_as_mass(desk, data)
    (line,) = (x for x in said(desk.tab) if x.startswith("Mass"))
    # 3 x 6 x 8 voxels of 5 x 2 x 2.5 mm; the diagonals lie between the voxels' surfaces.
    numbers = region_statistics(ct, data == 3)
    assert numbers.volume_ml == pytest.approx(3.6)
    assert "volume 3.6 ml" in line
    assert line.endswith("images 3 to 5.")
    kept = desk.editor.current_line()
    assert kept is not None
    measured = kept.measurement
    assert measured is not None
    assert measured.long_mm is not None
    assert 20 <= measured.long_mm <= np.hypot(12, 20)
    assert measured.mean_hu == 700
    # The sentence leads to the label, and the label to its sentence.
    labels.selected_label, labels.visible = 1, False
    desk.editor.follow()
    assert (labels.selected_label, labels.visible) == (3, True)
    qtbot.waitUntil(lambda: underlaid(desk) == [line])
    # A second time, it is the same sentence.
    desk.f5()
    assert sum(x.startswith("Mass") for x in said(desk.tab)) == 1


def test_a_label_layer_that_is_opened_again_is_linked_again(desk: Desk) -> None:
    """As after a restart: the report comes from the journal, the labels from their file."""
    labels = outlined(desk)
    desk.viewer.layers.remove(labels)
    other = labels_on(desk, np.where(labels.data == 3, 3, 2).astype(np.uint8), name="other")
    other.data[2, 6, 6] = 2
    again = labels_on(desk, np.asarray(labels.data).astype(np.uint16) * 2)
    again.visible = False
    desk.cursor_in("Mass")
    desk.editor.follow()
    assert (again.selected_label, again.visible) == (6, True)
    count = len(desk.viewer.layers)
    # The same sentence, not a second one.
    desk.viewer.layers.selection.active = again
    desk.f5()
    assert sum(x.startswith("Mass") for x in said(desk.tab)) == 1
    assert len(desk.viewer.layers) == count


def test_an_outline_whose_layer_is_gone_is_drawn_again(desk: Desk) -> None:
    labels = outlined(desk)
    desk.viewer.layers.remove(labels)
    desk.cursor_in("Mass")
    desk.editor.follow()
    (drawn,) = (x for x in desk.viewer.layers if x.name == "Outline")
    assert np.array_equal(np.asarray(drawn.data) == 1, np.asarray(labels.data) == 3)
    assert np.allclose(drawn.translate, desk.scan.translate)
    desk.editor.follow()
    assert sum(x.name.startswith("Outline") for x in desk.viewer.layers) == 1
    check_grid(desk.scan, drawn)


def wrong_layers(desk: Desk) -> dict[str, dict[str, Any]]:
    scale, translate = np.array(desk.scan.scale), np.array(desk.scan.translate)
    return {
        "has 19 x 40 x 48 voxels, the scan has 20 x 40 x 48": {"shape": (19, 40, 48)},
        "its voxels measure 5 x 2 x 2.6 mm": {"scale": np.add(scale, (0, 0, 0.1))},
        "it lies 4.0 mm beside the scan": {"translate": np.add(translate, (0, 4, 0))},
        "it is rotated, sheared or moved": {"rotate": (0, 0, 5)},
    }


@pytest.mark.parametrize("number", range(4))
def test_a_label_on_other_voxels_is_refused_in_one_line(desk: Desk, number: int) -> None:
    reason, changes = list(wrong_layers(desk).items())[number]
    shape = changes.pop("shape", (20, 40, 48))
    labels = labels_on(desk, np.ones(shape, np.uint8), **changes)
    desk.viewer.layers.selection.active = labels
    before = said(desk.tab)
    desk.f5()
    assert reason in desk.status()
    assert "\n" not in desk.status()
    assert said(desk.tab) == before


def test_a_label_of_another_patient_is_never_measured(desk: Desk) -> None:
    """Both scans have the same voxels; the label was made on the first one."""
    labels = labels_on(desk, np.ones((20, 40, 48), np.uint8))
    first = volume_of(desk.scan)
    assert first is not None
    mark_layer(labels, first)
    second = add_volume(desk.viewer, box_volume(warnings=("another",)))
    desk.viewer.layers.selection.active = second
    with pytest.raises(OutlineError, match="it belongs to another scan"):
        check_grid(second, labels)
    desk.viewer.layers.selection.active = labels
    desk.f5()
    assert not any("Lesion" in text for text in said(desk.tab))


def test_an_empty_label_says_so(desk: Desk) -> None:
    labels = labels_on(desk, np.zeros((20, 40, 48), np.uint8))
    with pytest.raises(OutlineError, match="label 1 has no voxels"):
        take_outline(desk.scan, labels, 1)
