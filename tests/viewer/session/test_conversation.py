"""What the transcript says about a result, besides its text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_ct_assistant.assistant import Answer, ModelInfo, ReportDraft
from napari_ct_assistant.viewer.chat.transcript import Transcript
from napari_ct_assistant.viewer.session.conversation import Conversation
from napari_ct_assistant.viewer.session.jobs import AskJob, ReportJob, ReportResult, RunRecord
from napari_ct_assistant.viewer.session.model_session import ModelSession
from napari_ct_assistant.viewer.session.status_line import summary

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
