"""How the screen is shared between picture and text, at the sizes of real screens."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pytest
from napari.settings import get_settings
from qtpy.QtCore import QPoint, QRect, Qt
from qtpy.QtWidgets import QApplication, QDockWidget, QMainWindow, QWidget

from napari_ct_assistant.assistant import FindingProbability
from napari_ct_assistant.viewer.chat.transcript import Transcript
from napari_ct_assistant.viewer.evidence.findings_table import FindingsTable
from napari_ct_assistant.viewer.layout.reading_layout import LAYOUT_KEY, SETTLE_MS
from napari_ct_assistant.viewer.preferences import load_preferences
from napari_ct_assistant.viewer.scan.layers import add_volume
from napari_ct_assistant.volume import CTVolume
from tests.assistant.report.report_samples import sample_draft
from tests.viewer.mouse import wait_for_layout

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from napari_ct_assistant.viewer.panel import CTAssistantPanel

Maker = Callable[..., "CTAssistantPanel"]
OUTSIDE = "This scan is outside the model's training distribution, synthetic chest phantoms."


@pytest.fixture
def panel(make_panel: Maker, ct: CTVolume, qtbot: QtBot) -> CTAssistantPanel:
    """Return a panel with a scan, a draft and a warning, in the reading layout."""
    panel = make_panel(show=True)
    add_volume(panel.viewer, ct)
    scan = panel.scans.scan
    assert scan is not None
    qtbot.waitUntil(lambda: scan.journal != "reading", timeout=20_000)
    panel.report_controller.tab.take_draft(scan, sample_draft())
    panel.scans.scan.outside = OUTSIDE
    panel.outside_banner.show_scan(panel.scans.scan)
    panel.reading_layout.set_reading(True)
    return panel


def show_at(panel: CTAssistantPanel, width: int, height: int, qtbot: QtBot) -> QMainWindow:
    window = panel.window()
    assert isinstance(window, QMainWindow)
    window.resize(width, height)
    wait_for_layout(panel.viewer, qtbot)
    assert (window.width(), window.height()) == (width, height)
    return window


def canvas_share(panel: CTAssistantPanel) -> float:
    """Return the part of the window that is canvas."""
    canvas, window = panel.viewer.window._qt_viewer.canvas.native, panel.window()
    return float(canvas.width() * canvas.height() / (window.width() * window.height()))


@pytest.mark.parametrize(("width", "height"), [(1366, 768), (1600, 1000)])
def test_half_of_the_panel_is_text_and_half_of_the_window_is_canvas(
    panel: CTAssistantPanel, qtbot: QtBot, width: int, height: int
) -> None:
    show_at(panel, width, height, qtbot)
    assert canvas_share(panel) >= 0.5
    assert not panel.columns.report_is_beside
    tab = panel.report_controller.tab
    for page, text in ((panel.transcript, panel.transcript), (tab, tab.editor)):
        panel.tabs.setCurrentWidget(page)
        qtbot.wait(50)
        assert text.height() / panel.height() >= 0.5


def test_the_report_stands_beside_the_transcript_on_a_wide_screen(
    panel: CTAssistantPanel, qtbot: QtBot
) -> None:
    show_at(panel, 1920, 1080, qtbot)
    qtbot.waitUntil(lambda: panel.columns.report_is_beside)
    assert canvas_share(panel) >= 0.5
    assert panel.transcript.isVisible()
    tab = panel.report_controller.tab
    assert tab.isVisible()
    assert tab.mapTo(panel, QPoint()).x() >= panel.transcript.mapTo(panel, QPoint()).x() + 300
    # A window of its own, and back beside the transcript.
    tab.tools.window_button.click()
    assert tab.isWindow()
    tab.close()
    assert panel.columns.report_is_beside


def places(panel: CTAssistantPanel) -> dict[str, QRect]:
    """Return where each part of the panel and of the strips is, in the window."""
    parts = {
        "transcript": panel.transcript,
        "question": panel.ask_row.box,
        "chips": panel.chat_controller.chips,
        "draft": panel.actions_row.draft_button,
        "readout": panel.view_bar.readout,
        "measurement": panel.reading_bar.measure.text,
        "canvas": panel.viewer.window._qt_viewer.canvas.native,
    }
    top = panel.window()
    return {name: QRect(part.mapTo(top, QPoint()), part.size()) for name, part in parts.items()}


def test_nothing_moves_when_something_is_measured_or_a_heat_map_is_shown(
    panel: CTAssistantPanel, qtbot: QtBot
) -> None:
    show_at(panel, 1366, 768, qtbot)
    before = places(panel)
    bar = panel.reading_bar.measure
    bar.toggle("ellipse")
    assert places(panel) == before
    layer = bar.measurements.layer
    assert layer is not None
    layer.add_ellipses([[3, 6, 6], [3, 6, 14], [3, 12, 14], [3, 12, 6]])
    bar.toggle("select")
    layer.selected_data = {0}
    qtbot.waitUntil(lambda: bool(bar.text.text()), timeout=20_000)
    bar.toggle("select")
    panel.evidence_controller.bar.show_heat("Pleural effusion", visible=True)
    panel.view_bar.point_at(panel.viewer.dims.point)
    qtbot.wait(50)
    assert places(panel) == before


def test_the_key_folds_napari_s_docks_and_brings_them_back(
    panel: CTAssistantPanel, qtbot: QtBot
) -> None:
    window = show_at(panel, 1366, 768, qtbot)

    def docks() -> list[str]:
        left = Qt.DockWidgetArea.LeftDockWidgetArea
        found = window.findChildren(QDockWidget)
        return [one.objectName() for one in found if window.dockWidgetArea(one) == left]

    def shown() -> list[bool]:
        named = [one for one in window.findChildren(QDockWidget) if one.objectName() in docks()]
        return [one.isVisible() for one in named]

    assert len(docks()) == 2
    assert shown() == [False, False]
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow, timeout=20_000)
    canvas = panel.viewer.window._qt_viewer.canvas.native
    canvas.setFocus()
    qtbot.keyClick(canvas, getattr(Qt.Key, f"Key_{LAYOUT_KEY}"))
    assert shown() == [True, True]
    assert load_preferences().layout == "napari"
    button = panel.reading_layout._button
    assert not button.isChecked()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert shown() == [False, False]
    assert load_preferences().layout == "reading"


def test_only_napari_s_layout_counts_slices_from_0(panel: CTAssistantPanel, qtbot: QtBot) -> None:
    window = show_at(panel, 1366, 768, qtbot)

    def numbers() -> list[bool]:
        return [not one.isHidden() for one in window.findChildren(QWidget, "slice_label")]

    assert not any(numbers())
    # Another number of axes makes new sliders.
    panel.viewer.add_image(np.zeros((2, 3, 4, 4)))
    assert not any(numbers())
    panel.reading_layout.toggle()
    assert all(numbers())
    panel.reading_layout.toggle()
    assert not any(numbers())


def test_napari_s_layout_fits_the_screen_with_large_text(
    panel: CTAssistantPanel, qtbot: QtBot
) -> None:
    appearance = get_settings().appearance
    appearance.font_size = round(1.8 * appearance.font_size)
    window = show_at(panel, 1364, 768, qtbot)
    panel.reading_layout.toggle()
    qtbot.wait(2 * SETTLE_MS)
    wait_for_layout(panel.viewer, qtbot)
    assert window.width() <= window.screen().availableSize().width()
    docks = [
        one for one in window.findChildren(QDockWidget) if one.objectName().startswith("layer")
    ]
    assert len(docks) == 2
    assert not any(one.isHidden() for one in docks)
    assert any(window.tabifiedDockWidgets(one) for one in docks)
    # The panel is in front.
    assert panel.visibleRegion().boundingRect().width() > 100
    panel.reading_layout.toggle()
    left = Qt.DockWidgetArea.LeftDockWidgetArea
    assert all(window.dockWidgetArea(one) == left and one.isHidden() for one in docks)


def crowded(widget: QWidget) -> list[str]:
    """Return what is wrong with a widget's children: too small, drawn over, or outside of it."""
    children = [
        one
        for one in widget.children()
        if isinstance(one, QWidget) and one.isVisible() and not one.isWindow()
    ]
    wrong = [
        f"{one} is lower than {one.minimumSizeHint().height()} px"
        for one in children
        if one.height() < min(one.minimumSizeHint().height(), one.maximumHeight())
    ]
    wrong += [f"{one} is cut" for one in children if not widget.rect().contains(one.geometry())]
    wrong += [
        f"{one} is drawn over {other}"
        for one, other in combinations(children, 2)
        if one.geometry().intersects(other.geometry())
    ]
    return wrong


