"""What the panel can ask of a model: one class for each kind of job, and one for its result.

A job names its scan and its model, says in `stage` what is being done while it runs, and runs
itself on a `Reading`. Nothing here knows Qt: `ModelSession.run` calls it in a worker thread.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from napari_ct_assistant.backends.loading.options import BEST, LoadOptions
from napari_ct_assistant.backends.scan_notes import outside_note
from napari_ct_assistant.backends.server.profiles import rewriting_profile
from napari_ct_assistant.report_text.questions import REPORT_QUESTION
from napari_ct_assistant.support.translation import N_
from napari_ct_assistant.viewer.session.run_record import RunRecord, TextCallback

if TYPE_CHECKING:
    from napari_ct_assistant.assistant import (
        Answer,
        FindingProbability,
        GenerationSettings,
        Reading,
        ReportDraft,
    )
    from napari_ct_assistant.assistant.reading.rewriting import Rewriting
    from napari_ct_assistant.backends.heat_map import Evidence
    from napari_ct_assistant.viewer.session.scan_session import ScanSession


@dataclass(frozen=True, eq=False)
class Job(ABC):
    """One request to a model about one scan.

    Attributes
    ----------
    scan : ScanSession
    model : str
        Bundled name, folder or hub id.
    options : LoadOptions
        How the model is loaded.
    cancel : threading.Event
        Set it to stop the job; the text written so far is kept.
    stage : str
        What is being done while the job runs, for the status line.
    """

    stage: ClassVar[str]

    scan: ScanSession
    model: str
    _: KW_ONLY
    options: LoadOptions = BEST
    cancel: threading.Event = field(default_factory=threading.Event)

    @abstractmethod
    def run(self, reading: Reading, record: RunRecord, on_text: TextCallback) -> JobResult:
        """Do the job in the calling thread; `on_text` gets the text piece by piece."""


@dataclass(frozen=True, eq=False)
class TurnJob(Job):
    """A job that becomes a turn of the conversation, and that can be run again.

    Attributes
    ----------
    history : tuple of (str, str)
        Earlier questions and answers, oldest first; a report is drafted without them.
    sample : bool
        Draw the words at random instead of taking the likeliest: what "Again" does.
    """

    _: KW_ONLY
    history: tuple[tuple[str, str], ...] = ()
    sample: bool = False

    @property
    @abstractmethod
    def request(self) -> str:
        """What the model is asked, as later turns quote it."""

    @property
    def settings(self) -> GenerationSettings | None:
        """The model's own settings (None), or ones under which a second text can differ."""
        if not self.sample:
            return None
        from napari_ct_assistant.assistant import GenerationSettings

        return GenerationSettings(temperature=0.7, top_p=0.9)


@dataclass(frozen=True, eq=False)
class ReportJob(TurnJob):
    """Draft the report.

    Attributes
    ----------
    even_outside : bool
        Draft from a scan outside the model's training distribution without asking first.
    """

    stage = N_("Drafting the report")

    _: KW_ONLY
    even_outside: bool = False

    @property
    def request(self) -> str:
        """The request for a report."""
        return REPORT_QUESTION

    def run(self, reading: Reading, record: RunRecord, on_text: TextCallback) -> JobResult:
        """Draft the report, unless the reader has to be asked first (`OutsideResult`)."""
        note = outside_note(record.warnings)
        if note and not self.even_outside:
            return OutsideResult(record, self, note)
        draft = reading.draft_report(
            on_text=record.timed(on_text),
            on_reasoning=record.on_reasoning,
            cancel=self.cancel,
            settings=self.settings,
        )
        return ReportResult(record, self, draft)


@dataclass(frozen=True, eq=False)
class AskJob(TurnJob):
    """Answer a question.

    Attributes
    ----------
    question : str
    choices : tuple of str
        The choices of a multiple-choice question.
    region : str
        A sentence about the region that the reader has drawn; empty without one.
    """

    stage = N_("Answering")

    question: str
    choices: tuple[str, ...] = ()
    _: KW_ONLY
    region: str = ""

    @property
    def request(self) -> str:
        """The question."""
        return self.question

    def run(self, reading: Reading, record: RunRecord, on_text: TextCallback) -> AskResult:
        """Answer the question."""
        answer = reading.ask(
            self.question,
            on_text=record.timed(on_text),
            on_reasoning=record.on_reasoning,
            cancel=self.cancel,
            settings=self.settings,
            history=self.history,
            choices=self.choices,
            region=self.region,
        )
        return AskResult(record, self, answer)


@dataclass(frozen=True, eq=False)
class ScreenJob(Job):
    """Give a probability or a rank to each finding that the model can be screened for.

    Attributes
    ----------
    findings : tuple of str
        Findings in the reader's words, in place of the model's.
    """

    stage = N_("Screening")

    findings: tuple[str, ...] = ()

    def run(self, reading: Reading, record: RunRecord, _on_text: TextCallback) -> ScreenResult:
        """Screen the scan; there is no text."""
        words: dict[str, Any] = {"findings": self.findings} if self.findings else {}
        rows = tuple(reading.screen(cancel=self.cancel, **words))
        return ScreenResult(record, self, rows, reading.checks)


