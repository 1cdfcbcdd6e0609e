"""Links, markdown, the transcript and the question box."""

from __future__ import annotations

import re
from types import SimpleNamespace as Plain
from typing import TYPE_CHECKING, Any

import pytest
from qtpy.QtCore import Qt

from napari_ct_assistant.assistant import ModelInfo, Sentence
from napari_ct_assistant.assistant.reading.results import STOPPED_NOTE, incomplete_note
from napari_ct_assistant.viewer.chat.links import (
    UNSUPPORTED,
    ScanPosition,
    answer_markdown,
    escaped,
    linked,
    parse_href,
    report_markdown,
)
from napari_ct_assistant.viewer.chat.question_box import QuestionBox
from napari_ct_assistant.viewer.chat.transcript import Transcript
from napari_ct_assistant.viewer.session.scan_session import ScanSession
from tests.viewer.conftest import box_volume

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

INFO = ModelInfo("demo")


@pytest.mark.parametrize("place", [ScanPosition(84), ScanPosition(0, (1.5, -20.0, 130.25))])
def test_links_round_trip(place: ScanPosition) -> None:
    back = parse_href(place.href)
    assert back is not None
    assert back.slice == place.slice
    assert (back.ras is None) == (place.ras is None)
    if place.ras is not None and back.ras is not None:
        assert back.ras == pytest.approx(place.ras, abs=0.051)


@pytest.mark.parametrize("href", ["slice:", "slice:x", "file:///etc/passwd", "slice:1?ras=1,2"])
def test_other_links_go_nowhere(href: str) -> None:
    assert parse_href(href) is None


def test_only_slices_of_the_scan_become_links() -> None:
    text = linked("See slice 12 and slice 900.", slices=40)
    assert "[slice\u00a012](slice:11)" in text
    assert "slice:900" not in text


def draft(*sentences: Sentence, stopped: bool = False) -> Any:
    note = incomplete_note(stopped=stopped, cut=False)
    return Plain(sentences=sentences, incomplete=note)


def test_report_is_grouped_by_section_with_evidence(qtbot: QtBot) -> None:
    transcript = Transcript()
    qtbot.addWidget(transcript)
    text = report_markdown(
        draft(
            Sentence("The heart is [enlarged] *1.5* <b>times</b>.", "Findings", 2.0, 7, (1, 2, 3)),
            Sentence("There is no effusion.", "Findings", -0.5),
            Sentence("Cardiomegaly.", "Impression"),
            stopped=True,
        ),
        slices=40,
    )
    message = transcript.add("model", "Report", text)
    shown = message.plain_text()
    assert "The heart is [enlarged] *1.5* <b>times</b>.  image 8" in shown.replace("\xa0", " ")
    unsupported = UNSUPPORTED.replace("\xa0", " ")
    assert f"There is no effusion.  {unsupported}" in shown.replace("\xa0", " ")
    assert shown.count("Findings") == 1
    assert shown.index("Findings") < shown.index("Impression")
    assert shown.lstrip("Report\n ").startswith(STOPPED_NOTE)


def test_markdown_of_a_model_is_text(qtbot: QtBot) -> None:
    transcript = Transcript()
    qtbot.addWidget(transcript)
    nasty = "![x](file:///etc/hostname) [y](http://example.org) # no & <img src='a'> 1. - `c`"
    message = transcript.add("model", "m", escaped(nasty))
    assert message.plain_text() == nasty
    assert "<img" not in message.document.toHtml()
    assert "href" not in message.document.toHtml()


