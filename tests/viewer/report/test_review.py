"""Reviewing with single keys, and what there is to check before signing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from qtpy.QtCore import Qt

from napari_ct_assistant.assistant import FindingProbability
from napari_ct_assistant.viewer.report.dialogs import SignDialog
from napari_ct_assistant.viewer.session.scan_session import ScanSession
from napari_ct_assistant.viewer.texts import ALL_REVIEWED, REVIEW_KEYS
from tests.viewer.conftest import said, states

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from napari_ct_assistant.viewer.report.tab import ReportTab


def key(tab: ReportTab, qtbot: QtBot, *keys: Qt.Key) -> None:
    for each in keys:
        qtbot.keyClick(tab.editor, each)


def here(tab: ReportTab) -> str:
    line = tab.editor.current_line()
    return "" if line is None else line.text


def test_a_draft_is_reviewed_with_single_keys(drafted_tab: ReportTab, qtbot: QtBot) -> None:
    tab, text = drafted_tab, drafted_tab.editor.toPlainText()
    followed: list[str] = []
    told: list[str] = []
    tab.followed.connect(lambda _scan, href: followed.append(href))
    tab.status_message.connect(told.append)
    key(tab, qtbot, Qt.Key.Key_F8)
    assert tab.review.active
    assert here(tab) == "Trachea and both main bronchi are open."
    assert followed[-1].startswith("slice:9")
    assert told[-1] == "4 sentences left to review"
    qtbot.waitUntil(lambda: REVIEW_KEYS in tab.sentence.label.text())
    key(tab, qtbot, Qt.Key.Key_A)
    assert followed[-1].startswith("slice:12")
    key(tab, qtbot, Qt.Key.Key_N)
    assert here(tab) == "There is a nodule of 1.5 cm in the right lung."
    key(tab, qtbot, Qt.Key.Key_X)
    # Letters that mean nothing here are not typed, not even by accident.
    key(tab, qtbot, Qt.Key.Key_Q, Qt.Key.Key_1)
    assert told[-1] == "2 sentences left to review"
    key(tab, qtbot, Qt.Key.Key_A, Qt.Key.Key_A)
    assert told[-1] == ALL_REVIEWED
    assert states(tab)[-4:] == ["accepted", "accepted", "rejected", "accepted"]
    assert tab.editor.toPlainText() == text


def test_the_report_opens_at_the_first_sentence_to_review(drafted_tab: ReportTab) -> None:
    drafted_tab.hide()
    drafted_tab.show()
    assert here(drafted_tab) == "Trachea and both main bronchi are open."


def test_e_edits_and_then_letters_are_letters(drafted_tab: ReportTab, qtbot: QtBot) -> None:
    tab = drafted_tab
    key(tab, qtbot, Qt.Key.Key_F8, Qt.Key.Key_E)
    assert not tab.review.active
    qtbot.keyClicks(tab.editor, " and next")
    assert here(tab) == "Trachea and both main bronchi are open. and next"
    key(tab, qtbot, Qt.Key.Key_F8)
    assert here(tab) == "Heart size is increased, mild cardiomegaly."
    qtbot.mouseClick(tab.editor.viewport(), Qt.MouseButton.LeftButton)
    assert not tab.review.active


def test_arrows_go_through_every_line(drafted_tab: ReportTab, qtbot: QtBot) -> None:
    tab = drafted_tab
    key(tab, qtbot, Qt.Key.Key_F8, Qt.Key.Key_Up)
    assert here(tab).startswith("CT, ")
    key(tab, qtbot, Qt.Key.Key_Down, Qt.Key.Key_Down)
    assert here(tab) == "Heart size is increased, mild cardiomegaly."


def test_a_rejected_finding_can_take_its_impression_along(
    drafted_tab: ReportTab, qtbot: QtBot
) -> None:
    tab = drafted_tab
    offer = tab.checking.take_along
    key(tab, qtbot, Qt.Key.Key_F8, Qt.Key.Key_X)
    assert offer.isHidden()
    key(tab, qtbot, Qt.Key.Key_X)
    assert not offer.isHidden()
    assert "Severe cardiomegaly." in offer.label.text()
    key(tab, qtbot, Qt.Key.Key_Y)
    assert offer.isHidden()
    assert states(tab)[-4:] == ["rejected", "rejected", "draft", "rejected"]
    tab.editor.undo()
    assert states(tab)[-1] == "draft"


def test_the_offer_can_be_declined(drafted_tab: ReportTab, qtbot: QtBot) -> None:
    tab = drafted_tab
    tab.editor.select_line(tab.editor.text.document_lines()[2])
    tab.editor.reject()
    qtbot.mouseClick(tab.checking.take_along.keep_button, Qt.MouseButton.LeftButton)
    assert tab.checking.take_along.isHidden()
    assert states(tab)[-1] == "draft"


def rows(tab: ReportTab) -> list[str]:
    shown = tab.checking.list
    return [shown.item(number).text() for number in range(shown.count())]


def test_contradictions_are_marked_and_listed(
    drafted_tab: ReportTab, qtbot: QtBot, scan: ScanSession
) -> None:
    tab = drafted_tab
    scan.findings = (FindingProbability("Lung nodule", 0.05),)
    scan.measured = ("14.9 mm", "33.0 mm")
    followed: list[str] = []
    tab.followed.connect(lambda _scan, href: followed.append(href))
    qtbot.mouseClick(tab.tools.checks_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: tab.tools.checks_button.text() == "Check (4)")
    assert rows(tab) == [
        "Lung nodule: affirmed here, not summed up in the impression.",
        "Lung nodule: 5% in the findings table, below its threshold of 50%, but affirmed here.",
        "Cardiomegaly: small or mild in the findings, large or severe in the impression.",
        "Measured, but not in the text: 33.0 mm.",
        "4 sentences have not been accepted, edited or rejected.",
    ]
    degree = tab.checking.list.item(2)
    tab.checking.list.itemClicked.emit(degree)
    assert here(tab) == "Severe cardiomegaly."
    assert followed[-1].startswith("slice:12")
    qtbot.waitUntil(lambda: "large or severe" in tab.sentence.label.text())
    line = tab.editor.current_line()
    assert line is not None
    assert tab.editor.checks_of(line)
    # Corrected, the mark goes.
    cursor = tab.editor.textCursor()
    cursor.select(cursor.SelectionType.LineUnderCursor)
    cursor.insertText("Mild cardiomegaly, nodule of 33 mm.")
    scan.findings = ()
    qtbot.waitUntil(lambda: tab.tools.checks_button.text() != "Check (4)")
    assert not any("Cardiomegaly" in row for row in rows(tab))


def test_the_list_stands_before_the_signature_and_blocks_nothing(
    drafted_tab: ReportTab, qtbot: QtBot
) -> None:
    dialog = SignDialog(drafted_tab.checking.find(), drafted_tab)
    qtbot.addWidget(dialog)
    dialog.checks.jumped.connect(drafted_tab.editor.go_to_line)
    assert dialog.checks.count() == 3
    dialog.checks.itemActivated.emit(dialog.checks.item(1))
    assert here(drafted_tab) == "Severe cardiomegaly."
    qtbot.keyClicks(dialog.name, "Dr. Ada Example")
    assert dialog.sign_button.isEnabled()


@pytest.mark.parametrize("lines", [[], ["A line of my own."]])
def test_a_report_without_a_draft_has_nothing_to_review(
    tab: ReportTab, qtbot: QtBot, lines: list[str]
) -> None:
    for line in lines:
        tab.editor.text.insert_line(0, line)
    key(tab, qtbot, Qt.Key.Key_F8)
    assert not tab.review.active
    qtbot.waitUntil(lambda: tab.tools.checks_button.text() == "Check")
    assert lines == [text for text in said(tab) if text in lines]


def test_of_several_sentences_at_one_place_the_one_at_the_cursor_is_meant(
    drafted_tab: ReportTab, scan: ScanSession, qtbot: QtBot
) -> None:
    tab = drafted_tab
    key(tab, qtbot, Qt.Key.Key_F8, Qt.Key.Key_A)
    assert scan.followed is not None
    assert scan.followed.text == "Heart size is increased, mild cardiomegaly."
    key(tab, qtbot, Qt.Key.Key_N, Qt.Key.Key_N)
    assert scan.followed.text == "Severe cardiomegaly."
