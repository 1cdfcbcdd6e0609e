"""One scan of a data set with all that is known about it, whatever layout it came from."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

WHOLE = "report"  # a report that is not told by region

Kind = Literal["yes_no", "free", "short", "multiple_choice"]
KIND_NAMES: tuple[Kind, ...] = ("yes_no", "free", "short", "multiple_choice")


@dataclass(frozen=True)
class Question:
    """A question about a scan with its true answer.

    For multiple_choice, `question` is the stem, `choices` what can be chosen and `answer` the
    text of the right one.
    """

    question: str
    answer: str
    kind: Kind
    finding: str | None = None
    choices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.kind == "multiple_choice") != bool(self.choices):
            raise ValueError(f"{self.kind} with {len(self.choices)} choices: {self.question!r}")
        if self.choices and self.answer not in self.choices:
            raise ValueError(f"the answer {self.answer!r} is none of the choices {self.choices}")

    @property
    def letter(self) -> str:
        """A, B, C ... of the right choice; "" where there are none."""
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
    """How a file stores its voxels where that is not for its header to say.

    values: "hu" (the header is right), "raw" (stored numbers become HU by slope and intercept,
    and `spacing` x, y, z mm is true; axes run L, P, S) or "unit" (an array from 0 to 1, no mm).
    """

    values: Literal["hu", "raw", "unit"] = "hu"
    slope: float = 1.0
    intercept: float = 0.0
    spacing: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class ScanMasks:
    """Where the masks of one scan lie and what of them is which concept.

    path: a NIfTI file, or a folder of one file a structure; parts: for each concept, in order,
    the labels, file names or (kind "channels") channels that make it, and its least share of
    a patch; grid, missing: as in the recipe.
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
        Which data set, and the scan's own name in it; both tell it from every other.
    image
        The file or DICOM folder.
    patient
        `patient_hash` of whose scan it is.
    split
        The data set's own, "" where it has none.
    reports
        {"report": text}, or {"chest": text, "abdomen": ...} where told by region.
    labels
        {finding: 0 or 1} of the 18 findings.
    questions
        What can be asked.
    stored
        How voxels become HU.
    masks
        What lies where in it, for stage `ground`.
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


def patient_hash(dataset: str, patient: str) -> str:
    """Return 16 hex digits for a patient; no name or number of theirs is kept."""
    return hashlib.sha256(f"{dataset}\0{patient}".encode()).hexdigest()[:16]


def one_line(text: str | None) -> str:
    """Return a text with single spaces; "" for what marks an absent one."""
    text = " ".join((text or "").split())
    return "" if re.fullmatch(r"(?i)not given\.?|nan|none|n/a|-", text) else text
