"""Results of a reading: report drafts, answers and probabilities, each with its provenance."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Final

from napari_ct_assistant.backends.heat_map import HeatMap, PointRAS
from napari_ct_assistant.backends.model_info import ModelInfo
from napari_ct_assistant.support.translation import N_, said
from napari_ct_assistant.volume.dicom.instance_numbers import ArchiveNumber

STOPPED_NOTE: Final = N_(
    "INCOMPLETE: this text was stopped before its end; findings may be missing."
)
CUT_NOTE: Final = N_(
    "INCOMPLETE: this text was cut off at the limit on its length; findings may be missing."
)


def incomplete_note(*, stopped: bool, cut: bool) -> str:
    """Return the line that goes before a text that is not whole; empty for a whole text."""
    return STOPPED_NOTE if stopped else CUT_NOTE if cut else ""


def image_number(index: int | None) -> int | None:
    """Return the number by which people call a slice, counted from 1 from the head."""
    return None if index is None else index + 1


def image_words(index: int | None, filed: ArchiveNumber) -> str:
    """Return "image 85", with the archive's number where it differs; "" without an image."""
    if index is None:
        return ""
    other = filed.words(index + 1)
    if not other:
        return said("image {number}", number=index + 1)
    return said("image {number} ({other})", number=index + 1, other=other)


def shown_slices(indices: tuple[int, ...]) -> list[dict[str, int]]:
    """Return which slice each label of a model stands for, as plain values."""
    return [
        {"label": label, "slice": index, "image_number": index + 1}
        for label, index in enumerate(indices, 1)
    ]


@dataclass(frozen=True)
class Sentence:
    """One sentence of a draft, with its evidence.

    Attributes
    ----------
    support : float or None
        How much more likely the image makes the sentence: log-likelihood with the image minus
        without it, in nats. Near zero, the model would have written it about any scan.
    slice : int or None
        Index along the volume's first axis (head to feet) of the evidence.
    ras : (x, y, z) mm or None
        The evidence's position in RAS mm.
    instance_number, frame_number : int or None
        Where the archive files the slice (`volume.dicom.instance_numbers.ArchiveNumber`).
    """

    text: str
    section: str = ""
    support: float | None = None
    slice: int | None = None
    ras: PointRAS | None = None
    instance_number: int | None = None
    frame_number: int | None = None

    @property
    def unsupported(self) -> bool:
        """Whether the image does not make the sentence more likely."""
        return self.support is not None and self.support <= 0

    @property
    def image(self) -> str:
        """The image as people call it: "image 85 (instance 412)"; "" without one."""
        return image_words(self.slice, ArchiveNumber(self.instance_number, self.frame_number))

    def to_json(self) -> dict[str, Any]:
        """Return the sentence as plain values.

        `slice` counts from 0 and `image_number` from 1, both from the head. `instance_number`
        (DICOM InstanceNumber) and `frame_number` are those of the files, null without any.
        """
        return asdict(self) | {"image_number": image_number(self.slice)}


@dataclass(frozen=True)
class ReportDraft:
    """A drafted report. `str(draft)` is the whole text with the model's notice.

    `stopped` says that it was cancelled, `cut` that it reached the limit on its length before
    its end. A report without an end has no impression drawn from its findings.
    `heat` holds a heat map for each of `sentences`, or None; it is not in the JSON.
    `reasoning` is what a model wrote before the report, and no part of it. `region` is the part
    of the body that was read, "" where a model reads all scans in the same way. `labels` are the
    findings that a model lists as its result (None if it lists none), `label_differences` say
    where they differ from the text and the screen. `slices` are the indices of the single slices
    that a model was shown, in the order of its labels; () where it read the volume.
    """

    sections: dict[str, str]
    sentences: tuple[Sentence, ...]
    model: ModelInfo
    seconds: dict[str, float]
    tokens: int
    stopped: bool
    created: str
    versions: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    heat: tuple[HeatMap | None, ...] = field(default=(), repr=False, compare=False)
    cut: bool = False
    reasoning: str = ""
    region: str = ""
    labels: tuple[str, ...] | None = None
    label_differences: tuple[str, ...] = ()
    slices: tuple[int, ...] = ()

    @property
    def incomplete(self) -> str:
        """The line to show before a text that is not whole; empty for a whole one."""
        return incomplete_note(stopped=self.stopped, cut=self.cut)

    @property
    def text(self) -> str:
        """The report: each section under its name."""
        parts = [f"{name}: {body}" if name else body for name, body in self.sections.items()]
        return "\n\n".join(parts)

    def __str__(self) -> str:
        text = f"{self.text}\n\n[{self.model.notice}]" if self.model.notice else self.text
        return f"[{self.incomplete}]\n\n{text}" if self.incomplete else text

    def to_json(self) -> dict[str, Any]:
        """Return the draft as plain values."""
        return {
            "complete": not self.incomplete,
            "incomplete": self.incomplete,
            "report": self.text,
            "sections": dict(self.sections),
            "sentences": [sentence.to_json() for sentence in self.sentences],
            "model": self.model.to_json(),
            "seconds": dict(self.seconds),
            "tokens": self.tokens,
            "stopped": self.stopped,
            "cut": self.cut,
            "created": self.created,
            "versions": dict(self.versions),
            "settings": dict(self.settings),
            "warnings": list(self.warnings),
            "reasoning": self.reasoning,
            "region": self.region,
            "labels": None if self.labels is None else list(self.labels),
            "label_differences": list(self.label_differences),
            "slices": shown_slices(self.slices),
        }


