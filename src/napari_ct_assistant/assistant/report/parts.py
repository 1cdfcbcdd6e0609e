"""The parts of a report: lines, sections, drafted sentences, provenance, signature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from napari_ct_assistant.assistant.reading.results import (
    Answer,
    ReportDraft,
    Sentence,
    incomplete_note,
)
from napari_ct_assistant.backends.model_info import ModelInfo
from napari_ct_assistant.backends.scan_notes import outside_note
from napari_ct_assistant.support.translation import N_, said

Mark = Literal["", "accepted", "rejected"]
State = Literal["draft", "accepted", "edited", "rejected", "template", "own"]

FROM_TEMPLATE = -1


@dataclass(frozen=True)
class Line:
    """One line of the report.

    Attributes
    ----------
    text : str
        The current text.
    source : int or None
        The drafted sentence it comes from, an index into `ReportDocument.sources`.
    mark : {"", "accepted", "rejected"}
        The reader's decision.
    measurement : int or None
        The measurement that it states, an index into `ReportDocument.measurements`.
    """

    text: str
    source: int | None = None
    mark: Mark = ""
    measurement: int | None = None


@dataclass(frozen=True)
class Section:
    """A heading with its lines. `key` identifies the section whatever its heading says."""

    key: str
    heading: str
    level: int = 1
    lines: tuple[Line, ...] = ()


@dataclass(frozen=True)
class Source:
    """A drafted sentence with its evidence, and the number of its draft.

    `draft` is FROM_TEMPLATE for a sentence about the scan that the template filled in.
    """

    sentence: Sentence
    draft: int = 0


@dataclass(frozen=True)
class DraftInfo:
    """Provenance of a draft: model, weights, versions, settings, times in seconds.

    `kind` says whether the model drafted the report or summed up the reader's findings.
    """

    model: dict[str, str]
    created: str
    versions: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    stopped: bool = False
    cut: bool = False
    kind: Literal["report", "impression"] = "report"

    @classmethod
    def of(cls, draft: ReportDraft, weights_sha256: str | None = None) -> DraftInfo:
        """Return the provenance of `draft`.

        Hashing large weights takes a while; pass "" to fill the hash in later
        (`ReportDocument.with_weights`).
        """
        return cls(
            model=_model(draft.model, weights_sha256),
            created=draft.created,
            versions=dict(draft.versions),
            settings=dict(draft.settings),
            seconds=dict(draft.seconds),
            warnings=tuple(draft.warnings),
            stopped=draft.stopped,
            cut=draft.cut,
        )

    @classmethod
    def of_answer(
        cls, answer: Answer, created: str, weights_sha256: str | None = None
    ) -> DraftInfo:
        """Return the provenance of an impression that was asked for; see `of`."""
        return cls(
            model=_model(answer.model, weights_sha256),
            created=created,
            seconds={"first_token": answer.seconds_first_token, "total": answer.seconds_total},
            warnings=tuple(answer.warnings),
            stopped=answer.stopped,
            cut=answer.cut,
            kind="impression",
        )

    @property
    def incomplete(self) -> str:
        """The line to show before a draft that is not whole; empty for a whole one."""
        return incomplete_note(stopped=self.stopped, cut=self.cut)

    @property
    def outside(self) -> str:
        """The warning that the scan is outside the model's training distribution, or ""."""
        return outside_note(self.warnings)

    @property
    def who(self) -> str:
        """The model and its training data, as a phrase."""
        return said(
            "model {model} trained on {trained}",
            model=self.model.get("name") or N_("without a name"),
            trained=self.model.get("trained_on") or N_("undisclosed data"),
        )


def _model(info: ModelInfo, weights_sha256: str | None) -> dict[str, str]:
    sha256 = info.weights_sha256 if weights_sha256 is None else weights_sha256
    return info.provenance(sha256)


@dataclass(frozen=True)
class Signature:
    """Who signed the report and when; `content` is the hash of the text that was signed."""

    name: str
    organization: str
    time: str
    content: str


def relink(
    sections: Sequence[Section], sources: Sequence[Source], measurements: int = 0
) -> tuple[Section, ...]:
    """Link lines to their drafted sentences again after text was cut and pasted.

    A sentence belongs to one line, the first that refers to it. A line without one is linked to
    the sentence that it repeats word for word, if no other line has it. A measurement, too,
    belongs to one line; `measurements` says how many are known.
    """
    claimed: set[int] = set()
    stated: set[int] = set()
    first: list[list[Line]] = []
    for section in sections:
        lines = []
        for line in section.lines:
            blank, source, number = not line.text.strip(), line.source, line.measurement
            if source is not None and (blank or source >= len(sources) or source in claimed):
                source = None
            if number is not None and (blank or number >= measurements or number in stated):
                number = None
            if source is not None:
                claimed.add(source)
            if number is not None:
                stated.add(number)
            lines.append(replace(line, source=source, measurement=number))
        first.append(lines)
    free = {
        " ".join(source.sentence.text.split()): index
        for index, source in enumerate(sources)
        if index not in claimed
    }
    done = []
    for section, lines in zip(sections, first, strict=True):
        for at, line in enumerate(lines):
            text = " ".join(line.text.split())
            if line.source is None and text in free:
                lines[at] = replace(line, source=free.pop(text))
        done.append(replace(section, lines=tuple(lines)))
    return tuple(done)
