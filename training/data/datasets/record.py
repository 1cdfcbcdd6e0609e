"""One scan of a data set with its report, labels, questions and masks, for every layout."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

WHOLE = "report"  # the key of a report that is not divided by region

Kind = Literal["yes_no", "free", "short", "multiple_choice"]
KIND_NAMES: tuple[Kind, ...] = ("yes_no", "free", "short", "multiple_choice")


@dataclass(frozen=True)
class Question:
    """A question about a scan with its true answer.

    For multiple_choice, `question` is the stem, `choices` are the answers to choose from, and
    `answer` is the text of the right one.
    """

    question: str
    answer: str
    kind: Kind
    finding: str | None = None
    choices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.kind == "multiple_choice") != bool(self.choices):
            raise ValueError(f"{self.kind} with {len(self.choices)} choices: {self.question!r}")
        if not all(self.choices):
            raise ValueError(f"an empty choice: {self.question!r}")
        if self.choices and self.answer not in self.choices:
            raise ValueError(f"the answer {self.answer!r} is none of the choices {self.choices}")

    @property
    def letter(self) -> str:
        """The letter A, B, C ... of the right choice; "" if there are no choices."""
        return "ABCDEFGH"[self.choices.index(self.answer)] if self.choices else ""

    @property
    def as_asked(self) -> str:
        """The question with its choices, as M3D writes them: "... Choices: A. yes B. no"."""
        if not self.choices:
            return self.question
        listed = " ".join(
            f"{letter}. {text}" for letter, text in zip("ABCDEFGH", self.choices, strict=False)
        )
        return f"{self.question} Choices: {listed}"

    @property
    def as_answered(self) -> str:
        """The answer as M3D writes it: "A. yes" for a choice."""
        return f"{self.letter}. {self.answer}" if self.choices else self.answer


@dataclass(frozen=True)
class Stored:
    """How a file stores its voxels, for files whose header does not say so.

    values: "hu" (the header is valid), "raw" (slope and intercept turn stored numbers into HU,
    `spacing` is x, y, z in mm, the axes run L, P, S) or "unit" (an array from 0 to 1, without mm).
    """

    values: Literal["hu", "raw", "unit"] = "hu"
    slope: float = 1.0
    intercept: float = 0.0
    spacing: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class ScanMasks:
    """The masks of one scan, and which of them make up which concept.

    path: a NIfTI file, or a folder with one file per structure; parts: for each concept, in order,
    its labels, file names or (kind "channels") channels, and the least share of a patch that
    labels it; grid, missing: as in the recipe.
    """

    path: Path
    kind: Literal["labels", "files", "channels"] = "labels"
    parts: tuple[tuple[str, tuple[int | str, ...], float], ...] = ()
    grid: Literal["own", "scan"] = "own"
    missing: Literal["error", "empty"] = "error"


@dataclass(frozen=True)
class ScanRecord:
    """One scan.

    Parameters
    ----------
    dataset, name
        The data set and the scan's name in it; together they are unique.
    image
        The file or DICOM folder.
    patient
        `patient_hash` of the patient.
    split
        The data set's own split, "" if it has none.
    reports
        {"report": text}, or {"chest": text, "abdomen": ...} for reports by region.
    labels
        {finding: 0 or 1}, for any of the 18 findings.
    questions
        Questions about it.
    stored
        How its voxels are stored.
    masks
        Its masks, for stage `ground`.
    label_questions
        Whether training also asks for each labelled finding.
    """

    dataset: str
    name: str
    image: Path
    patient: str
    split: str = ""
    reports: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, int] = field(default_factory=dict)
    questions: Sequence[Question] = ()
    stored: Stored = Stored()
    masks: ScanMasks | None = None
    label_questions: bool = False


def patient_hash(dataset: str, patient: str) -> str:
    """Return a hash, 16 hex digits, that stands for a patient; no name or number is kept."""
    return hashlib.sha256(f"{dataset}\0{patient}".encode()).hexdigest()[:16]


def single_spaced(text: str | None) -> str:
    """Return a text with single spaces; "" for an absent one.

    For questions, choices and answers, where "None" and "-" are answers.
    """
    return " ".join((text or "").split())


def one_line(text: str | None) -> str:
    """Return a report with single spaces; "" for words that stand for an absent report."""
    text = single_spaced(text)
    return "" if re.fullmatch(r"(?i)not given\.?|nan|none|n/a|-", text) else text