@dataclass(frozen=True)
class Answer:
    """An answer to a question, with its evidence (see `Sentence`).

    `history_turns` earlier questions were in the model's context, and the region if
    `region_used`. `choices` are those of a multiple-choice question, each with its probability.
    `heat` is not in the JSON. `reasoning`, `region`, `labels` and `slices` are as in
    `ReportDraft`.
    """

    question: str
    text: str
    model: ModelInfo
    seconds_first_token: float
    seconds_total: float
    tokens: int
    stopped: bool
    support: float | None = None
    slice: int | None = None
    ras: PointRAS | None = None
    warnings: tuple[str, ...] = ()
    heat: HeatMap | None = field(default=None, repr=False, compare=False)
    history_turns: int = 0
    region_used: bool = False
    choices: tuple[tuple[str, float], ...] = ()
    cut: bool = False
    reasoning: str = ""
    region: str = ""
    labels: tuple[str, ...] | None = None
    instance_number: int | None = None
    frame_number: int | None = None
    slices: tuple[int, ...] = ()

    @property
    def incomplete(self) -> str:
        """The line to show before a text that is not whole; empty for a whole one."""
        return incomplete_note(stopped=self.stopped, cut=self.cut)

    @property
    def unsupported(self) -> bool:
        """Whether the image does not make the answer more likely."""
        return self.support is not None and self.support <= 0

    def __str__(self) -> str:
        return f"[{self.incomplete}] {self.text}" if self.incomplete else self.text

    def to_json(self) -> dict[str, Any]:
        """Return the answer as plain values."""
        return {
            "complete": not self.incomplete,
            "incomplete": self.incomplete,
            "question": self.question,
            "answer": self.text,
            "model": self.model.to_json(),
            "seconds": {"first_token": self.seconds_first_token, "total": self.seconds_total},
            "tokens": self.tokens,
            "stopped": self.stopped,
            "cut": self.cut,
            "support": self.support,
            "slice": self.slice,
            "image_number": image_number(self.slice),
            "instance_number": self.instance_number,
            "frame_number": self.frame_number,
            "ras": self.ras,
            "warnings": list(self.warnings),
            "history_turns": self.history_turns,
            "choices": [{"choice": text, "probability": p} for text, p in self.choices],
            "reasoning": self.reasoning,
            "region": self.region,
            "labels": None if self.labels is None else list(self.labels),
            "slices": shown_slices(self.slices),
        }


@dataclass(frozen=True)
class FindingProbability:
    """A row of the screen: the probability of one finding, or its rank among the others.

    Attributes
    ----------
    name : str
    probability : float or None
        That the model answers "Yes" and not "No", or a calibrated score. None where the model's
        scores are no probabilities; `rank` and `margin` are then given.
    assessable : bool
        False where the model was measured not to detect the finding reliably; its probability is
        then to be disregarded.
    baseline : float or None
        The probability (or margin) without an image, the same for every scan.
    threshold : float or None
        From this probability on, the finding counts as present.
    rank : int or None
        Place among the findings of this scan by margin, from 1.
    margin : float or None
        How much closer the scan is to the finding than to its absence; no probability.
    """

    name: str
    probability: float | None
    assessable: bool = True
    baseline: float | None = None
    threshold: float | None = 0.5
    rank: int | None = None
    margin: float | None = None

    @property
    def score(self) -> float:
        """The probability, or the margin where there is none: what scans can be compared by."""
        return self.probability if self.probability is not None else self.margin or 0.0

    @property
    def reaches_threshold(self) -> bool:
        """Whether the probability reaches the threshold, assessable or not."""
        if self.probability is None or self.threshold is None:
            return False
        return self.probability >= self.threshold

    @property
    def positive(self) -> bool:
        """Whether the finding is assessable and its probability reaches the threshold."""
        return self.assessable and self.reaches_threshold

    def to_json(self) -> dict[str, Any]:
        """Return the row as plain values; `rank` and `margin` only where there is one."""
        row = asdict(self)
        if self.margin is None:
            del row["rank"], row["margin"]
        return row