def test_clicking_a_link_tells_the_message_and_the_place(qtbot: QtBot) -> None:
    transcript = Transcript()
    transcript.resize(400, 300)
    qtbot.addWidget(transcript)
    scan = ScanSession(box_volume())
    transcript.show_scan(scan)
    message = transcript.add("model", "m", f"There. {ScanPosition(12).markdown}", scan)
    with qtbot.waitExposed(transcript):
        transcript.show()
    qtbot.wait(20)
    body = message.body
    cursor = body.document().find("image 13")  # Qt finds a no-break space as a space
    cursor.setPosition(cursor.selectionStart() + 3)
    with qtbot.waitSignal(transcript.linkClicked, timeout=1000) as clicked:
        qtbot.mouseClick(
            body.viewport(), Qt.MouseButton.LeftButton, pos=body.cursorRect(cursor).center()
        )
    assert clicked.args == [message, "slice:12"]
    assert message.scan is scan


def test_transcript_follows_the_text_unless_scrolled_up(qtbot: QtBot) -> None:
    transcript = Transcript()
    transcript.resize(300, 200)
    qtbot.addWidget(transcript)
    transcript.show()
    message = transcript.add("model", "m")
    bar = transcript.verticalScrollBar()
    for _ in range(60):
        message.append("a line\n")
    qtbot.waitUntil(lambda: bar.maximum() > 0 and bar.value() == bar.maximum())
    bar.setValue(0)
    for _ in range(20):
        message.append("a line\n")
    qtbot.wait(50)
    assert bar.value() == 0


def test_transcript_as_text_and_clear(qtbot: QtBot) -> None:
    transcript = Transcript()
    qtbot.addWidget(transcript)
    transcript.add("you", "You", "Is it big?")
    transcript.add("model", "demo", "No.")
    assert transcript.plain_text() == "You\nIs it big?\n\ndemo\nNo."
    transcript.clear()
    assert transcript.plain_text() == ""


def test_question_box_keeps_text_until_it_is_taken(qtbot: QtBot) -> None:
    box = QuestionBox()
    qtbot.addWidget(box)
    sent: list[str] = []
    box.submitted.connect(sent.append)
    qtbot.keyClicks(box, "one")
    qtbot.keyClick(box, Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)
    qtbot.keyClicks(box, "two")
    qtbot.keyClick(box, Qt.Key.Key_Return)
    assert sent == ["one\ntwo"]
    assert box.toPlainText() == "one\ntwo"
    box.taken()
    assert box.toPlainText() == ""


def test_arrow_keys_walk_the_history_and_keep_what_was_typed(qtbot: QtBot) -> None:
    box = QuestionBox()
    qtbot.addWidget(box)
    for text in ("first", "second"):
        qtbot.keyClicks(box, text)
        box.taken()
    qtbot.keyClicks(box, "half a ques")
    seen = []
    for key in (Qt.Key.Key_Up, Qt.Key.Key_Up, Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_Down):
        qtbot.keyClick(box, key)
        seen.append(box.toPlainText())
    assert seen == ["second", "first", "first", "second", "half a ques"]


def test_a_question_that_failed_never_overwrites_new_text(qtbot: QtBot) -> None:
    box = QuestionBox()
    qtbot.addWidget(box)
    box.give_back("failed question")
    assert box.toPlainText() == "failed question"
    box.setPlainText("a new one")
    box.give_back("failed question")
    assert box.toPlainText() == "a new one"


def test_a_label_links_to_the_image_behind_it() -> None:
    """A model that was shown every third slice counts those: its SLICE 27 is the image 82."""
    shown = tuple(range(3, 275, 3))
    said = "A nodule in SLICE 27 (image 82); slices 3-5 (images 10-16), SLICE 99."
    answer = Plain(
        text=said, slice=None, ras=None, unsupported=False, choices=(), incomplete="", slices=shown
    )
    text = answer_markdown(answer, 275)
    targets = re.findall(r"\(slice:(\d+)\)", text)
    assert targets == ["81", "9", "15"]
    assert "SLICE 27" in text
    # As the journal shows it, without what the model was shown.
    assert re.findall(r"\(slice:(\d+)\)", linked("SLICE 2 to 4 (images 7 to 13)", 275)) == []
    assert re.findall(r"\(slice:(\d+)\)", linked("SLICE 27 (image 82)", 275)) == ["81"]
