"""Suggestions, choices, regions, and messages that are asked anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import QTimer
from qtpy.QtGui import QGuiApplication

from napari_ct_assistant.report_text.questions import REPORT_QUESTION
from napari_ct_assistant.support.translation import shown
from napari_ct_assistant.viewer.chat.choices_dialog import ChoicesDialog
from napari_ct_assistant.viewer.chat.links import linked, parse_href, part_of_href
from napari_ct_assistant.viewer.chat.suggestions import REGION, about_region, suggest
from napari_ct_assistant.viewer.scan.layers import add_volume
from napari_ct_assistant.viewer.scan.samples import in_background
from napari_ct_assistant.viewer.session.jobs import AskJob, ReportJob
from napari_ct_assistant.viewer.session.scan_session import ScanSession
from napari_ct_assistant.viewer.texts import MEASURED, REGION_UNUSED, STANDS_ALONE
from napari_ct_assistant.volume import CTVolume
from tests.report_text.phrases import PHRASES
from tests.viewer.conftest import box_volume

if TYPE_CHECKING:
    from pathlib import Path

    from pytestqt.qtbot import QtBot

    from napari_ct_assistant.viewer.panel import CTAssistantPanel

Maker = Callable[..., Any]


def test_what_is_said_to_be_there_can_be_asked_about() -> None:
    for phrase in PHRASES:
        ideas = " ".join(suggest(phrase.text))
        for name in phrase.affirmed[:2]:
            assert f" the {name.lower()}?" in ideas, phrase.text
        for name in (*phrase.denied, *phrase.open):
            assert f" the {name.lower()}?" not in ideas, phrase.text


def test_suggestions_follow_what_was_said() -> None:
    said = [shown(idea) for idea in suggest("There is a pleural effusion.")]
    assert said[:2] == ["Where is the pleural effusion?", "How large is the pleural effusion?"]
    ideas = suggest("There is a small left pleural effusion.", unreliable_findings=("Lung nodule",))
    assert ideas[:2] == ["Where is the pleural effusion?", "How large is the pleural effusion?"]
    assert len(ideas) == 4
    again = suggest("There is a left pleural effusion.", asked=["Where is the  pleural effusion?"])
    assert "Where is the pleural effusion?" not in again
    everything = [suggest(asked=suggest(), unreliable_findings=("Medical material",))]
    assert not any("medical material" in idea for ideas in everything for idea in ideas)
    assert suggest(region=True)[0] == REGION
    assert about_region(REGION)
    assert not about_region("Is there a pleural effusion?")


@pytest.mark.parametrize(
    ("text", "number"),
    [("see slice 12", 12), ("(im 7)", 7), ("Im. 7 shows", 7), ("image #15", 15), ("IMG 3", 3)],
)
def test_slice_references_become_links(text: str, number: int) -> None:
    markdown = linked(text, 20)
    assert f"](slice:{number - 1})" in markdown


def test_what_is_no_slice_of_this_scan_stays_text() -> None:
    assert "](" not in linked("slice 84, the image shows 12 nodules, claim 3", 20)
    assert part_of_href("slice:84?ras=1.0,2.0,3.0#4") == 4
    assert part_of_href("slice:84") is None
    place = parse_href("slice:84?ras=1.0,2.0,3.0#4")
    assert place is not None
    assert place.ras == (1.0, 2.0, 3.0)


def test_the_history_of_a_scan() -> None:
    scan, other = ScanSession(box_volume()), ScanSession(box_volume())
    first = AskJob(scan, "m", "A?")
    scan.history.add(ReportJob(scan, "m"), "All well.")
    scan.history.add(first, "Yes.")
    scan.history.add(AskJob(scan, "m", "B?"), "No.")
    other.history.add(AskJob(other, "m", "C?"), "Maybe.")
    assert scan.history.turns("m") == (
        (REPORT_QUESTION, "All well."),
        ("A?", "Yes."),
        ("B?", "No."),
    )
    assert scan.history.turns("another model") == ()
    assert other.history.turns("m") == (("C?", "Maybe."),)
    scan.history.cut(first)
    assert scan.history.turns("m") == ((REPORT_QUESTION, "All well."),)
    scan.release()
    assert scan.history.turns("m") == ()
    assert other.history.turns("m") == (("C?", "Maybe."),)


def test_the_choices_form(qtbot: QtBot) -> None:
    dialog = ChoicesDialog()
    qtbot.addWidget(dialog)
    assert not dialog.ask_button.isEnabled()
    dialog.question.setText("Which side?")
    dialog.choices[0].setText("left")
    assert not dialog.ask_button.isEnabled()
    dialog.choices[2].setText(" right ")
    with qtbot.waitSignal(dialog.asked) as asked:
        dialog.ask_button.click()
    assert asked.args == ["Which side?", ("left", "right")]


def wait_idle(panel: CTAssistantPanel, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: not panel.conversation.jobs.busy, timeout=60_000)


def test_a_conversation(
    make_panel: Maker, ct: CTVolume, tiny_model_folder: Path, qtbot: QtBot
) -> None:
    panel: CTAssistantPanel = make_panel()
    viewer = panel.viewer
    add_volume(viewer, ct)
    panel.models.set_model(str(tiny_model_folder))
    chips = panel.chat_controller.chips

    # A chip sends its question.
    assert len(chips.buttons) == 4
    question = chips.buttons[0].text()
    chips.buttons[0].click()
    assert not chips.isEnabled()
    wait_idle(panel, qtbot)
    asked, answer = panel.transcript.messages[-2:]
    assert asked.plain_text() == question
    assert "tokens" in answer.foot
    assert "first text after" in answer.foot
    assert STANDS_ALONE not in answer.foot
    assert question not in [button.text() for button in chips.buttons]

    # A follow-up: the tiny model was taught single questions, and the foot says so.
    panel.ask("And where?")
    wait_idle(panel, qtbot)
    assert STANDS_ALONE in panel.transcript.messages[-1].foot
    job = panel.transcript.messages[-1].job
    assert [q for q, _ in job.history] == [question]

    # Copy one message; write it again; edit its question.
    panel.transcript.messages[-1].head.copy_button.click()
    assert QGuiApplication.clipboard().text() == panel.transcript.messages[-1].plain_text()
    count = len(panel.transcript.messages)
    panel.transcript.messages[-1].head.again_button.click()
    wait_idle(panel, qtbot)
    assert len(panel.transcript.messages) == count + 1
    assert "sampled again" in panel.transcript.messages[-1].title
    panel.transcript.messages[-3].head.edit_button.click()
    assert panel.ask_row.box.toPlainText() == "And where?"
    assert panel.scans.scan is not None
    turns = panel.scans.scan.history.turns(str(tiny_model_folder))
    assert [q for q, _ in turns] == [question]
    panel.ask_row.box.clear()

    # Multiple choice: the probabilities stand beside the choices.
    panel.chat_controller.open_choices("Which side?", ("left", "right"))
    assert panel.chat_controller.choices_dialog is not None
    panel.chat_controller.choices_dialog.ask_button.click()
    assert not panel.chat_controller.choices_dialog.isVisible()
    wait_idle(panel, qtbot)
    assert "left" in panel.transcript.messages[-2].plain_text()
    assert panel.transcript.messages[-1].plain_text().count("%") == 2

    # A region: what was measured stands there as measured.
    layer = panel.scans.layer
    corners = [
        layer.data_to_world((3, p, left)) for p, left in ((6, 6), (6, 13), (11, 13), (11, 6))
    ]
    shapes = viewer.add_shapes([np.array(corners)], shape_type="rectangle", units=("mm",) * 3)
    shapes.selected_data = {0}
    panel.chat_controller.refresh()
    assert chips.buttons[0].text() == REGION
    chips.buttons[0].click()
    wait_idle(panel, qtbot)
    note, answer = panel.transcript.messages[-2:]
    assert note.title == MEASURED
    assert "mean 700 HU" in note.plain_text()
    assert "image" in note.plain_text()
    assert REGION_UNUSED in answer.foot


def test_a_sample_is_drawn_while_the_window_lives(qtbot: QtBot) -> None:
    """What napari calls from its menu: on the Qt thread, inside the event loop."""
    import time

    beats: list[int] = []
    beat = QTimer()
    beat.setInterval(5)
    beat.timeout.connect(lambda: beats.append(1))
    made: list[Any] = []

    def from_menu() -> None:
        made.append(in_background(lambda: time.sleep(0.5) or "phantom", "Drawing"))

    beat.start()
    QTimer.singleShot(0, from_menu)
    qtbot.waitUntil(lambda: bool(made), timeout=10_000)
    assert made == ["phantom"]
    assert len(beats) >= 10
    # From a script, before the event loop runs, it is a plain call.
    assert in_background(lambda: 3, "Drawing") == 3
    with pytest.raises(ValueError, match="unknown finding"):
        in_background(lambda: _raise(ValueError("unknown finding")), "Drawing")


def _raise(error: Exception) -> None:
    raise error
