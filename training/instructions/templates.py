"""Questions from a report by rules: offline, reproducible, and nothing is made up."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping

import numpy as np

from napari_ct_assistant.report_text.finding_mentions import (
    finding_mentions,
    findings_in,
    side_of,
)
from napari_ct_assistant.report_text.questions import FINDING_QUESTION
from napari_ct_assistant.report_text.regions import REGIONS, split_regions
from napari_ct_assistant.report_text.sections import described, split_sections
from napari_ct_assistant.report_text.sentences import split_sentences
from napari_ct_assistant.training.data.datasets.record import (
    KIND_NAMES,
    WHOLE,
    Question,
    ScanRecord,
)

# Findings that have a side.
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
    """Return the questions that a scan's report and labels answer.

    Parameters
    ----------
    record : ScanRecord
    kinds
        yes_no: about each of the 18 findings that a label or the report decides; labels take
        precedence. free: the findings of a region, and the impression. short: the side of a
        finding. multiple_choice: which of four findings the scan shows; the other three are
        known to be absent.
    """
    text = "\n".join(record.reports.values())
    known = {**findings_in(text), **{name: bool(value) for name, value in record.labels.items()}}
    made = {
        "yes_no": _finding_questions(known),
        "free": _free_questions(record.reports),
        "short": _side_questions(text, known),
        "multiple_choice": _choice_questions(known, text),
    }
    return [question for kind in KIND_NAMES if kind in kinds for question in made[kind]]


def _finding_questions(known: Mapping[str, bool]) -> list[Question]:
    return [
        Question(
            FINDING_QUESTION.format(finding=name.lower()),
            "Yes." if there else "No.",
            "yes_no",
            name,
        )
        for name, there in known.items()
    ]


def _free_questions(reports: Mapping[str, str]) -> list[Question]:
    whole = reports.get(WHOLE, "")
    sections = split_sections(whole)
    by_region = {name: reports[name] for name in REGIONS if name in reports}
    by_region = by_region or split_regions(described(whole))
    asked = [
        Question(f"What are the findings in the {region}?", text, "free")
        for region, text in by_region.items()
    ]
    if impression := sections.get("Impression") or sections.get("Conclusion"):
        asked.append(Question("What is the impression?", impression, "free"))
    return asked


def _side_questions(text: str, known: Mapping[str, bool]) -> list[Question]:
    """Ask for a side only if all sentences that affirm the finding agree on it."""
    sides_of: dict[str, set[str | None]] = {}
    # Without the impression, which repeats findings without their side.
    for sentence in split_sentences(described(text) or text):
        mentions = finding_mentions(sentence)
        # A sentence with two findings does not say which of them its side belongs to.
        sure = len({m.finding for m in mentions}) == 1 and {m.status for m in mentions} == {
            "affirmed"
        }
        for mention in mentions:
            side = side_of(sentence) if sure else None
            sides_of.setdefault(mention.finding, set()).add(side)
    asked = []
    for name in SIDED:
        sides = sides_of.get(name, set())
        if known.get(name) and len(sides) == 1 and (side := next(iter(sides))):
            answer = "Both sides." if side == "both" else f"{side.capitalize()}."
            question = f"On which side is the {name.lower()}?"
            asked.append(Question(question, answer, "short", name))
    return asked


def _choice_questions(known: Mapping[str, bool], text: str) -> list[Question]:
    there = [name for name, value in known.items() if value]
    absent = [name for name, value in known.items() if not value]
    if not there or len(absent) < 3:
        return []
    # Seeded by the report, so that every run draws the same choices.
    seed = int.from_bytes(hashlib.sha256(re.sub(r"\s+", " ", text).encode()).digest()[:8], "big")
    rng = np.random.default_rng(seed)
    right = there[int(rng.integers(len(there)))]
    choices = [right, *(absent[i] for i in rng.permutation(len(absent))[:3])]
    shown = tuple(choices[i].lower() for i in rng.permutation(4))
    question = "Which of these findings does this image show?"
    return [Question(question, right.lower(), "multiple_choice", right, shown)]