@pytest.mark.parametrize(("width", "height"), [(1364, 768), (1706, 960)])
def test_nothing_is_cut_or_drawn_over_with_large_text(
    panel: CTAssistantPanel, qtbot: QtBot, width: int, height: int
) -> None:
    appearance = get_settings().appearance
    appearance.font_size = round(1.5 * appearance.font_size)
    show_at(panel, width, height, qtbot)
    tab = panel.report_controller.tab
    panel.tabs.setCurrentWidget(tab)
    qtbot.wait(200)
    parts = (
        panel,
        panel.columns.widget(0),
        panel.ask_row,
        panel.models,
        panel.scans,
        panel.actions_row,
        tab,
        tab.tools,
        tab.sentence,
        panel.reading_bar.window().centralWidget(),
    )
    wrong = [f"{type(part).__name__}: {problem}" for part in parts for problem in crowded(part)]
    assert wrong == []
    window = panel.window()
    box = panel.ask_row.box
    assert window.rect().contains(QRect(box.mapTo(window, QPoint()), box.size()))
    # Every tool can be reached.
    strip = panel.view_bar.parentWidget()
    for button in strip.buttons:
        place = QRect(button.mapTo(strip, QPoint()), button.size())
        assert strip.rect().contains(place)


def test_a_low_screen_with_large_text_shows_the_whole_window(
    panel: CTAssistantPanel, qtbot: QtBot
) -> None:
    """What a screen of 1364 x 768 has room for at 150 %, below the title of the window."""
    window = show_at(panel, 909, 499, qtbot)
    panel.tabs.setCurrentWidget(panel.report_controller.tab)
    panel.evidence_controller.bar.show_heat("Pleural effusion", visible=True)
    wait_for_layout(panel.viewer, qtbot)
    assert window.minimumSizeHint().height() <= 499
    assert (window.width(), window.height()) == (909, 499)
    # Half of the panel is text, and every button is in a row or in its menu.
    tab = panel.report_controller.tab
    assert tab.editor.height() / panel.height() >= 0.5
    row = tab.sentence.buttons
    assert not tab.tools.buttons.isVisible()
    for text in ("Image 2 of many, many images", "Image"):
        tab.sentence.slice_button.setText(text)
        qtbot.wait(50)
        seen = [one for one in (*row._widgets, row.more_button) if one.isVisible()]
        assert row.more_button in seen
        assert all(row.rect().contains(one.geometry()) for one in seen)
    row.more_menu.aboutToShow.emit()
    entries = {one.text(): one for one in row.more_menu.actions()}
    assert {"Template", "Phrases", "Undo", "Compare", "Export…", "Sum up"} <= set(entries)
    assert len(entries) == len(row.folded)
    entries["Compare"].trigger()
    assert tab.pages.currentWidget() is tab.comparison
    entries["Compare"].trigger()
    chosen: list[str] = []
    tab.tools.template.connect(chosen.append)
    entries["Template"].menu().actions()[-1].trigger()
    assert chosen == [tab.tools.templates.itemText(tab.tools.templates.count() - 1)]
    # The question box comes back with the transcript, and all rows on a higher screen.
    assert not panel.ask_row.isVisible()
    panel.tabs.setCurrentWidget(panel.transcript)
    assert panel.ask_row.isVisible()
    panel.tabs.setCurrentWidget(tab)
    show_at(panel, 1366, 768, qtbot)
    assert panel.ask_row.isVisible()
    assert tab.sentence.label.isVisible()
    assert tab.tools.buttons.isVisible()
    assert not row.folded


