"""The conversation: starts jobs, and writes their text and results into the transcript."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from napari.utils.notifications import show_error
from qtpy.QtCore import QObject, Signal

from napari_ct_assistant.assistant.reading.label_comparison import label_differences
from napari_ct_assistant.support.plain_text import without_markup
from napari_ct_assistant.support.translation import _, shown
from napari_ct_assistant.viewer.chat.links import answer_markdown, escaped, linked, report_markdown
from napari_ct_assistant.viewer.session.jobs import (
    AskJob,
    AskResult,
    EvidenceResult,
    Job,
    JobResult,
    OutsideResult,
    ReportJob,
    ReportResult,
    RewriteResult,
    ScreenResult,
    TurnJob,
)
from napari_ct_assistant.viewer.session.model_session import ModelSession
from napari_ct_assistant.viewer.session.runner import JobRunner
from napari_ct_assistant.viewer.session.scan_session import OutsideDraft
from napari_ct_assistant.viewer.session.status_line import footnote
from napari_ct_assistant.viewer.texts import (
    DIFFERENCE,
    FAILED,
    MEASURED,
    SAMPLED_AGAIN,
    TITLE_SEPARATOR,
)

if TYPE_CHECKING:
    from napari_ct_assistant.backends.heat_map import HeatMap
    from napari_ct_assistant.backends.server.sending import Sending
    from napari_ct_assistant.viewer.chat.message import Message
    from napari_ct_assistant.viewer.chat.transcript import Transcript
    from napari_ct_assistant.viewer.session.scan_session import ScanSession


class Conversation(QObject):
    """Connects the jobs with the transcript.

    Parameters
    ----------
    session : ModelSession
    transcript : Transcript
    parent : QObject, optional

    Signals
    -------
    busy : bool
    stage : str
    drafted : ReportResult
    answered : AskResult
    screened : ScreenResult
    rewritten : RewriteResult
    located : EvidenceResult
        One signal for each kind of result.
    finished : JobResult
        Emitted after each of those.
    refused : Job
        The job failed, or was stopped before it wrote any text; its question can be given back.
    unagreed : Sending
        The job waits until somebody agrees to what it would send: `resume` or `decline`.
    """

    busy = Signal(bool)
    stage = Signal(str)
    drafted = Signal(object)
    answered = Signal(object)
    screened = Signal(object)
    rewritten = Signal(object)
    located = Signal(object)
    finished = Signal(object)
    refused = Signal(object)
    unagreed = Signal(object)

    def __init__(
        self, session: ModelSession, transcript: Transcript, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self.jobs = JobRunner(session, self)
        self._transcript = transcript
        self._message: Message | None = None
        self._job: Job | None = None
        self._waiting: tuple[Job, Message | None, Sending] | None = None
        self.jobs.began.connect(lambda _job: self.busy.emit(True))
        self.jobs.stage.connect(self.stage)
        self.jobs.text.connect(self._on_text)
        self.jobs.reasoning.connect(self._on_reasoning)
        self.jobs.done.connect(self._on_done)
        self.jobs.stopped.connect(self._on_stopped)
        self.jobs.failed.connect(self._on_failed)
        self.jobs.unagreed.connect(self._on_unagreed)
        self.jobs.ended.connect(self._on_ended)

    def start(self, job: Job, scan: str) -> bool:
        """Start `job` about the scan named `scan`; return False if a job is running already."""
        if self.jobs.busy:
            return False
        self.decline()
        if isinstance(job, AskJob) and not job.sample:
            job = replace(job, history=job.scan.history.turns(job.model))
            self._write_question(job)
        if isinstance(job, ReportJob):
            job.scan.asked_outside = None
            job = replace(job, even_outside=job.model in job.scan.drafted_outside)
        self._job = job
        if isinstance(job, TurnJob):
            kind = _("Report") if isinstance(job, ReportJob) else job.model
            again = _(SAMPLED_AGAIN) if job.sample else ""
            title = TITLE_SEPARATOR.join(filter(None, (kind, scan, again)))
            self._message = self._transcript.add("model", title, scan=job.scan)
            self._message.job = job
        return self.jobs.start(job)

    def _write_question(self, job: AskJob) -> None:
        """Write the question, and what was measured in the region that it is about."""
        text = escaped(job.question)
        for number, choice in enumerate(job.choices):
            text += f"\n\n{chr(ord('A') + number)}\\. {escaped(choice)}"
        title = TITLE_SEPARATOR.join(filter(None, (_("You"), job.scan.name)))
        asked = self._transcript.add("you", title, text, job.scan)
        asked.job = job
        asked.head.offer(edit=True)
        if job.region:
            measured = linked(job.region, job.scan.volume.shape[0])
            self._transcript.add("note", _(MEASURED), measured, job.scan)

    @property
    def last(self) -> Message | None:
        """The latest text of the model that can be written again."""
        is_shown = self._transcript.is_shown
        done = (
            m
            for m in reversed(self._transcript.messages)
            if m.speaker == "model" and m.job and is_shown(m)
        )
        return next(done, None)

    def again(self, message: Message) -> bool:
        """Write a report or an answer again; return False if that is not possible now."""
        job = message.job
        if job is None or self.jobs.busy:
            return False
        job.scan.history.cut(job)
        return self.start(replace(job, sample=True, cancel=threading.Event()), job.scan.name)

    def stop(self) -> None:
        """Stop the running job."""
        self.jobs.stop()

    def resume(self) -> bool:
        """Start the job that waited for an agreement; return False if there is none."""
        if self._waiting is None or self.jobs.busy:
            return False
        (job, message, _sending), self._waiting = self._waiting, None
        job = replace(job, cancel=threading.Event())
        if message is not None and isinstance(job, TurnJob):
            message.job = job
        self._job, self._message = job, message
        return self.jobs.start(job)

    def decline(self) -> None:
        """Let go of the job that waited for an agreement; its question can be given back."""
        if self._waiting is None:
            return
        (job, message, _sending), self._waiting = self._waiting, None
        if message is not None:
            self._transcript.remove(message)
        self.refused.emit(job)

    def close_scan(self, scan: ScanSession) -> None:
        """Stop a job about a scan that was closed, and free the model's reading of it."""
        if self._job is not None and self._job.scan is scan:
            self.jobs.stop()
        if self._waiting is not None and self._waiting[0].scan is scan:
            self.decline()
        self.jobs.session.forget(scan.volume)

    def add_note(self, text: str, title: str = "", scan: ScanSession | None = None) -> None:
        """Write a note of the panel itself, about a scan or none; `text` is plain text."""
        self._transcript.add("note", title, escaped(text), scan)

    def show_problem(self, text: str, scan: ScanSession | None = None) -> None:
        """Write a problem into the transcript and show it as a notification."""
        self.add_note(text, _("Problem"), scan)
        show_error(without_markup(text))

    def _on_text(self, text: str) -> None:
        if self._message is not None:
            self._message.append(text)

    def _on_reasoning(self, text: str) -> None:
        if self._message is not None:
            self._message.append_reasoning(text)

    def _on_done(self, result: JobResult) -> None:
        try:
            self._write_warnings(result)
            self._write_result(result)
        finally:
            # A result reaches everybody, even if the transcript could not show it.
            self._tell(result)
            self.finished.emit(result)

    def _write_result(self, result: JobResult) -> None:
        match result:
            case ReportResult(job=job, draft=draft):
                job.scan.history.add(job, draft.text)
                job.scan.labels = draft.labels, draft.text
                text = report_markdown(draft, job.scan.volume.shape[0])
                heat = [(h, s.text) for h, s in zip(draft.heat, draft.sentences, strict=False)]
                self._finish_turn(result, text, heat)
            case AskResult(job=job, answer=answer):
                job.scan.history.add(job, answer.text)
                text = answer_markdown(answer, job.scan.volume.shape[0])
                self._finish_turn(result, text, [(answer.heat, answer.text)])
            case OutsideResult(job=job):
                info = result.record.info
                job.scan.asked_outside = OutsideDraft(job.model, info, result.note)
                if self._message is not None:
                    self._transcript.remove(self._message)
            case ScreenResult(job=job, findings=rows):
                labels, text = job.scan.labels
                if labels is not None:
                    names = [row.name for row in rows]
                    lines = label_differences(labels, text, names, rows)
                    if lines:
                        self.add_note("\n\n".join(lines), _(DIFFERENCE), job.scan)

    def _tell(self, result: JobResult) -> None:
        match result:
            case ReportResult():
                self.drafted.emit(result)
            case AskResult():
                self.answered.emit(result)
            case ScreenResult():
                self.screened.emit(result)
            case RewriteResult():
                self.rewritten.emit(result)
            case EvidenceResult():
                self.located.emit(result)

    def _write_warnings(self, result: JobResult) -> None:
        """Write what the reader must know before the result.

        Warnings about the model on this scan are written once, those about a result each time.
        """
        warned, model = result.job.scan.warned_models, result.job.model
        warnings = [*result.warnings]
        if result.record.warnings and model not in warned:
            warned.add(model)
            warnings = [*result.record.warnings, *warnings]
        if warnings:
            text = "\n\n".join(escaped(shown(warning)) for warning in warnings)
            self._transcript.add("note", _("Note"), text, result.job.scan, self._message)

    def _finish_turn(
        self,
        result: ReportResult | AskResult,
        markdown: str,
        heat: Sequence[tuple[HeatMap | None, str]],
    ) -> None:
        """Replace the streamed text by its final form."""
        message = self._message
        if message is not None:
            message.finish(markdown or "*" + _("(no text)") + "*")
            message.heat = heat
            message.set_foot(footnote(result))
            message.head.offer(again=True)

    def _on_stopped(self, job: Job) -> None:
        try:
            if self._message is not None:
                self._message.finish("*" + _("Stopped.") + "*")
        finally:
            self.refused.emit(job)

    def _on_failed(self, job: Job, error: str) -> None:
        message = self._message
        try:
            if message is not None:
                written = message.plain_text()
                if written:
                    message.finish(f"**{_(FAILED)}**\n\n{escaped(written)}")
                else:
                    self._transcript.remove(message)
            self.show_problem(error, job.scan)
        finally:
            self.refused.emit(job)

    def _on_unagreed(self, job: Job, sending: Sending) -> None:
        self._waiting = job, self._message, sending

    def _on_ended(self, job: Job) -> None:
        self._message = self._job = None
        self.busy.emit(False)
        if self._waiting is not None and self._waiting[0] is job:
            self.unagreed.emit(self._waiting[2])
