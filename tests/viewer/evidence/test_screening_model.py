"""The panel with a model that screens and writes no text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from qtpy.QtCore import Qt

from napari_ct_assistant.assistant import Assistant
from napari_ct_assistant.viewer.evidence.findings_table import BAR
from napari_ct_assistant.viewer.scan.layers import add_volume
from napari_ct_assistant.volume import CTVolume
from tests.backends.brightness_model import WORDS, BrightnessBackend

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytestqt.qtbot import QtBot

    from napari_ct_assistant.viewer.panel import CTAssistantPanel


def load(model: str, **options: Any) -> Assistant:
    return Assistant(BrightnessBackend(ranked="calibrated" not in model))


@pytest.fixture
def panel(make_panel: Callable[..., CTAssistantPanel], ct: CTVolume) -> CTAssistantPanel:
    panel = make_panel(load)
    add_volume(panel.viewer, ct)
    return panel


def screened(panel: CTAssistantPanel, qtbot: QtBot, model: str = "brightness") -> None:
    """Load a model, and screen the scan."""
    panel.models.set_model(model)
    panel.models.load_button.setEnabled(True)
    panel.models.load_or_unload()
    qtbot.waitUntil(lambda: panel.models.is_loaded and not panel.models.busy)
    panel.screen()
    qtbot.waitUntil(lambda: not panel.conversation.jobs.busy)


def test_ranks_and_margins_in_place_of_percentages(panel: CTAssistantPanel, qtbot: QtBot) -> None:
    screened(panel, qtbot)
    table, tab = panel.findings, panel.findings_controller.tab
    assert panel.tabs.currentWidget() is tab
    assert [table.item(0, n).text() for n in (0, 1, 3, 4)] == [WORDS[0], "1", "-0.500", "+0.200"]
    headers = [table.horizontalHeaderItem(n).text() for n in (1, 3, 4)]
    assert headers == ["Rank", "No scan", "Margin"]
    assert table.isColumnHidden(BAR)
    assert "%" not in "".join(table.item(r, c).text() for r in range(2) for c in (1, 3, 4))
    assert "not probabilities" in tab.lines.text()
    assert "The scan was looked at once." in tab.lines.text()


def test_words_of_the_reader_are_ranked(panel: CTAssistantPanel, qtbot: QtBot) -> None:
    screened(panel, qtbot)
    tab = panel.findings_controller.tab
    assert tab.offers_words
    tab.box.setText("a broken rib,  , a pacemaker ")
    qtbot.keyClick(tab.box, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: not panel.conversation.jobs.busy)
    assert [panel.findings.item(n, 0).text() for n in range(2)] == ["a broken rib", "a pacemaker"]
    panel.models.set_model("demo")
    assert not tab.offers_words


def test_draft_and_questions_are_off_and_say_why(panel: CTAssistantPanel, qtbot: QtBot) -> None:
    screened(panel, qtbot)
    why = "brightness screens for findings and writes no text. Press Findings"
    assert not panel.actions_row.draft_button.isEnabled()
    assert panel.actions_row.findings_button.isEnabled()
    assert panel.actions_row.draft_button.toolTip().startswith(why)
    assert panel.ask_row.box.isHidden()
    # Suggested questions would be refused, by click and by Alt+1.
    assert panel.chat_controller.chips.isHidden()
    assert panel.ask_row.why.text().startswith(why)
    messages = len(panel.transcript.messages)
    for attempt in (panel.draft_report, lambda: panel.ask("And?")):
        panel.status.show_text("Ready")
        attempt()
        assert panel.status.label.text().startswith(why)
        assert not panel.conversation.jobs.busy
    assert len(panel.transcript.messages) == messages
    panel.models.set_model("demo")
    assert panel.actions_row.draft_button.isEnabled()
    assert not panel.ask_row.box.isHidden()
    assert not panel.chat_controller.chips.isHidden()
    assert panel.ask_row.why.isHidden()


def test_a_finding_shows_its_map(panel: CTAssistantPanel, qtbot: QtBot) -> None:
    screened(panel, qtbot)
    panel.show_finding(WORDS[0])
    qtbot.waitUntil(lambda: not panel.conversation.jobs.busy)
    assert panel.evidence_controller.layer.layer is not None
    assert "Calcification: highest at image" in panel.status.label.text()
    assert "nats" not in panel.status.label.text()


def test_calibrated_scores_are_percentages(panel: CTAssistantPanel, qtbot: QtBot) -> None:
    screened(panel, qtbot, "calibrated")
    assert [panel.findings.item(0, n).text() for n in (1, 3, 4)] == ["70%", "0%", "60%"]
    assert not panel.findings.isColumnHidden(BAR)
    assert not panel.findings_controller.tab.offers_words
