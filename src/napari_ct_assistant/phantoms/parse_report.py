"""Reads a report back into findings: the grammar's inverse, tolerant of a model's slips."""

from __future__ import annotations

import re
from dataclasses import dataclass

from napari_ct_assistant.phantoms.grammar import KEYWORDS
from napari_ct_assistant.phantoms.truth import LOBES

SIZE_WORDS = ("medium-sized", "small", "moderate", "large", "mild", "severe")
_NEGATIVE = re.compile(r"^(no\b|there (is|are) no\b)|\bwithout\b")
_NORMAL = re.compile(r"\b(normal|clear|free|dry|open|unremarkable)\b")


@dataclass(frozen=True)
class ParsedReport:
    """What a report says.

    present: findings that the Findings section affirms (the Impression, if there is no such
    section); absent: those it denies; side, lobe, size: what is said of each present one
    (size is the size class); impression: findings affirmed in the Impression;
    contradictions: one line each.
    """

    present: frozenset[str]
    absent: frozenset[str]
    side: dict[str, str]
    lobe: dict[str, str]
    size: dict[str, str]
    impression: frozenset[str]
    contradictions: tuple[str, ...]


def split_sections(text: str) -> tuple[str, str]:
    """Findings and Impression text of a report; either may be empty."""
    m = re.search(r"impression\s*:", text, re.IGNORECASE)
    head, tail = (text[: m.start()], text[m.end() :]) if m else (text, "")
    return re.sub(r"^\s*findings\s*:", "", head, flags=re.IGNORECASE).strip(), tail.strip()


def sentences(text: str) -> list[str]:
    """Sentences of a section."""
    return [s.strip() for s in re.split(r"(?<=[.!?])\s+", text) if s.strip()]


def _findings_in(sentence: str) -> list[str]:
    found = []
    for name, words in KEYWORDS:
        if any(w in sentence for w in words):
            found.append(name)
            # What was read for one finding is not read again for another.
            for w in words:
                sentence = sentence.replace(w, " ")
    return found


def _side(sentence: str) -> str | None:
    if re.search(r"\b(both|bilateral)\b", sentence):
        return "both"
    left, right = re.search(r"\bleft\b", sentence), re.search(r"\bright\b", sentence)
    return "both" if left and right else "left" if left else "right" if right else None


def parse_report(text: str) -> ParsedReport:
    """Read a report by rules."""
    findings, impression = split_sections(text)
    said: list[set[str]] = [set(), set()]
    denied: list[set[str]] = [set(), set()]
    side: dict[str, str] = {}
    lobe: dict[str, str] = {}
    size: dict[str, str] = {}
    problems: list[str] = []
    for k, section in enumerate((findings, impression)):
        for raw in sentences(section):
            s = raw.lower()
            names = _findings_in(s)
            if _NEGATIVE.search(s):
                denied[k].update(names)
                continue
            if not names or (_NORMAL.search(s) and "attenuation" not in s):
                continue
            said[k].update(names)
            for name in names:
                for table, value in (
                    (side, _side(s)),
                    (lobe, next((x for x in LOBES if x in s), None)),
                    (size, next((w for w in SIZE_WORDS if re.search(rf"\b{w}\b", s)), None)),
                ):
                    if value is None:
                        continue
                    if table.setdefault(name, value) != value:
                        problems.append(f"{name}: {table[name]} and {value}")
    present = said[0] if findings else said[1]
    both = said[0] & denied[0] | said[1] & denied[1]
    problems += [f"{name}: affirmed and denied in one section" for name in sorted(both)]
    if findings and impression:
        problems += [f"{n}: in the impression only" for n in sorted(said[1] - said[0])]
        problems += [f"{n}: missing from the impression" for n in sorted(said[0] - said[1])]
    return ParsedReport(
        frozenset(present),
        frozenset(denied[0] | denied[1]),
        side,
        lobe,
        size,
        frozenset(said[1]),
        tuple(problems),
    )
