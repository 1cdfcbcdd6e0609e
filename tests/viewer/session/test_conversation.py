"""What the transcript says about a result, besides its text."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication

from napari_ct_assistant.assistant import Answer, ModelInfo, ReportDraft
from napari_ct_assistant.viewer.chat.transcript import Transcript
from napari_ct_assistant.viewer.session.conversation import Conversation
from napari_ct_assistant.viewer.session.jobs import AskJob, ReportJob, ReportResult
from napari_ct_assistant.viewer.session.model_session import ModelSession
from napari_ct_assistant.viewer.session.run_record import RunRecord
from napari_ct_assistant.viewer.session.status_line import summary
from napari_ct_assistant.viewer.texts import FAILED

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from napari_ct_assistant.viewer.session.scan_session import ScanSession

INFO = ModelInfo("scripted")
OUTSIDE, UNRELIABLE = "This scan is outside the distribution.", "It cannot detect lung nodules."


class Scripted:
    """A model that warns about every scan, and about every question on nodules."""

    info = INFO
    warnings = (OUTSIDE,)

    def __call__(self, model: str, **options: Any) -> Scripted:
        return self

    def read(self, volume: Any, **options: Any) -> Scripted:
        return self

    def close(self) -> None:
        pass

    def ask(self, question: str, **options: Any) -> Answer:
        options["on_text"]("No.")
        warnings = (OUTSIDE, UNRELIABLE) if "nodule" in question else (OUTSIDE,)
        return Answer(question, "No.", INFO, 0.1, 0.2, 2, stopped=False, warnings=warnings)


def test_a_warning_about_a_question_is_shown_with_each_answer(
    qtbot: QtBot, scan: ScanSession
) -> None:
    transcript = Transcript()
    qtbot.addWidget(transcript)
    conversation = Conversation(ModelSession(Scripted()), transcript, transcript)
    for question in ("Is there a nodule?", "Is there an effusion?", "Any nodule?"):
        with qtbot.waitSignal(conversation.jobs.ended, timeout=20_000):
            assert conversation.start(AskJob(scan, "scripted", question), "scan")
    notes = [m.plain_text().split("\n") for m in transcript.messages if m.speaker == "note"]
    assert notes == [[OUTSIDE, UNRELIABLE], [UNRELIABLE]]
    # Each note stands before its answer.
    assert [m.speaker for m in transcript.messages] == [
        *("you", "note", "model"),
        *("you", "model"),
        *("you", "note", "model"),
    ]


def test_the_speed_of_a_draft_is_that_of_the_model(scan: ScanSession) -> None:
    """Headings come before the first token, and evidence is found between two sections."""
    seconds = {"first_token": 0.5, "generate": 2.5, "evidence": 8.0, "total": 10.5}
    draft = ReportDraft({"Findings": "Clear."}, (), INFO, seconds, 41, False, "now")
    record = RunRecord(INFO, "cpu", first_text_s=0.0, text_s=10.0)
    result = ReportResult(record, ReportJob(scan, "scripted"), draft)
    assert summary(result) == "scripted  ·  cpu  ·  first text after 0.50 s  ·  20 tokens/s"


class Slow(Scripted):
    """A model that writes a word, and goes on when it is told to."""

    def __init__(self, end: Callable[[], None] = lambda: None) -> None:
        self.go_on = threading.Event()
        self._end = end

    def ask(self, question: str, **options: Any) -> Answer:
        options["on_text"]("Perhaps ")
        assert self.go_on.wait(20)
        self._end()
        return Answer(question, "Perhaps not.", INFO, 0.1, 0.2, 2, stopped=False)


def answering(qtbot: QtBot, scan: ScanSession, model: Slow) -> tuple[Transcript, Conversation]:
    """Return a conversation whose answer is half written."""
    transcript = Transcript()
    qtbot.addWidget(transcript)
    conversation = Conversation(ModelSession(model), transcript, transcript)
    transcript.show_scan(scan)
    with qtbot.waitSignal(conversation.jobs.text, timeout=20_000):
        conversation.start(AskJob(scan, "slow", "Is it there?"), "scan")
    return transcript, conversation


def test_clear_keeps_the_text_that_is_being_written_and_its_question(
    qtbot: QtBot, scan: ScanSession
) -> None:
    model = Slow()
    transcript, conversation = answering(qtbot, scan, model)
    transcript.add("note", "", "Some note.", scan, transcript.messages[0])
    transcript.clear()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    assert [one.speaker for one in transcript.messages] == ["you", "model"]
    answered: list[Any] = []
    conversation.answered.connect(answered.append)
    with qtbot.waitSignal(conversation.jobs.ended, timeout=20_000):
        model.go_on.set()
    assert [one.answer.text for one in answered] == ["Perhaps not."]
    assert transcript.messages[-1].plain_text() == "Perhaps not."
    transcript.clear()
    assert not transcript.messages


def test_the_end_of_a_job_is_told_whatever_a_listener_raises(
    qtbot: QtBot, scan: ScanSession
) -> None:
    model = Slow()
    transcript, conversation = answering(qtbot, scan, model)
    told: list[str] = []

    def broken(*_: Any) -> None:
        raise ZeroDivisionError("a listener")

    signals = {name: getattr(conversation, name) for name in ("answered", "finished", "busy")} | {
        f"jobs.{name}": getattr(conversation.jobs, name) for name in ("done", "ended")
    }
    for name, signal in signals.items():
        signal.connect(broken)
        signal.connect(lambda *_, name=name: told.append(name))
    # Even a message that is gone stops nobody from being told.
    transcript.remove(transcript.messages[-1])
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    with qtbot.captureExceptions() as raised, qtbot.waitSignal(conversation.jobs.ended):
        model.go_on.set()
    assert set(told) == set(signals)
    assert {kind for kind, _, _ in raised} == {ZeroDivisionError, ValueError}
    assert not conversation.jobs.busy


@pytest.mark.parametrize("kind", [OSError, KeyError, SystemExit])
def test_a_text_whose_model_failed_says_first_that_it_is_incomplete(
    qtbot: QtBot, scan: ScanSession, kind: type[BaseException]
) -> None:
    def fail() -> None:
        raise kind("lost")

    model = Slow(fail)
    transcript, conversation = answering(qtbot, scan, model)
    with qtbot.waitSignal(conversation.refused, timeout=20_000), qtbot.captureExceptions():
        model.go_on.set()
    answer = next(one for one in transcript.messages if one.speaker == "model")
    assert answer.plain_text().splitlines() == [FAILED, "Perhaps"]
    assert "lost" in transcript.messages[-1].plain_text()
    transcript.clear()
    assert not transcript.messages
