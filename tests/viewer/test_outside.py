"""A scan unlike the model's training: the panel asks once before it drafts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from napari_ct_assistant.backends.scan_notes import OUTSIDE
from napari_ct_assistant.viewer.scan.layers import add_volume
from tests.viewer.scripted import ScriptedModel, ScriptedReading
from tests.viewer.test_two_scans import patient

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from napari_ct_assistant.viewer.panel import CTAssistantPanel
    from napari_ct_assistant.volume import CTVolume

Maker = Callable[..., Any]
NOTE = f"{OUTSIDE}: it shows the abdomen (body part ABDOMEN), and the model was trained on chest."


class ChestModel(ScriptedModel):
    """Says of every scan but a chest that it is outside its training."""

    def read(self, volume: CTVolume, **options: Any) -> ScriptedReading:
        reading = super().read(volume, **options)
        if volume.series != "Chest":
            reading.warnings = (*reading.warnings, NOTE)
        return reading


@pytest.fixture
def panel(make_panel: Maker) -> CTAssistantPanel:
    made: CTAssistantPanel = make_panel(ChestModel(), show=True)
    made.models.set_model("scripted")
    add_volume(made.viewer, patient("Chest", 20, head_mm=200.0))
    add_volume(made.viewer, patient("Abdomen", 20, head_mm=-100.0))
    return made


def idle(panel: CTAssistantPanel, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: not panel.conversation.jobs.busy, timeout=60_000)


def drafted(panel: CTAssistantPanel) -> bool:
    return any(m.title.startswith("Report") for m in panel.transcript.messages)


def draft(panel: CTAssistantPanel, qtbot: QtBot) -> None:
    qtbot.mouseClick(panel.actions_row.draft_button, Qt.MouseButton.LeftButton)
    idle(panel, qtbot)


def test_it_asks_before_drafting_and_once(panel: CTAssistantPanel, qtbot: QtBot) -> None:
    question = panel.outside_banner.question
    draft(panel, qtbot)
    assert question.isVisible()
    text = question.label.text()
    assert NOTE in text
    assert "trained on: made-up scans" in text
    assert "Draft a report all the same?" in text
    assert not drafted(panel)
    assert "No report drafted yet" in panel.status.label.text()
    # No: nothing is drafted, the warning stays, and the next draft asks again.
    qtbot.keyClick(question, Qt.Key.Key_N)
    assert question.isHidden()
    assert panel.status.label.text().endswith(": no report drafted")
    assert panel.outside_banner.banner.isVisible()
    assert not drafted(panel)
    assert not panel.conversation.jobs.busy
    draft(panel, qtbot)
    assert question.isVisible()
    qtbot.keyClick(question, Qt.Key.Key_Y)
    idle(panel, qtbot)
    assert drafted(panel)
    assert question.isHidden()
    assert panel.outside_banner.banner.label.text() == NOTE
    # Yes is kept for this scan and this model, also for "Again".
    count = len(panel.transcript.messages)
    draft(panel, qtbot)
    assert question.isHidden()
    assert len(panel.transcript.messages) == count + 1
    panel.chat_controller.again()
    idle(panel, qtbot)
    assert question.isHidden()
    # Another model asks anew.
    panel.models.set_model("another")
    draft(panel, qtbot)
    assert question.isVisible()


def test_the_question_belongs_to_its_scan(panel: CTAssistantPanel, qtbot: QtBot) -> None:
    question, layers = panel.outside_banner.question, panel.viewer.layers
    draft(panel, qtbot)
    layers.selection.active = layers["Chest"]
    assert question.isHidden()
    draft(panel, qtbot)
    assert question.isHidden()
    assert [m.scan.name for m in panel.transcript.messages if m.job] == ["Chest"]
    layers.selection.active = layers["Abdomen"]
    assert question.isVisible()
    layers.remove(layers["Abdomen"])
    assert not question.isVisible()


def test_a_letter_meant_for_a_text_never_answers(panel: CTAssistantPanel, qtbot: QtBot) -> None:
    panel.activateWindow()
    box, question = panel.ask_row.box, panel.outside_banner.question
    panel.draft_report()

    def focused() -> bool:
        """Ask again until no window of another test has the focus."""
        panel.activateWindow()
        box.setFocus()
        return bool(box.hasFocus())

    qtbot.waitUntil(focused)
    idle(panel, qtbot)
    assert question.isVisible()
    qtbot.keyClicks(QApplication.focusWidget(), "yyn")
    assert box.toPlainText() == "yyn"
    assert question.isVisible()
    qtbot.keyClick(box, Qt.Key.Key_Y, Qt.KeyboardModifier.AltModifier)
    idle(panel, qtbot)
    assert drafted(panel)


def test_the_reports_own_window_has_the_warning(panel: CTAssistantPanel, qtbot: QtBot) -> None:
    draft(panel, qtbot)
    qtbot.keyClick(panel.outside_banner.question, Qt.Key.Key_Y)
    idle(panel, qtbot)
    banner, tab = panel.report_controller.outside, panel.report_controller.tab
    assert banner.isHidden()
    tab.tools.window_button.click()
    assert tab.isWindow()
    assert banner.isVisible()
    assert banner.label.text() == NOTE
    layers = panel.viewer.layers
    layers.selection.active = layers["Chest"]
    assert not banner.isVisible()
    layers.selection.active = layers["Abdomen"]
    assert banner.isVisible()
    tab.tools.window_button.click()
    assert not banner.isVisible()


def test_the_warning_comes_back_with_the_journal(
    panel: CTAssistantPanel, make_panel: Maker, qtbot: QtBot
) -> None:
    draft(panel, qtbot)
    qtbot.keyClick(panel.outside_banner.question, Qt.Key.Key_Y)
    idle(panel, qtbot)
    panel.report_controller.flush()
    again = make_panel(ChestModel(), show=True)
    add_volume(again.viewer, patient("Abdomen", 20, head_mm=-100.0))
    qtbot.waitUntil(lambda: again.outside_banner.banner.isVisible(), timeout=20_000)
    assert again.outside_banner.banner.label.text() == NOTE
