"""Reading first: nothing of the model's is seen before the reader's own read is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QTextCursor

from napari_ct_assistant.assistant.report.read_first import ReadFirst, changes
from napari_ct_assistant.viewer import panel as panel_module
from napari_ct_assistant.viewer.preferences import Preferences
from napari_ct_assistant.viewer.scan.layers import add_volume
from napari_ct_assistant.viewer.texts import READ_FIRST_ASK, READ_FIRST_READY
from napari_ct_assistant.volume import CTVolume
from tests.viewer.conftest import said
from tests.viewer.scripted import ScriptedModel

if TYPE_CHECKING:
    from pathlib import Path

    from pytestqt.qtbot import QtBot

    from napari_ct_assistant.viewer.panel import CTAssistantPanel

Maker = Callable[..., "CTAssistantPanel"]
LEFT = Qt.MouseButton.LeftButton
CTRL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


@pytest.fixture
def panel(
    make_panel: Maker,
    ct: CTVolume,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
    data_home: Path,
) -> CTAssistantPanel:
    """Return a panel with the preference, a scan, and a draft and findings that wait."""
    monkeypatch.setattr(panel_module, "load_preferences", lambda: Preferences(read_first=True))
    made = make_panel(ScriptedModel(), show=True)
    add_volume(made.viewer, ct)
    tab = made.report_controller.tab
    qtbot.waitUntil(lambda: not tab.editor.isReadOnly(), timeout=20_000)
    for ask in (made.screen, made.draft_report):
        ask()
        qtbot.waitUntil(lambda: not made.conversation.jobs.busy, timeout=20_000)
    return made


def everything_shown(panel: CTAssistantPanel) -> str:
    """Return every text that the reader can see of the model's results."""
    shown = [m.plain_text() for m in panel.transcript.messages if not m.isHidden()]
    table = panel.findings
    shown += [
        table.item(row, column).text()
        for row in range(table.rowCount())
        for column in range(table.columnCount())
        if table.item(row, column) is not None
    ]
    shown += [chip.text() for chip in panel.chat_controller.chips.buttons]
    shown += said(panel.report_controller.tab)
    return "\n".join([*shown, panel.transcript.plain_text()])


def write(panel: CTAssistantPanel, heading: str, text: str, qtbot: QtBot) -> None:
    editor = panel.report_controller.tab.editor
    cursor = QTextCursor(editor.document().find(heading))
    cursor.setPosition(editor.text.insert_line(cursor.position(), ""))
    editor.setTextCursor(cursor)
    qtbot.keyClicks(editor, text)


def test_the_results_wait_and_come_with_the_button(panel: CTAssistantPanel, qtbot: QtBot) -> None:
    scan = panel.scans.scan
    assert scan is not None
    assert scan.hidden
    assert scan.findings
    assert "nodule" not in everything_shown(panel).lower()
    assert panel.findings.rowCount() == 0
    assert READ_FIRST_READY in panel.status.label.text()
    assert panel.report_controller.tab.new_draft.isHidden()
    # Nor does a question or a finding get an answer that would show them.
    assert not panel.ask("Is there a nodule?")
    assert panel.status.label.text() == READ_FIRST_ASK
    panel.show_finding("Lung nodule")
    assert not panel.conversation.jobs.busy
    write(panel, "Lungs", "Small nodule on the left.", qtbot)
    assert scan.hidden
    panel.tabs.setCurrentWidget(panel.report_controller.tab)
    bar = panel.first_read.bar
    assert not bar.isHidden()
    qtbot.mouseClick(bar.done_button, LEFT)
    assert bar.isHidden()
    assert not scan.hidden
    # The draft never overwrites what the reader wrote.
    assert not panel.report_controller.tab.new_draft.isHidden()
    qtbot.mouseClick(panel.report_controller.tab.new_draft.add_button, LEFT)
    assert "Small nodule on the left." in said(panel.report_controller.tab)
    assert "there is a nodule" in everything_shown(panel).lower()
    assert panel.findings.rowCount() > 0
    assert panel.ask("Is there a nodule?")
    qtbot.waitUntil(lambda: not panel.conversation.jobs.busy, timeout=20_000)


