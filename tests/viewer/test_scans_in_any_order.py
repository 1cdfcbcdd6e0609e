"""Scans of different patients, used in any order: nothing of one appears with another.

Hypothesis drives the real panel with random lists of actions, and looks after each action at
every text on screen and at every layer. Each patient has a name that every text of the model, the
reader's own lines and the measurements contain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qtpy.QtWidgets import (
    QAbstractButton,
    QApplication,
    QComboBox,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QTableWidget,
    QTextEdit,
    QWidget,
)

from napari_ct_assistant.viewer.scan.belonging import is_foreign
from napari_ct_assistant.viewer.scan.layers import add_volume, volume_of
from napari_ct_assistant.viewer.views.scan_display import CAPTION
from napari_ct_assistant.volume import CTVolume
from tests.viewer.scripted import ScriptedModel
from tests.viewer.test_two_scans import SQUARE, patient

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from napari_ct_assistant.viewer.panel import CTAssistantPanel

Maker = Callable[..., Any]
# The HU of each patient, which a measurement shows, are words that no other text contains.
PATIENTS = {"Alpha": 111, "Bravo": 222, "Charly": 333}


class Desk:
    """The panel with up to three scans, and what a reader can do with them."""

    def __init__(self, panel: CTAssistantPanel, qtbot: QtBot, folder: Path) -> None:
        self.panel, self.qtbot, self.folder = panel, qtbot, folder
        self.layers: dict[str, Any] = {}

    @property
    def name(self) -> str:
        """The patient on screen, "" for none."""
        scan = self.panel.scans.scan
        return "" if scan is None else str(scan.volume.series)

    def do(self, action: str, who: str) -> None:
        getattr(self, action)(who)
        QApplication.processEvents()

    def wait(self, _who: str = "") -> None:
        self.qtbot.waitUntil(lambda: not self.panel.conversation.jobs.busy, timeout=20_000)
        QApplication.processEvents()

    # -- scans

    def open(self, who: str) -> None:
        if who not in self.layers:
            number = list(PATIENTS).index(who)
            volume = patient(who, 8 + number, 100.0 * number, PATIENTS[who])
            self.layers[who] = add_volume(self.panel.viewer, volume, who)

    def choose(self, who: str) -> None:
        if who in self.layers:
            self.panel.viewer.layers.selection.active = self.layers[who]

    def close(self, who: str) -> None:
        if who in self.layers:
            self.panel.viewer.layers.remove(self.layers.pop(who))

    def hide(self, who: str) -> None:
        if who in self.layers:
            self.layers[who].visible = False

    # -- the model

    def draft(self, _who: str) -> None:
        self.panel.draft_report()

    def screen(self, _who: str) -> None:
        self.panel.screen()

    def ask(self, _who: str) -> None:
        self.panel.ask(f"What of {self.name}?")

    def locate(self, _who: str) -> None:
        self.panel.show_finding("Lung nodule")

    def sum_up(self, _who: str) -> None:
        self.panel.report_controller.tab.sentence.impression_button.click()

    def stop(self, _who: str) -> None:
        self.panel.conversation.stop()

    # -- the reader

    def type_question(self, _who: str) -> None:
        if self.name:
            self.panel.ask_row.box.insertPlainText(f"half a question about {self.name} ")

    def type_choices(self, _who: str) -> None:
        if self.name:
            self.panel.chat_controller.open_choices(f"Which side, {self.name}?", (self.name,))

    def type_line(self, _who: str) -> None:
        tab = self.panel.report_controller.tab
        if self.name and not tab.editor.isReadOnly():
            tab.editor.text.insert_line(0, f"Line of {self.name}")

    def draw(self, _who: str) -> None:
        measurements = self.panel.reading_bar.measure.measurements
        measurements.select_tool("polygon")
        layer = measurements.layer
        if layer is not None and self.name:
            layer.add_polygons([SQUARE])
            measurements.select_tool("")
            layer.selected_data = {0}
            measurements.measure()

    def paint(self, _who: str) -> None:
        if self.name:
            scan = self.panel.scans.layer
            data = np.ones(scan.data.shape, np.uint8)
            self.panel.viewer.add_labels(data, scale=scan.scale, translate=scan.translate)
            self.panel.viewer.layers.selection.active.selected_label = 1

    def undo(self, _who: str) -> None:
        for box in (self.panel.report_controller.tab.editor, self.panel.ask_row.box):
            box.undo()
        if self.panel.chat_controller.choices_dialog is not None:
            self.panel.chat_controller.choices_dialog.question.undo()

    def recall(self, _who: str) -> None:
        box = self.panel.ask_row.box
        if box.history:
            box.replace(box.history[0])

    def details(self, _who: str) -> None:
        self.panel.reading_bar.show_details()

    def compare(self, _who: str) -> None:
        self.panel.report_controller.tab.tools.compare_button.toggle()

    def export(self, _who: str) -> None:
        tab = self.panel.report_controller.tab
        if tab.scan is not None:
            report = tab.text_of(tab.scan).report()
            assert not self.strangers(str(report), self.name)

    # -- what must never be seen

    def strangers(self, text: str, own: str) -> list[str]:
        """Return the other patients whose name or HU a text contains."""
        return [
            name
            for name, hu in PATIENTS.items()
            if name != own and (name in text or f"{hu} ± 0 HU" in text)
        ]

    def check(self) -> None:
        """Look at everything that is on screen."""
        own, viewer = self.name, self.panel.viewer
        # While a job runs, the status says with which scan, also when another is on screen.
        job = self.panel.conversation.jobs.job
        running = "" if job is None else f"{job.scan.name}: "
        for where, text in self.texts():
            if running and "Status" in where and text.startswith(running):
                continue
            assert not self.strangers(text, own), f"{where} on {own or 'no scan'}: {text!r}"
        chosen = volume_of(self.panel.scans.layer)
        for layer in viewer.layers:
            if layer.visible:
                assert not is_foreign(layer, chosen), f"layer {layer.name!r} on {own}"
        if job is not None and getattr(job, "region", ""):
            assert not self.strangers(job.region, job.scan.volume.series)

    def texts(self) -> Iterator[tuple[str, str]]:
        """Yield every text on screen with the name of its widget."""
        yield "caption", str(self.panel.viewer.canvas.overlays[CAPTION].text)
        windows = [
            window
            for window in (
                self.panel.chat_controller.choices_dialog,
                self.panel.reading_bar.details,
            )
            if window is not None and window.isVisible()
        ]
        for window in (self.panel, *windows):
            yield "title", window.windowTitle()
            for widget in window.findChildren(QWidget):
                # The box of the open scans lists them all; tabs in the background count.
                hidden = widget.isHidden() or isinstance(widget.parent(), QComboBox)
                if not hidden and not any(p.isHidden() for p in parents(widget, window)):
                    yield from texts_of(widget)


def parents(widget: QWidget, top: QWidget) -> Iterator[QWidget]:
    """Yield the widgets that contain one, except pages that a click on a tab would show."""
    parent = widget.parentWidget()
    while parent is not None and parent is not top:
        grand = parent.parentWidget()
        if grand is None or grand.objectName() != "qt_tabwidget_stackedwidget":
            yield parent
        parent = grand


def texts_of(widget: QWidget) -> Iterator[tuple[str, str]]:
    """Yield what a widget shows and what it says to a screen reader."""
    name = f"{type(widget).__name__} {widget.accessibleName()}"
    yield f"{name} tooltip", widget.toolTip()
    yield f"{name} accessible name", widget.accessibleName()
    if isinstance(widget, QPlainTextEdit | QTextEdit):
        yield name, widget.toPlainText()
    elif isinstance(widget, QLabel | QLineEdit | QAbstractButton):
        yield name, widget.text()
    elif isinstance(widget, QTableWidget):
        for column in range(widget.columnCount()):
            yield name, widget.horizontalHeaderItem(column).text()
            for row in range(widget.rowCount()):
                yield name, widget.item(row, column).text()


SCANS = ("open", "choose", "close", "hide")
MODEL = ("draft", "screen", "ask", "locate", "sum_up", "stop", "wait")
READER = (
    "type_question", "type_choices", "type_line", "draw", "paint", "undo", "recall", "details",
    "compare", "export",
)  # fmt: skip
# Scans change as often as anything else happens.
ACTIONS = st.tuples(
    st.sampled_from(SCANS) | st.sampled_from(MODEL) | st.sampled_from(READER),
    st.sampled_from(list(PATIENTS)),
)


def drive(make_panel: Maker, qtbot: QtBot, folder: Path, examples: int, most: int) -> None:
    """Do random lists of actions on one panel; each list begins without a scan."""
    panel = make_panel(ScriptedModel())

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(ACTIONS, min_size=most // 2, max_size=most))
    def run(actions: list[tuple[str, str]]) -> None:
        desk = Desk(panel, qtbot, folder)
        try:
            for who in ("Alpha", "Bravo"):
                desk.do("open", who)
            for action, who in actions:
                desk.do(action, who)
                desk.check()
            desk.wait()
            desk.check()
        finally:
            desk.wait()
            panel.viewer.layers.clear()
            panel.transcript.clear()
            QApplication.processEvents()

    run()


def test_nothing_of_one_patient_appears_with_another(
    make_panel: Maker, qtbot: QtBot, tmp_path: Path
) -> None:
    drive(make_panel, qtbot, tmp_path, examples=4, most=18)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_nothing_of_one_patient_appears_with_another_for_long(
    make_panel: Maker, qtbot: QtBot, tmp_path: Path
) -> None:
    drive(make_panel, qtbot, tmp_path, examples=60, most=40)


def test_the_check_sees_a_stranger(make_panel: Maker, qtbot: QtBot, tmp_path: Path) -> None:
    panel = make_panel(ScriptedModel())
    desk = Desk(panel, qtbot, tmp_path)
    desk.do("open", "Alpha")
    desk.check()
    panel.status.show_text("Bravo: ready")
    with pytest.raises(AssertionError, match="Bravo"):
        desk.check()


def test_patients_differ_in_what_is_measured() -> None:
    volumes: list[CTVolume] = [patient(name, hu=hu) for name, hu in PATIENTS.items()]
    assert len({int(volume.hu.max()) for volume in volumes}) == 3
