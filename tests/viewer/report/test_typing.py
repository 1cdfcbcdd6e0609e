"""Typing: phrases that complete the line, and input methods such as dictation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QInputMethodEvent, QTextCursor
from qtpy.QtWidgets import QApplication

from tests.viewer.conftest import said, states

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from napari_ct_assistant.viewer.report.tab import ReportTab


def own_line(tab: ReportTab, heading: str) -> None:
    """Put the cursor on an empty line under a heading."""
    cursor = QTextCursor(tab.editor.document().find(heading))
    cursor.setPosition(tab.editor.text.insert_line(cursor.position(), ""))
    tab.editor.setTextCursor(cursor)


def offered(tab: ReportTab) -> list[str]:
    shown = tab.completion.list
    return [shown.item(n).text() for n in range(shown.count())] if shown.isVisible() else []


@pytest.fixture
def phrase(tab: ReportTab) -> str:
    """Return a phrase of the bundled template's lungs, with the cursor on a line of theirs."""
    own_line(tab, "Lungs")
    key = tab.editor.text.section_at(tab.editor.textCursor().position())
    return tab.template.phrases(key)[0]


def test_tab_takes_the_phrase(tab: ReportTab, qtbot: QtBot, phrase: str) -> None:
    qtbot.keyClicks(tab.editor, phrase[:5])
    assert offered(tab)[0] == phrase
    qtbot.keyClick(tab.editor, Qt.Key.Key_Tab)
    assert phrase in said(tab)
    assert offered(tab) == []
    assert tab.editor.hasFocus()
    line = tab.editor.current_line()
    assert line is not None
    assert line.state == "own"
    # One step back is what was typed.
    tab.editor.undo()
    assert phrase not in said(tab)


def test_enter_is_a_new_line_unless_a_phrase_was_chosen(
    tab: ReportTab, qtbot: QtBot, phrase: str
) -> None:
    qtbot.keyClicks(tab.editor, phrase[:5])
    assert offered(tab)
    qtbot.keyClick(tab.editor, Qt.Key.Key_Return)
    assert phrase[:5].strip() in [text.strip() for text in said(tab)]
    assert offered(tab) == []
    qtbot.keyClicks(tab.editor, phrase[:5])
    qtbot.keyClick(tab.editor, Qt.Key.Key_Down)
    qtbot.keyClick(tab.editor, Qt.Key.Key_Return)
    assert phrase in said(tab)


def test_escape_and_leaving_close_the_list(tab: ReportTab, qtbot: QtBot, phrase: str) -> None:
    qtbot.keyClicks(tab.editor, phrase[:5])
    qtbot.keyClick(tab.editor, Qt.Key.Key_Escape)
    assert offered(tab) == []
    qtbot.keyClicks(tab.editor, phrase[5])
    assert offered(tab)
    qtbot.keyClick(tab.editor, Qt.Key.Key_Left)
    assert offered(tab) == []
    # In the middle of a line nothing is offered, and Tab leaves the editor as ever.
    qtbot.keyClicks(tab.editor, "x")
    assert offered(tab) == []
    qtbot.keyClick(tab.editor, Qt.Key.Key_Tab)
    assert not tab.editor.hasFocus()


def commit(tab: ReportTab, text: str) -> None:
    event = QInputMethodEvent()
    event.setCommitString(text)
    QApplication.sendEvent(tab.editor, event)


def test_an_input_method_composes_and_commits(tab: ReportTab, phrase: str) -> None:
    own_line(tab, "Impression")
    before = said(tab)
    QApplication.sendEvent(tab.editor, QInputMethodEvent("はい", []))
    # What is being composed is no text of the report yet, and nothing is offered for it.
    assert said(tab) == before
    assert offered(tab) == []
    commit(tab, "肺炎なし。")
    assert "肺炎なし。" in said(tab)
    line = tab.editor.current_line()
    assert line is not None
    assert line.state == "own"


def test_dictated_words_are_completed_like_typed_ones(tab: ReportTab, phrase: str) -> None:
    commit(tab, phrase[:6])
    assert offered(tab)[0] == phrase


def test_dictated_lines_are_lines_of_the_readers_own(drafted_tab: ReportTab) -> None:
    tab = drafted_tab
    line = tab.editor.text.document_lines()[1]
    tab.editor.select_line(line)
    commit(tab, " Patent.\nNo stenosis.")
    assert "Trachea and both main bronchi are open. Patent." in said(tab)
    assert states(tab)[1:3] == ["edited", "own"]
    assert said(tab)[2] == "No stenosis."


def test_dictation_during_a_review_changes_no_sentence(
    drafted_tab: ReportTab, qtbot: QtBot
) -> None:
    tab = drafted_tab
    before = said(tab)
    qtbot.keyClick(tab.editor, Qt.Key.Key_F8)
    # Keys reach the review as they are; an input method would compose words of them.
    assert not tab.editor.testAttribute(Qt.WidgetAttribute.WA_InputMethodEnabled)
    commit(tab, "stable")
    assert said(tab) == before
    qtbot.keyClick(tab.editor, Qt.Key.Key_E)
    assert tab.editor.testAttribute(Qt.WidgetAttribute.WA_InputMethodEnabled)
    commit(tab, " Stable.")
    assert any(text.endswith(" Stable.") for text in said(tab))