def test_texts_in_a_narrow_column_can_be_read(qtbot: QtBot) -> None:
    transcript, table = Transcript(), FindingsTable()
    shown = transcript.add("model", "Report  \u00b7  A series with a long description, 275 images")
    shown.head.offer(again=True, edit=True)
    for widget in (transcript, table):
        qtbot.addWidget(widget)
        widget.resize(280, 400)
        widget.show()
    found = [FindingProbability("Arterial wall calcification", 0.5, threshold=0.4, baseline=0.0)]
    table.show_findings(found, "Chest")
    qtbot.wait(100)
    assert transcript.horizontalScrollBar().maximum() == 0
    assert table.columnWidth(0) >= 18 * table.fontMetrics().averageCharWidth()
    table.resize(340, 400)
    qtbot.wait(50)
    # Nothing is cut or scrolled to: the figures without room are in the tooltip of the name.
    assert table.columnWidth(0) >= table.sizeHintForColumn(0)
    assert table.horizontalScrollBar().maximum() == 0
    assert table.isColumnHidden(4)
    for figure in ("No scan: 0%", "Threshold: 40%"):
        assert figure in table.item(0, 0).toolTip()
    table.resize(900, 400)
    qtbot.wait(50)
    assert table.horizontalScrollBar().maximum() == 0
    assert table.columnWidth(0) > 400
    assert not any(table.isColumnHidden(column) for column in range(5))


def test_the_columns_of_findings_fill_any_width(qtbot: QtBot) -> None:
    """A hidden column's header counts, too: it may be wider than the figures."""
    table = FindingsTable()
    qtbot.addWidget(table)
    table.show_findings([FindingProbability("Lung nodule", 0.5, baseline=0.1, threshold=0.2)])
    for column, text in ((3, "Without an image at all"), (4, "Threshold of the finding")):
        table.horizontalHeaderItem(column).setText(text)
    table.show()
    wrong = []
    for width in (220, *range(400, 640, 20)):
        table.resize(width, 300)
        for _ in range(5):
            QApplication.processEvents()
        whole = sum(table.columnWidth(n) for n in range(5) if not table.isColumnHidden(n))
        if whole != table.viewport().width() and width > 220:
            wrong.append((width, whole))
    assert wrong == []