def test_a_finished_impression_shows_them_and_the_journal_keeps_the_change(
    panel: CTAssistantPanel, qtbot: QtBot
) -> None:
    scan = panel.scans.scan
    keeper = panel.report_controller.keeper
    assert scan is not None
    assert keeper is not None
    write(panel, "Impression", "Normal chest", qtbot)
    assert scan.hidden
    qtbot.keyClicks(panel.report_controller.tab.editor, ".")
    assert not scan.hidden
    qtbot.mouseClick(panel.report_controller.tab.new_draft.add_button, LEFT)
    line = next(
        x
        for x in panel.report_controller.tab.editor.text.document_lines()
        if x.text == "Normal chest."
    )
    panel.report_controller.tab.editor.select_line(line)
    qtbot.keyClicks(panel.report_controller.tab.editor, " Nodule.")
    keeper.flush()
    kept = keeper.writer.journal.load(scan.journal_key)
    assert kept is not None
    record = kept.body["read_first"]
    assert record["own"] == ["Normal chest."]
    assert record["changes"] == [
        {"kind": "changed", "before": "Normal chest.", "after": "Normal chest. Nodule."}
    ]
    assert record["seconds_alone"] >= 0
    assert "Chest" not in str(record).replace("Normal chest", "")


def test_a_scan_that_was_read_before_is_not_hidden_again(
    panel: CTAssistantPanel, ct: CTVolume, qtbot: QtBot
) -> None:
    panel.first_read.finish()
    keeper = panel.report_controller.keeper
    assert keeper is not None
    keeper.mark_all_changed()
    keeper.flush()
    panel.viewer.layers.clear()
    add_volume(panel.viewer, CTVolume(ct.hu.copy(), ct.affine, ct.series))
    qtbot.waitUntil(lambda: not panel.report_controller.tab.editor.isReadOnly(), timeout=20_000)
    assert panel.scans.scan is not None
    assert not panel.scans.scan.hidden
    assert panel.first_read.bar.isHidden()


def test_it_is_off_unless_the_reader_wants_it(make_panel: Maker, ct: CTVolume) -> None:
    panel = make_panel(ScriptedModel())
    add_volume(panel.viewer, ct)
    assert panel.scans.scan is not None
    assert panel.scans.scan.read_first is None
    assert panel.first_read.bar.isHidden()


class Clock:
    """A clock that a test sets."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_seconds_of_each_phase_without_the_time_for_other_scans() -> None:
    from napari_ct_assistant.assistant.report.document import ReportDocument

    clock = Clock()
    first = ReadFirst(clock)
    first.resume()
    clock.now += 30
    first.pause()  # another scan is on screen
    clock.now += 500
    first.resume()
    clock.now += 10
    first.reveal(ReportDocument())
    clock.now += 7
    kept = first.to_json(ReportDocument())
    assert (kept["seconds_alone"], kept["seconds_with_draft"]) == (40.0, 7.0)
    clock.now += 1
    assert first.to_json(ReportDocument())["seconds_with_draft"] == 8.0
    again = ReadFirst.from_json(kept, clock)
    assert not again.hidden
    assert again.alone == 40.0


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"own": 1, "seconds_alone": 1, "seconds_with_draft": 1},
        {"own": None, "seconds_alone": "x", "seconds_with_draft": 0},
    ],
)
def test_a_damaged_record_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not a record"):
        ReadFirst.from_json(data)


def test_what_changed_after_the_draft_was_seen() -> None:
    from napari_ct_assistant.assistant.reading.results import Sentence
    from napari_ct_assistant.assistant.report.document import ReportDocument
    from napari_ct_assistant.assistant.report.parts import Line, Section, Source

    sources = (Source(Sentence("A nodule.")), Source(Sentence("Clear lungs.")))
    lines = (
        Line("Kept."),
        Line("New."),
        Line("A nodule.", 0, "accepted"),
        Line("Clear lungs.", 1, "rejected"),
    )
    report = ReportDocument((Section("findings", "Findings", 1, lines),), sources)
    assert changes(("Kept.", "Gone."), report) == [
        {"kind": "changed", "before": "Gone.", "after": "New."},
        {"kind": "accepted", "before": "A nodule.", "after": "A nodule."},
        {"kind": "rejected", "before": "Clear lungs.", "after": ""},
    ]
