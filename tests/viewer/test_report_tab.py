"""The report tab as a reader uses it, without a viewer around it: real keys, real clicks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from qtpy.QtCore import QMimeData, QPoint, Qt

from napari_ct_assistant.assistant import Answer, ModelInfo
from napari_ct_assistant.assistant.report_document import ReportDocument
from napari_ct_assistant.viewer.links import UNSUPPORTED
from napari_ct_assistant.viewer.report_dialogs import SignDialog
from napari_ct_assistant.viewer.report_editor import MARGIN
from napari_ct_assistant.viewer.report_export import ExportDialog, Exporter
from napari_ct_assistant.viewer.report_tab import ReportTab
from napari_ct_assistant.viewer.room import Job, Outcome
from napari_ct_assistant.viewer.words import TIPS
from napari_ct_assistant.volume import CTVolume
from tests.assistant.report_samples import INFO, sample_draft
from tests.viewer.conftest import box_volume

if TYPE_CHECKING:
    from pathlib import Path

    from pytestqt.qtbot import QtBot

LEFT = Qt.MouseButton.LeftButton
CTRL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


@pytest.fixture
def tab(qtbot: QtBot, ct: CTVolume) -> ReportTab:
    """Return a tab with a scan."""
    tab = ReportTab()
    qtbot.addWidget(tab)
    tab.resize(440, 640)
    tab.show_scan(ct)
    with qtbot.waitExposed(tab):
        tab.show()
    tab.activateWindow()
    tab.editor.setFocus()
    return tab


@pytest.fixture
def drafted(tab: ReportTab, ct: CTVolume) -> ReportTab:
    """Return a tab with an untouched draft."""
    tab.take_draft(ct, sample_draft())
    return tab


def states(tab: ReportTab) -> list[str]:
    return [place.state for place in tab.editor.text.places()]


def said(tab: ReportTab) -> list[str]:
    return [place.line.text for place in tab.editor.text.places()]


def test_the_template_is_there_before_any_draft(tab: ReportTab) -> None:
    shown = tab.editor.toPlainText()
    assert shown.startswith("Technique\nCT, 20 axial slices 5 mm apart")
    assert "Heart and vessels" in shown
    assert not tab.editor.text.report().touched
    assert not tab.editor.text.isUndoAvailable()


def test_accept_reject_edit_by_keyboard_and_undo_all_of_it(
    drafted: ReportTab, qtbot: QtBot
) -> None:
    editor = drafted.editor
    before = said(drafted)
    qtbot.keyClick(editor, Qt.Key.Key_F8)
    assert editor.place().line.text == "Trachea and both main bronchi are open."
    qtbot.keyClick(editor, Qt.Key.Key_Return, CTRL)
    qtbot.keyClick(editor, Qt.Key.Key_Return, CTRL | SHIFT)
    qtbot.keyClicks(editor, " Stable.")
    assert states(drafted) == ["template", "accepted", "rejected", "edited", "draft"]
    report = editor.text.report()
    assert "Heart size" not in report.text
    assert "right lung. Stable." in report.text
    while editor.text.isUndoAvailable():
        editor.undo()
        if states(drafted) == ["template", "draft", "draft", "draft", "draft"]:
            break
    assert said(drafted) == before
    for _ in range(3):
        editor.redo()
    assert states(drafted) == ["template", "accepted", "rejected", "edited", "draft"]


def test_buttons_do_what_the_keys_do(drafted: ReportTab, qtbot: QtBot) -> None:
    row = drafted.sentence
    qtbot.mouseClick(row.next_button, LEFT)
    qtbot.waitUntil(lambda: row.slice_button.text() == "Slice 9")
    qtbot.mouseClick(row.accept_button, LEFT)
    qtbot.mouseClick(row.reject_button, LEFT)
    assert states(drafted)[1:3] == ["accepted", "rejected"]
    place = drafted.editor.text.places()[2]
    drafted.editor.select_line(place)
    qtbot.waitUntil(lambda: row.reject_button.text() == "Restore")
    qtbot.mouseClick(row.reject_button, LEFT)
    assert states(drafted)[2] == "draft"
    qtbot.mouseClick(drafted.tools.undo_button, LEFT)
    assert states(drafted)[2] == "rejected"


def test_slices_are_links(drafted: ReportTab, qtbot: QtBot, ct: CTVolume) -> None:
    editor = drafted.editor
    place = next(p for p in editor.text.places() if "Heart size" in p.line.text)
    at = editor.top_of(place).center()
    with qtbot.waitSignal(drafted.followed) as followed:
        qtbot.mouseClick(editor.margin, LEFT, pos=QPoint(MARGIN - 12, at.y()))
    assert followed.args == [ct, "slice:12?ras=1.4,-9.0,0.0"]
    with qtbot.waitSignal(drafted.followed) as followed:
        qtbot.keyClick(editor, Qt.Key.Key_G, CTRL)
    assert followed.args[1].startswith("slice:12")


def test_a_sentence_that_the_image_does_not_support_is_marked(
    drafted: ReportTab, qtbot: QtBot
) -> None:
    drafted.editor.select_line(drafted.editor.text.places()[1])
    qtbot.waitUntil(lambda: UNSUPPORTED in drafted.sentence.label.toolTip())
    drafted.editor.select_line(drafted.editor.text.places()[2])
    qtbot.waitUntil(lambda: UNSUPPORTED not in drafted.sentence.label.toolTip())


def test_a_new_draft_never_overwrites_what_was_typed(
    drafted: ReportTab, qtbot: QtBot, ct: CTVolume
) -> None:
    editor = drafted.editor
    editor.select_line(editor.text.places()[-1])
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    qtbot.keyClicks(editor, "My own line.")
    drafted.take_draft(ct, sample_draft())
    assert drafted.new_draft.isVisible()
    assert said(drafted)[-1] == "My own line."
    qtbot.mouseClick(drafted.new_draft.add_button, LEFT)
    assert not drafted.new_draft.isVisible()
    assert said(drafted).count("Severe cardiomegaly.") == 2
    assert "My own line." in said(drafted)
    assert states(drafted).count("draft") == 8
    editor.undo()
    assert states(drafted).count("draft") == 4
    assert "My own line." in said(drafted)

    drafted.take_draft(ct, sample_draft())
    qtbot.mouseClick(drafted.new_draft.replace_button, LEFT)
    assert "My own line." not in said(drafted)
    editor.undo()
    assert said(drafted)[-1] == "My own line."
    assert states(drafted)[-1] == "own"

    drafted.take_draft(ct, sample_draft())
    qtbot.mouseClick(drafted.new_draft.dismiss_button, LEFT)
    assert said(drafted)[-1] == "My own line."


def test_an_untouched_draft_is_replaced_and_undo_brings_it_back(
    drafted: ReportTab, ct: CTVolume
) -> None:
    drafted.take_draft(ct, sample_draft(*sample_draft().sentences[:1]))
    assert len(said(drafted)) == 2
    drafted.editor.undo()
    assert len(said(drafted)) == 5
    assert states(drafted)[1:] == ["draft"] * 4


def test_each_scan_keeps_its_text_and_its_undo(drafted: ReportTab, qtbot: QtBot) -> None:
    first, second = drafted.volume, box_volume()
    assert first is not None
    drafted.editor.next_unreviewed()
    qtbot.keyClicks(drafted.editor, " First.")
    drafted.show_scan(second)
    assert "First." not in drafted.editor.toPlainText()
    qtbot.keyClicks(drafted.editor, "Second. ")
    drafted.show_scan(first)
    assert "First." in drafted.editor.toPlainText()
    drafted.editor.undo()
    assert "First." not in drafted.editor.toPlainText()
    drafted.forget_scan(second)
    assert "Second." not in drafted.text_of(second).report().text


def test_pasted_and_moved_text(drafted: ReportTab, qtbot: QtBot) -> None:
    editor = drafted.editor
    data = QMimeData()
    data.setHtml("<b>one</b><br>two")
    data.setText("one\ntwo")
    editor.select_line(editor.text.places()[1])
    editor.insertFromMimeData(data)
    assert said(drafted)[1:3] == ["Trachea and both main bronchi are open.one", "two"]
    assert states(drafted)[1:3] == ["edited", "own"]
    editor.undo()
    # Cut a sentence and paste it elsewhere: it keeps its evidence.
    place = editor.text.places()[2]
    cursor = editor.textCursor()
    cursor.setPosition(place.block.position())
    cursor.movePosition(cursor.MoveOperation.EndOfBlock, cursor.MoveMode.KeepAnchor)
    text = cursor.selectedText()
    cursor.removeSelectedText()
    editor.select_line(editor.text.places()[-1])
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    data.setText(text)
    editor.insertFromMimeData(data)
    moved = editor.text.places()[-1]
    assert moved.state == "draft"
    assert moved.sentence is not None
    assert moved.sentence.slice == 12


def test_comparison_shows_what_went_and_came(drafted: ReportTab, qtbot: QtBot) -> None:
    drafted.editor.next_unreviewed()
    qtbot.keyClicks(drafted.editor, " Stable.")
    qtbot.keyClick(drafted.editor, Qt.Key.Key_F9)
    assert drafted.pages.currentWidget() is drafted.comparison
    assert "are open. Stable." in drafted.comparison.toPlainText()
    html = drafted.comparison.toHtml()
    assert "underline" in html
    qtbot.mouseClick(drafted.tools.compare_button, LEFT)
    assert drafted.pages.currentWidget() is drafted.editor


def test_phrases_are_the_readers_own_lines(drafted: ReportTab, qtbot: QtBot) -> None:
    editor = drafted.editor
    editor.select_line(editor.text.places()[-1])
    qtbot.waitUntil(lambda: len(drafted.tools.phrases_menu.actions()) == 2)
    drafted.tools.phrases_menu.actions()[0].trigger()
    assert said(drafted)[-1] == "No acute abnormality of the chest."
    assert states(drafted)[-1] == "own"
    editor.undo()
    assert "No acute" not in editor.toPlainText()


def test_templates_change_what_comes_next_not_what_was_written(
    drafted: ReportTab, qtbot: QtBot, ct: CTVolume
) -> None:
    before = drafted.editor.toPlainText()
    drafted.tools.template.emit("Abdominal CT")
    assert drafted.editor.toPlainText() == before
    drafted.take_draft(ct, sample_draft())
    assert "Liver and biliary tract" in drafted.editor.toPlainText()


def test_signing_off_and_voiding_it(drafted: ReportTab, qtbot: QtBot) -> None:
    text = drafted.editor.text
    dialog = SignDialog(text.report(), drafted)
    qtbot.addWidget(dialog)
    assert not dialog.sign_button.isEnabled()
    qtbot.keyClicks(dialog.name, "Dr. Ada Example")
    assert dialog.sign_button.isEnabled()
    text.set_frame(text.report().sign(dialog.name.text()))
    qtbot.waitUntil(lambda: drafted.notice.text().startswith("Signed off by Dr. Ada Example"))
    drafted.editor.next_unreviewed()
    qtbot.keyClicks(drafted.editor, "x")
    qtbot.waitUntil(lambda: "Not signed off" in drafted.notice.text())
    drafted.editor.undo()
    qtbot.waitUntil(lambda: drafted.notice.text().startswith("Signed off by"))


def answer(text: str, info: ModelInfo = INFO) -> Outcome:
    return Outcome(Answer("q", text, info, 0.1, 0.2, 3, stopped=False), info, "cpu")


def test_shorten_shows_doubts_and_replaces_only_when_told(
    drafted: ReportTab, qtbot: QtBot, ct: CTVolume
) -> None:
    editor = drafted.editor
    place = next(p for p in editor.text.places() if "nodule" in p.line.text)
    editor.select_line(place)
    with qtbot.waitSignal(drafted.passage.asked) as asked:
        qtbot.mouseClick(drafted.sentence.shorten_button, LEFT)
    assert asked.args[0] == "shorten"
    assert asked.args[1].endswith(place.line.text)
    before = editor.toPlainText()
    drafted.passage.begin("shorten", editor.textCursor())
    drafted.passage.append("1.5 cm nodule, ")
    drafted.take(Job("rewrite", ct, "demo"), answer("1.5 cm nodule, left lung."))
    assert editor.toPlainText() == before
    doubts = drafted.passage.doubts.text()
    assert "was not taught to shorten" in doubts
    assert "leaves out: right" in doubts
    assert "does not say: left" in doubts
    qtbot.mouseClick(drafted.passage.replace_button, LEFT)
    assert "1.5 cm nodule, left lung." in said(drafted)
    assert not drafted.passage.isVisible()
    editor.undo()
    assert editor.toPlainText() == before


def test_text_that_changed_meanwhile_is_not_replaced(drafted: ReportTab, qtbot: QtBot) -> None:
    editor = drafted.editor
    editor.select_line(editor.text.places()[1])
    drafted.passage.ask("shorten", editor)
    drafted.passage.begin("shorten", editor.textCursor())
    cursor = editor.textCursor()
    cursor.setPosition(cursor.selectionStart() + 3)
    cursor.insertText("!!")
    drafted.passage.finish(answer("Open."))
    qtbot.mouseClick(drafted.passage.replace_button, LEFT)
    assert "has changed" in drafted.passage.doubts.text()
    assert "Tra!!chea" in editor.toPlainText()


def test_nothing_selected_is_said(tab: ReportTab, qtbot: QtBot) -> None:
    cursor = tab.editor.textCursor()
    cursor.setPosition(tab.editor.text.insert_line(0, ""))
    tab.editor.setTextCursor(cursor)
    with qtbot.waitSignal(tab.told) as told:
        tab.passage.ask("explain", tab.editor)
    assert told.args == ["Select the text to explain first"]


def test_export_from_the_panel(drafted: ReportTab, qtbot: QtBot, tmp_path: Path) -> None:
    exporter = Exporter(drafted, drafted)
    told: list[str] = []
    exporter.told.connect(told.append)
    report = drafted.editor.text.report()
    dialog = ExportDialog(report, drafted)
    qtbot.addWidget(dialog)
    assert not dialog.save_button.isEnabled()
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
    assert drafted.volume is not None
    exporter.export(report, drafted.volume, tmp_path / "mine.json")
    qtbot.waitUntil(lambda: not exporter.busy, timeout=60_000)
    assert told[-1] == "Exported mine.json"
    assert json.loads((tmp_path / "mine.json").read_text())["status"] == "preliminary"
    exporter.export(report, drafted.volume, tmp_path / "none" / "mine.json")
    qtbot.waitUntil(lambda: not exporter.busy, timeout=60_000)
    assert told[-1].startswith("Not exported: mine.json: its folder none does not exist")


def test_everything_has_a_name_and_a_tip(drafted: ReportTab) -> None:
    from qtpy.QtWidgets import QAbstractButton

    for button in drafted.tools.findChildren(QAbstractButton) + drafted.sentence.findChildren(
        QAbstractButton
    ):
        assert button.text()
        assert button.toolTip() in TIPS.values()
    for widget in (drafted.editor, drafted.comparison, drafted.notice, drafted.tools.templates):
        assert widget.accessibleName()


def test_a_report_survives_the_editor(drafted: ReportTab) -> None:
    report = drafted.editor.text.report()
    text = drafted.editor.text
    text.fill(report)
    again = text.report()
    assert again.text == report.text
    assert again.sources == report.sources
    assert ReportDocument.from_json(json.loads(json.dumps(again.to_json()))) == again
