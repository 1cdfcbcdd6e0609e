"""The report tab as a reader uses it, without a viewer around it: real keys, real clicks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from qtpy.QtCore import QMimeData, QPoint, Qt
from qtpy.QtGui import QTextCursor

from napari_ct_assistant.assistant.report.document import ReportDocument
from napari_ct_assistant.viewer.chat.links import UNSUPPORTED
from napari_ct_assistant.viewer.report.dialogs import SignDialog
from napari_ct_assistant.viewer.report.editor import MARGIN, position_in
from napari_ct_assistant.viewer.report.export.dialog import ExportDialog
from napari_ct_assistant.viewer.report.export.exporter import Exporter
from napari_ct_assistant.viewer.report.tab import ReportTab
from napari_ct_assistant.viewer.session.scan_session import ScanSession
from napari_ct_assistant.viewer.texts import TIPS
from tests.assistant.report.report_samples import sample_draft
from tests.viewer.conftest import box_volume, said, states

if TYPE_CHECKING:
    from pathlib import Path

    from pytestqt.qtbot import QtBot

LEFT = Qt.MouseButton.LeftButton
CTRL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


def test_the_template_is_there_before_any_draft(tab: ReportTab) -> None:
    shown = tab.editor.toPlainText()
    assert shown.startswith("Technique\nCT, 20 axial slices 5 mm apart")
    assert "Heart and vessels" in shown
    assert not tab.editor.text.report().touched
    assert not tab.editor.text.isUndoAvailable()


def test_accept_reject_edit_by_keyboard_and_undo_all_of_it(
    drafted_tab: ReportTab, qtbot: QtBot
) -> None:
    editor = drafted_tab.editor
    before = said(drafted_tab)
    qtbot.keyClick(editor, Qt.Key.Key_F8)
    assert editor.current_line().text == "Trachea and both main bronchi are open."
    qtbot.keyClick(editor, Qt.Key.Key_Return, CTRL)
    qtbot.keyClick(editor, Qt.Key.Key_Return, CTRL | SHIFT)
    qtbot.keyClicks(editor, " Stable.")
    assert states(drafted_tab) == ["template", "accepted", "rejected", "edited", "draft"]
    report = editor.text.report()
    assert "Heart size" not in report.text
    assert "right lung. Stable." in report.text
    while editor.text.isUndoAvailable():
        editor.undo()
        if states(drafted_tab) == ["template", "draft", "draft", "draft", "draft"]:
            break
    assert said(drafted_tab) == before
    for _ in range(3):
        editor.redo()
    assert states(drafted_tab) == ["template", "accepted", "rejected", "edited", "draft"]


def test_buttons_do_what_the_keys_do(drafted_tab: ReportTab, qtbot: QtBot) -> None:
    row = drafted_tab.sentence
    qtbot.mouseClick(row.next_button, LEFT)
    qtbot.waitUntil(lambda: row.slice_button.text() == "Image 10")
    qtbot.mouseClick(row.accept_button, LEFT)
    qtbot.mouseClick(row.reject_button, LEFT)
    assert states(drafted_tab)[1:3] == ["accepted", "rejected"]
    line = drafted_tab.editor.text.document_lines()[2]
    drafted_tab.editor.select_line(line)
    qtbot.waitUntil(lambda: row.reject_button.text() == "Restore")
    qtbot.mouseClick(row.reject_button, LEFT)
    assert states(drafted_tab)[2] == "draft"
    qtbot.mouseClick(drafted_tab.tools.undo_button, LEFT)
    assert states(drafted_tab)[2] == "rejected"


def test_picture_and_heat_follow_after_accept_and_reject(
    drafted_tab: ReportTab, qtbot: QtBot
) -> None:
    tab = drafted_tab
    tab.editor.next_unreviewed()
    followed: list[str] = []
    tab.followed.connect(lambda _scan, href: followed.append(href))
    for widget in (tab.sentence.accept_button, tab.sentence.reject_button):
        before = len(followed)
        qtbot.waitUntil(widget.isEnabled)
        qtbot.mouseClick(widget, Qt.MouseButton.LeftButton)
        line = tab.editor.current_line()
        assert line is not None
        assert line.state == "draft"
        where = position_in(line)
        assert where is not None
        assert followed[before:] == [where.href]


def test_the_whole_sentence_at_the_cursor_is_marked(drafted_tab: ReportTab) -> None:
    editor = drafted_tab.editor
    for line in editor.text.document_lines()[:2]:
        editor.select_line(line)
        (mark,) = editor.extraSelections()
        assert mark.cursor.selectedText() == line.text
    # Nothing is marked on a heading.
    editor.moveCursor(QTextCursor.MoveOperation.Start)
    assert editor.extraSelections() == []


def test_slices_are_links(drafted_tab: ReportTab, qtbot: QtBot, scan: ScanSession) -> None:
    editor = drafted_tab.editor
    line = next(line for line in editor.text.document_lines() if "Heart size" in line.text)
    at = editor.top_of(line).center()
    with qtbot.waitSignal(drafted_tab.followed) as followed:
        qtbot.mouseClick(editor.margin, LEFT, pos=QPoint(MARGIN - 12, at.y()))
    assert followed.args == [scan, "slice:12?ras=1.4,-9.0,0.0"]
    with qtbot.waitSignal(drafted_tab.followed) as followed:
        qtbot.keyClick(editor, Qt.Key.Key_G, CTRL)
    assert followed.args[1].startswith("slice:12")


def test_a_sentence_that_the_image_does_not_support_is_marked(
    drafted_tab: ReportTab, qtbot: QtBot
) -> None:
    drafted_tab.editor.select_line(drafted_tab.editor.text.document_lines()[1])
    qtbot.waitUntil(lambda: UNSUPPORTED in drafted_tab.sentence.label.toolTip())
    drafted_tab.editor.select_line(drafted_tab.editor.text.document_lines()[2])
    qtbot.waitUntil(lambda: UNSUPPORTED not in drafted_tab.sentence.label.toolTip())


def test_a_new_draft_never_overwrites_what_was_typed(
    drafted_tab: ReportTab, qtbot: QtBot, scan: ScanSession
) -> None:
    editor = drafted_tab.editor
    editor.select_line(editor.text.document_lines()[-1])
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    qtbot.keyClicks(editor, "My own line.")
    drafted_tab.take_draft(scan, sample_draft())
    assert drafted_tab.new_draft.isVisible()
    assert said(drafted_tab)[-1] == "My own line."
    qtbot.mouseClick(drafted_tab.new_draft.add_button, LEFT)
    assert not drafted_tab.new_draft.isVisible()
    assert said(drafted_tab).count("Severe cardiomegaly.") == 2
    assert "My own line." in said(drafted_tab)
    assert states(drafted_tab).count("draft") == 8
    editor.undo()
    assert states(drafted_tab).count("draft") == 4
    assert "My own line." in said(drafted_tab)

    drafted_tab.take_draft(scan, sample_draft())
    qtbot.mouseClick(drafted_tab.new_draft.replace_button, LEFT)
    assert "My own line." not in said(drafted_tab)
    editor.undo()
    assert said(drafted_tab)[-1] == "My own line."
    assert states(drafted_tab)[-1] == "own"

    drafted_tab.take_draft(scan, sample_draft())
    qtbot.mouseClick(drafted_tab.new_draft.dismiss_button, LEFT)
    assert said(drafted_tab)[-1] == "My own line."


def test_an_untouched_draft_is_replaced_and_undo_brings_it_back(
    drafted_tab: ReportTab, scan: ScanSession
) -> None:
    drafted_tab.take_draft(scan, sample_draft(*sample_draft().sentences[:1]))
    assert len(said(drafted_tab)) == 2
    drafted_tab.editor.undo()
    assert len(said(drafted_tab)) == 5
    assert states(drafted_tab)[1:] == ["draft"] * 4


def test_each_scan_keeps_its_text_and_its_undo(drafted_tab: ReportTab, qtbot: QtBot) -> None:
    first, second = drafted_tab.scan, ScanSession(box_volume())
    assert first is not None
    drafted_tab.editor.next_unreviewed()
    qtbot.keyClicks(drafted_tab.editor, " First.")
    drafted_tab.show_scan(second)
    assert "First." not in drafted_tab.editor.toPlainText()
    qtbot.keyClicks(drafted_tab.editor, "Second. ")
    drafted_tab.show_scan(first)
    assert "First." in drafted_tab.editor.toPlainText()
    drafted_tab.editor.undo()
    assert "First." not in drafted_tab.editor.toPlainText()
    drafted_tab.close_scan(second)
    assert "Second." not in drafted_tab.text_of(second).report().text


def test_pasted_and_moved_text(drafted_tab: ReportTab, qtbot: QtBot) -> None:
    editor = drafted_tab.editor
    data = QMimeData()
    data.setHtml("<b>one</b><br>two")
    data.setText("one\ntwo")
    editor.select_line(editor.text.document_lines()[1])
    editor.insertFromMimeData(data)
    assert said(drafted_tab)[1:3] == ["Trachea and both main bronchi are open.one", "two"]
    assert states(drafted_tab)[1:3] == ["edited", "own"]
    editor.undo()
    # Cut a sentence and paste it elsewhere: it keeps its evidence.
    line = editor.text.document_lines()[2]
    cursor = editor.textCursor()
    cursor.setPosition(line.block.position())
    cursor.movePosition(cursor.MoveOperation.EndOfBlock, cursor.MoveMode.KeepAnchor)
    text = cursor.selectedText()
    cursor.removeSelectedText()
    editor.select_line(editor.text.document_lines()[-1])
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    data.setText(text)
    editor.insertFromMimeData(data)
    moved = editor.text.document_lines()[-1]
    assert moved.state == "draft"
    assert moved.sentence is not None
    assert moved.sentence.slice == 12


def test_comparison_shows_what_went_and_came(drafted_tab: ReportTab, qtbot: QtBot) -> None:
    drafted_tab.editor.next_unreviewed()
    qtbot.keyClicks(drafted_tab.editor, " Stable.")
    qtbot.keyClick(drafted_tab.editor, Qt.Key.Key_F9)
    assert drafted_tab.pages.currentWidget() is drafted_tab.comparison
    assert "are open. Stable." in drafted_tab.comparison.toPlainText()
    shown = drafted_tab.comparison.toPlainText().splitlines()
    headings = ["Technique", "Findings", "Airways", "Heart and vessels", "Lungs", "Impression"]
    assert [line for line in shown if line in headings] == headings
    html = drafted_tab.comparison.toHtml()
    assert "underline" in html
    qtbot.mouseClick(drafted_tab.tools.compare_button, LEFT)
    assert drafted_tab.pages.currentWidget() is drafted_tab.editor


def test_phrases_are_the_readers_own_lines(drafted_tab: ReportTab, qtbot: QtBot) -> None:
    editor = drafted_tab.editor
    editor.select_line(editor.text.document_lines()[-1])
    qtbot.waitUntil(lambda: len(drafted_tab.tools.phrases_menu.actions()) == 2)
    drafted_tab.tools.phrases_menu.actions()[0].trigger()
    assert said(drafted_tab)[-1] == "No acute abnormality of the chest."
    assert states(drafted_tab)[-1] == "own"
    editor.undo()
    assert "No acute" not in editor.toPlainText()


def test_templates_change_what_comes_next_not_what_was_written(
    drafted_tab: ReportTab, qtbot: QtBot, scan: ScanSession
) -> None:
    before = drafted_tab.editor.toPlainText()
    drafted_tab.tools.template.emit("Abdominal CT")
    assert drafted_tab.editor.toPlainText() == before
    drafted_tab.take_draft(scan, sample_draft())
    assert "Liver and biliary tract" in drafted_tab.editor.toPlainText()


def test_signing_off_and_voiding_it(drafted_tab: ReportTab, qtbot: QtBot) -> None:
    text = drafted_tab.editor.text
    dialog = SignDialog(drafted_tab.checking.find(), drafted_tab)
    qtbot.addWidget(dialog)
    assert not dialog.sign_button.isEnabled()
    qtbot.keyClicks(dialog.name, "Dr. Ada Example")
    assert dialog.sign_button.isEnabled()
    text.set_frame(text.report().sign(dialog.name.text()))
    qtbot.waitUntil(lambda: "Signed off by Dr. Ada Example" in drafted_tab.notice.text())
    drafted_tab.editor.next_unreviewed()
    qtbot.keyClicks(drafted_tab.editor, "x")
    qtbot.waitUntil(lambda: "Not signed off" in drafted_tab.notice.text())
    drafted_tab.editor.undo()
    qtbot.waitUntil(lambda: "Signed off by" in drafted_tab.notice.text())


def test_export_from_the_panel(drafted_tab: ReportTab, qtbot: QtBot, tmp_path: Path) -> None:
    exporter = Exporter(drafted_tab, drafted_tab)
    told: list[str] = []
    exporter.status_message.connect(told.append)
    report = drafted_tab.editor.text.report()
    dialog = ExportDialog(report, drafted_tab)
    qtbot.addWidget(dialog)
    assert dialog.path.name.startswith("report")
    assert not dialog.path.exists()
    dialog.file.clear()
    assert not dialog.save_button.isEnabled()
    # The ending that is typed decides the format, and another format changes the ending.
    qtbot.keyClicks(dialog.file, str(tmp_path / "u.pdf"))
    assert dialog.path == tmp_path / "u.pdf"
    dialog.format.setCurrentIndex(2)
    assert dialog.path == tmp_path / "u.txt"
    dialog.file.clear()
    dialog.format.setCurrentIndex(3)
    qtbot.keyClicks(dialog.file, str(tmp_path / "mine"))
    assert dialog.save_button.isEnabled()
    assert dialog.path == tmp_path / "mine.json"
    assert dialog.identified is None
    dialog.identifiers.setChecked(True)
    assert not dialog.save_button.isEnabled()
    dialog.folder.setText(str(tmp_path))
    assert dialog.identified == tmp_path
    dialog.format.setCurrentIndex(1)
    assert dialog.identified is None
    assert drafted_tab.scan is not None
    ct = drafted_tab.scan.volume
    exporter.export(report, ct, tmp_path / "mine.json")
    qtbot.waitUntil(lambda: not exporter.busy, timeout=60_000)
    assert told[-1] == "Exported mine.json"
    assert json.loads((tmp_path / "mine.json").read_text())["status"] == "preliminary"
    exporter.export(report, ct, tmp_path / "none" / "mine.json")
    qtbot.waitUntil(lambda: not exporter.busy, timeout=60_000)
    assert told[-1].startswith("Not exported: mine.json: its folder does not exist")


def test_everything_has_a_name_and_a_tip(drafted_tab: ReportTab) -> None:
    from qtpy.QtWidgets import QAbstractButton

    for button in drafted_tab.tools.findChildren(
        QAbstractButton
    ) + drafted_tab.sentence.findChildren(QAbstractButton):
        assert button.text() or button.accessibleName()  # some show an icon alone
        assert button.toolTip() in TIPS.values()
    for widget in (
        drafted_tab.editor,
        drafted_tab.comparison,
        drafted_tab.notice,
        drafted_tab.tools.templates,
    ):
        assert widget.accessibleName()


def test_a_report_survives_the_editor(drafted_tab: ReportTab) -> None:
    report = drafted_tab.editor.text.report()
    text = drafted_tab.editor.text
    text.fill(report)
    again = text.report()
    assert again.text == report.text
    assert again.sources == report.sources
    assert ReportDocument.from_json(json.loads(json.dumps(again.to_json()))) == again
