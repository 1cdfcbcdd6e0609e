"""The reading room: the loaded model and the scans it has read, used from a worker thread.

Nothing here knows Qt. One model is loaded at a time, and the readings of the
scans seen last are kept, so that a second question costs no second encoding.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from napari_ct_assistant.assistant.models.options import BEST, LoadOptions, NotEnoughMemoryError
from napari_ct_assistant.support.errors import CTAssistantError

if TYPE_CHECKING:
    from napari_ct_assistant.assistant import (
        Answer,
        Assistant,
        FindingProbability,
        GenerationSettings,
        ModelInfo,
        Reading,
        ReportDraft,
    )
    from napari_ct_assistant.assistant.evidence.heat_map import Evidence
    from napari_ct_assistant.volume import CTVolume

Kind = Literal["report", "ask", "screen", "rewrite", "evidence"]
KEPT_READINGS = 3


def load_real(model: str, **options: Any) -> Assistant:
    """Load a model; the import of torch happens here, in the worker thread."""
    from napari_ct_assistant.assistant import load_assistant

    return load_assistant(model, **options)


def sampled() -> GenerationSettings:
    """Return settings under which a second answer can differ from the first."""
    from napari_ct_assistant.assistant import GenerationSettings

    return GenerationSettings(temperature=0.7, top_p=0.9)


class StoppedError(CTAssistantError):
    """The reader pressed Stop before the model had written anything."""


@dataclass(frozen=True, eq=False)
class Job:
    """One thing asked of the model: a report, an answer or the findings of one scan."""

    kind: Kind
    volume: CTVolume
    model: str
    options: LoadOptions = BEST
    question: str = ""
    # Earlier questions and answers, oldest first.
    history: tuple[tuple[str, str], ...] = ()
    choices: tuple[str, ...] = ()
    # A sentence about the region that the reader has drawn.
    region: str = ""
    # Sampled instead of the likeliest words: what "again" means.
    sample: bool = False
    cancel: threading.Event = field(default_factory=threading.Event)


@dataclass
class Outcome:
    """What came of a job: its result and how fast the text came."""

    result: ReportDraft | Answer | list[FindingProbability] | Evidence
    info: ModelInfo
    device: str
    warnings: tuple[str, ...] = ()
    first_text_s: float | None = None
    text_s: float = 0.0

    @property
    def tokens_per_second(self) -> float | None:
        """Tokens a second after the first, over the time that text was coming."""
        tokens = getattr(self.result, "tokens", 0)
        return (tokens - 1) / self.text_s if tokens > 1 and self.text_s > 0 else None


class ModelSession:
    """Holds the model and its readings; every method may be called from any thread.

    Parameters
    ----------
    load : callable, optional
        Called as ``load(model, device=device)``, with the other load options that were chosen,
        to get an `Assistant`.
    """

    def __init__(self, load: Callable[..., Assistant] = load_real) -> None:
        self._load = load
        self._lock = threading.Lock()
        self._loaded: tuple[str, LoadOptions] | None = None
        self._assistant: Assistant | None = None
        # Why the last load came to nothing, where it was for want of memory.
        self.refused: NotEnoughMemoryError | None = None
        # Keyed by the volume's identity; the reading itself keeps the volume alive.
        self._readings: OrderedDict[int, Reading] = OrderedDict()

    def run(
        self, job: Job, on_stage: Callable[[str], None], on_text: Callable[[str], None]
    ) -> Outcome:
        """Do `job`, telling stages and pieces of text from the calling thread.

        Raises
        ------
        StoppedError
            If `job.cancel` was set before the model began to write.
        ModelLoadError
            If the model cannot be loaded.
        """

        def stage(text: str) -> None:
            if job.cancel.is_set():
                raise StoppedError
            on_stage(text)

        with self._lock:
            assistant = self._assistant_for(job.model, job.options, stage)
            reading = self._reading_of(job.volume, assistant, stage)
        outcome = Outcome([], assistant.info, str(getattr(assistant, "device", "")))
        outcome.warnings = tuple(reading.warnings)
        stage({"report": "Drafting the report", "ask": "Answering"}.get(job.kind, "Screening"))
        began = time.perf_counter()

        def piece(text: str) -> None:
            now = time.perf_counter() - began
            if outcome.first_text_s is None:
                outcome.first_text_s = now
            outcome.text_s = now - outcome.first_text_s
            on_text(text)

        how = sampled() if job.sample else None
        if job.kind == "report":
            outcome.result = reading.draft_report(on_text=piece, cancel=job.cancel, settings=how)
        elif job.kind == "evidence":
            outcome.result = reading.finding_evidence(job.question)
        elif job.kind in ("ask", "rewrite"):
            outcome.result = reading.ask(
                job.question,
                on_text=piece,
                cancel=job.cancel,
                settings=how,
                history=job.history,
                choices=job.choices,
                region=job.region,
                text_only=job.kind == "rewrite",  # made of the text that it quotes
            )
        else:
            outcome.result = reading.screen(cancel=job.cancel)
        return outcome

    @property
    def loaded(self) -> tuple[str, LoadOptions] | None:
        """The model that is loaded and how, None when there is none."""
        return self._loaded

    def load(self, model: str, options: LoadOptions = BEST) -> tuple[ModelInfo, str]:
        """Load a model in place of the one that is loaded; return who and where it is.

        Raises
        ------
        ModelLoadError
            If it cannot be loaded; then none is.
        """
        with self._lock:
            assistant = self._assistant_for(model, options, lambda _: None)
            return assistant.info, str(getattr(assistant, "device", ""))

    def _assistant_for(
        self, model: str, options: LoadOptions, stage: Callable[[str], None]
    ) -> Assistant:
        """Return the model, loading it only if another one is loaded."""
        if self._assistant is None or self._loaded != (model, options):
            stage(f"Loading the model {model}")
            self._drop_model()
            # `device` always, the others where they were chosen.
            wanted = {"device": None} | options.arguments()
            self.refused = None
            try:
                self._assistant = self._load(model, **wanted)
            except NotEnoughMemoryError as error:
                # Copies: the error itself keeps the frames that it came through.
                self.refused = NotEnoughMemoryError(error.line, error.ways, "panel")
                raise NotEnoughMemoryError(error.line, error.ways, "panel") from None
            self._loaded = (model, options)
        return self._assistant

    def _reading_of(
        self, volume: CTVolume, assistant: Assistant, stage: Callable[[str], None]
    ) -> Reading:
        """Return the reading of `volume`, encoding the scan only the first time."""
        reading = self._readings.pop(id(volume), None)
        if reading is None:
            stage("Reading the scan")
            reading = assistant.read(volume, progress=stage)
        self._readings[id(volume)] = reading
        while len(self._readings) > KEPT_READINGS:
            self._readings.popitem(last=False)
        return reading

    def forget(self, volume: CTVolume) -> None:
        """Free the reading of a scan that was closed; a running job keeps its own reference."""
        self._readings.pop(id(volume), None)

    def close(self) -> None:
        """Free the model and every reading."""
        with self._lock:
            self._drop_model()

    def _drop_model(self) -> None:
        self._readings.clear()
        assistant, self._assistant, self._loaded = self._assistant, None, None
        if assistant is not None:
            assistant.close()