@dataclass(frozen=True, eq=False)
class RewriteJob(Job):
    """Explain or shorten a passage of the report, or sum up its findings.

    Attributes
    ----------
    task : {"explain", "shorten", "impression"}
    prompt : str
        The whole request, which quotes the passage (see `assistant.reading.rewriting.prompt`).
    """

    stage = N_("Rewriting the passage")

    task: Rewriting
    prompt: str

    def run(self, reading: Reading, record: RunRecord, on_text: TextCallback) -> RewriteResult:
        """Rewrite the passage, without the scan: the prompt quotes all that is needed.

        A text model on a server does it where one is named for that.
        """
        server = rewriting_profile()
        timed = record.timed(on_text)
        if server is not None:
            from napari_ct_assistant.assistant.reading.rewriting_server import rewrite_on_server

            answer = rewrite_on_server(server, self.prompt, on_text=timed, cancel=self.cancel)
        else:
            answer = reading.ask(self.prompt, on_text=timed, cancel=self.cancel, text_only=True)
        return RewriteResult(record, self, answer)


@dataclass(frozen=True, eq=False)
class EvidenceJob(Job):
    """Find where in the scan the probability of a finding comes from."""

    stage = N_("Finding the evidence")

    finding: str

    def run(self, reading: Reading, record: RunRecord, _on_text: TextCallback) -> EvidenceResult:
        """Find the evidence; there is no text."""
        return EvidenceResult(record, self, reading.finding_evidence(self.finding))


@dataclass(frozen=True, eq=False)
class JobResult:
    """What came of a job. Each kind of job has a result of its own, with its job in it."""

    record: RunRecord
    job: Job

    @property
    def tokens(self) -> int:
        """The number of tokens that the model wrote."""
        return 0

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the reader must know about this result, besides the warnings of the record."""
        return ()

    @property
    def first_text_s(self) -> float | None:
        """Seconds from the start of the job itself to the first text; None without text."""
        return self.record.first_text_s

    @property
    def reader_waited_s(self) -> float | None:
        """Seconds from the reader's request to the first text; None without text."""
        first = self.first_text_s
        return None if first is None else self.record.waited_s + first

    @property
    def text_s(self) -> float:
        """Seconds from the first to the last piece of text."""
        return self.record.text_s

    @property
    def tokens_per_second(self) -> float | None:
        """Tokens per second, from the second token on; None without text."""
        return (self.tokens - 1) / self.text_s if self.tokens > 1 and self.text_s > 0 else None


@dataclass(frozen=True, eq=False)
class ReportResult(JobResult):
    """A drafted report."""

    job: ReportJob
    draft: ReportDraft

    @property
    def tokens(self) -> int:
        """The number of tokens of the draft."""
        return self.draft.tokens

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings about drafting, such as a model that was not taught to write reports."""
        own = tuple(text for text in self.draft.warnings if text not in self.record.warnings)
        return own + self.draft.label_differences

    # The draft times the model itself. The record also sees the headings, which are not
    # generated, and the search for evidence between two sections.

    @property
    def first_text_s(self) -> float | None:
        """Seconds to the first token."""
        return self.draft.seconds.get("first_token", self.record.first_text_s)

    @property
    def text_s(self) -> float:
        """Seconds of generating, after the first token."""
        generating = self.draft.seconds.get("generate")
        if generating is None or self.first_text_s is None:
            return self.record.text_s
        return generating - self.first_text_s


@dataclass(frozen=True, eq=False)
class OutsideResult(JobResult):
    """No report yet: the scan is outside the model's training distribution, as `note` says."""

    job: ReportJob
    note: str


@dataclass(frozen=True, eq=False)
class AskResult(JobResult):
    """The answer to a question."""

    job: AskJob
    answer: Answer

    @property
    def tokens(self) -> int:
        """The number of tokens of the answer."""
        return self.answer.tokens

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings about what was asked, such as a finding that the model cannot detect."""
        return tuple(text for text in self.answer.warnings if text not in self.record.warnings)


@dataclass(frozen=True, eq=False)
class ScreenResult(JobResult):
    """The probabilities or ranks of the findings, and what a test of the model showed."""

    job: ScreenJob
    findings: tuple[FindingProbability, ...]
    checks: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class RewriteResult(JobResult):
    """A passage, rewritten."""

    job: RewriteJob
    answer: Answer

    @property
    def tokens(self) -> int:
        """The number of tokens of the new passage."""
        return self.answer.tokens


@dataclass(frozen=True, eq=False)
class EvidenceResult(JobResult):
    """Where a finding comes from."""

    job: EvidenceJob
    evidence: Evidence
