"""A passage explained, shortened or summed up: shown, doubted, and replaced only when told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt

from napari_ct_assistant.assistant import Answer, ModelInfo
from napari_ct_assistant.viewer.report.passage import selected_text
from napari_ct_assistant.viewer.report.tab import ReportTab
from napari_ct_assistant.viewer.session.jobs import RewriteJob, RewriteResult
from napari_ct_assistant.viewer.session.run_record import RunRecord
from napari_ct_assistant.viewer.session.scan_session import ScanSession
from tests.assistant.report.report_samples import INFO
from tests.viewer.conftest import said, states

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

LEFT = Qt.MouseButton.LeftButton


def answer(scan: ScanSession, text: str, info: ModelInfo = INFO) -> RewriteResult:
    said = Answer("q", text, info, 0.1, 0.2, 3, stopped=False)
    return RewriteResult(RunRecord(info, "cpu"), RewriteJob(scan, "demo", "shorten", "q"), said)


def test_shorten_shows_doubts_and_replaces_only_when_told(
    drafted_tab: ReportTab, qtbot: QtBot, scan: ScanSession
) -> None:
    editor = drafted_tab.editor
    line = next(line for line in editor.text.document_lines() if "nodule" in line.text)
    editor.select_line(line)
    with qtbot.waitSignal(drafted_tab.passage.asked) as asked:
        qtbot.mouseClick(drafted_tab.sentence.shorten_button, LEFT)
    assert asked.args[0] == "shorten"
    assert asked.args[1].endswith(line.text)
    before = editor.toPlainText()
    drafted_tab.passage.begin("shorten", editor)
    drafted_tab.passage.append("1.5 cm nodule, ")
    drafted_tab.passage.finish(answer(scan, "1.5 cm nodule, left lung."))
    assert editor.toPlainText() == before
    doubts = drafted_tab.passage.doubts.text()
    assert "was not trained to shorten" in doubts
    assert "Left out: right" in doubts
    assert "Not in the original: left" in doubts
    qtbot.mouseClick(drafted_tab.passage.replace_button, LEFT)
    assert "1.5 cm nodule, left lung." in said(drafted_tab)
    assert not drafted_tab.passage.isVisible()
    editor.undo()
    assert editor.toPlainText() == before


def test_the_impression_is_made_of_the_findings_as_they_stand(
    drafted_tab: ReportTab, qtbot: QtBot, scan: ScanSession
) -> None:
    editor = drafted_tab.editor
    rejected, kept = [line for line in editor.text.document_lines() if line.source is not None][:2]
    editor.select_line(rejected)
    editor.reject()
    with qtbot.waitSignal(drafted_tab.passage.asked) as asked:
        qtbot.mouseClick(drafted_tab.sentence.impression_button, LEFT)
    kind, question = asked.args
    assert kind == "impression"
    assert kept.text in question
    assert rejected.text not in question
    impression = editor.text.select_section("impression")
    assert impression is not None
    old = selected_text(impression)
    assert old.strip()
    assert old not in question
    before = editor.toPlainText()
    drafted_tab.passage.begin("impression", editor)
    drafted_tab.passage.finish(answer(scan, "One thing. Another on the left."))
    assert "Not in the findings: left" in drafted_tab.passage.doubts.text()
    assert editor.toPlainText() == before
    assert drafted_tab.passage.replace_button.text() == "Replace the impression"
    qtbot.mouseClick(drafted_tab.passage.replace_button, LEFT)
    assert said(drafted_tab)[-2:] == ["One thing.", "Another on the left."]
    # The model wrote them: they are not reviewed.
    assert states(drafted_tab)[-2:] == ["draft", "draft"]
    assert drafted_tab.editor.text.report().drafts[-1].kind == "impression"
    assert old not in editor.toPlainText()
    editor.undo()
    assert editor.toPlainText() == before


def test_an_empty_report_has_nothing_to_sum_up(tab: ReportTab, qtbot: QtBot) -> None:
    with qtbot.waitSignal(tab.status_message) as told:
        tab.sentence.impression_button.click()
    assert told.args == ["The report has no findings to summarise yet"]


def test_text_that_changed_meanwhile_is_not_replaced(
    drafted_tab: ReportTab, qtbot: QtBot, scan: ScanSession
) -> None:
    editor = drafted_tab.editor
    editor.select_line(editor.text.document_lines()[1])
    drafted_tab.passage.ask("shorten", editor)
    drafted_tab.passage.begin("shorten", editor)
    cursor = editor.textCursor()
    cursor.setPosition(cursor.selectionStart() + 3)
    cursor.insertText("!!")
    drafted_tab.passage.finish(answer(scan, "Open."))
    qtbot.mouseClick(drafted_tab.passage.replace_button, LEFT)
    assert "has changed" in drafted_tab.passage.doubts.text()
    assert "Tra!!chea" in editor.toPlainText()


def test_nothing_selected_is_said(tab: ReportTab, qtbot: QtBot) -> None:
    cursor = tab.editor.textCursor()
    cursor.setPosition(tab.editor.text.insert_line(0, ""))
    tab.editor.setTextCursor(cursor)
    with qtbot.waitSignal(tab.status_message) as told:
        tab.passage.ask("explain", tab.editor)
    assert told.args == ["Select the text to explain first"]
