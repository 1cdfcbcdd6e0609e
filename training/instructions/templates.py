"""Questions from a report by rules alone: offline, the same every time, nothing invented."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping

import numpy as np

from napari_ct_assistant.report_text.finding_terms import REGIONS
from napari_ct_assistant.report_text.negation import split_sentences
from napari_ct_assistant.report_text.statements import (
    by_region,
    finding_mentions,
    findings_in,
    side_of,
)
from napari_ct_assistant.training.data.datasets.record import (
    KIND_NAMES,
    WHOLE,
    Question,
    ScanRecord,
)

# E3D-GPT's, for the 18 findings.
SIGNS = "Does this image show signs of {finding}?"
SIDED = (
    "Atelectasis",
    "Bronchiectasis",
    "Consolidation",
    "Emphysema",
    "Lung nodule",
    "Lung opacity",
    "Pleural effusion",
    "Pulmonary fibrotic sequela",
)


def from_report(record: ScanRecord, kinds: Collection[str] = KIND_NAMES) -> list[Question]:
    """Return what can be asked about a scan from its report and labels.

    yes_no: each of the 18 findings that a label or the report decides, labels first. free: the
    findings of a region, the impression. short: the side of a finding. multiple_choice: which
    of four findings there is, the other three being absent for certain.
    """
    text = "\n".join(record.reports.values())
    known = {**findings_in(text), **{name: bool(value) for name, value in record.labels.items()}}
    made = {
        "yes_no": _signs(known),
        "free": _free(record.reports),
        "short": _sides(text, known),
        "multiple_choice": _which(known, text),
    }
    return [question for kind in KIND_NAMES if kind in kinds for question in made[kind]]


def _signs(known: Mapping[str, bool]) -> list[Question]:
    return [
        Question(SIGNS.format(finding=name.lower()), "Yes." if there else "No.", "yes_no", name)
        for name, there in known.items()
    ]


def _free(reports: Mapping[str, str]) -> list[Question]:
    whole = reports.get(WHOLE, "")
    findings, found, impression = whole.partition("Impression:")
    told = {name: reports[name] for name in REGIONS if name in reports}
    told = told or by_region(findings.removeprefix("Findings:"))
    asked = [
        Question(f"What are the findings in the {region}?", text, "free")
        for region, text in told.items()
    ]
    if found and impression.strip():
        asked.append(Question("What is the impression?", impression.strip(), "free"))
    return asked


def _sides(text: str, known: Mapping[str, bool]) -> list[Question]:
    """Ask for a side only where every sentence that affirms a finding agrees on it."""
    said: dict[str, set[str | None]] = {}
    # The impression repeats findings without their side.
    for sentence in split_sentences(text.partition("Impression:")[0] or text):
        for name, statuses in finding_mentions(sentence).items():
            # Two findings in a sentence: whose side it is, is not certain.
            if statuses == {"affirmed"} and len(finding_mentions(sentence)) == 1:
                said.setdefault(name, set()).add(side_of(sentence))
            else:
                said.setdefault(name, set()).add(None)
    asked = []
    for name in SIDED:
        sides = said.get(name, set())
        if known.get(name) and len(sides) == 1 and (side := next(iter(sides))):
            answer = "Both sides." if side == "both" else f"{side.capitalize()}."
            question = f"On which side is the {name.lower()}?"
            asked.append(Question(question, answer, "short", name))
    return asked


def _which(known: Mapping[str, bool], text: str) -> list[Question]:
    there = [name for name, value in known.items() if value]
    absent = [name for name, value in known.items() if not value]
    if not there or len(absent) < 3:
        return []
    # Drawn from the report itself: the same choices on every run.
    seed = int.from_bytes(hashlib.sha256(re.sub(r"\s+", " ", text).encode()).digest()[:8], "big")
    rng = np.random.default_rng(seed)
    right = there[int(rng.integers(len(there)))]
    choices = [right, *(absent[i] for i in rng.permutation(len(absent))[:3])]
    shown = tuple(choices[i].lower() for i in rng.permutation(4))
    question = "Which of these findings does this image show?"
    return [Question(question, right.lower(), "multiple_choice", right, shown)]
