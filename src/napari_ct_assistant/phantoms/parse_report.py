"""Read a phantom's report back into its findings: the inverse of `grammar`.

It knows the grammar's own keywords, sizes and lobes, and reads what a model wrote in that
grammar even where it slips. Reports of real scans are read by `report_text.finding_mentions`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from napari_ct_assistant.phantoms.grammar import KEYWORDS
from napari_ct_assistant.phantoms.truth import LOBES
from napari_ct_assistant.report_text.finding_mentions import side_of
from napari_ct_assistant.report_text.negation import Status, status_of
from napari_ct_assistant.report_text.sections import split_sections
from napari_ct_assistant.report_text.sentences import split_sentences

SIZE_WORDS = ("medium-sized", "small", "moderate", "large", "mild", "severe")
_NORMAL = re.compile(r"\b(normal|clear|free|dry|open|unremarkable)\b")


@dataclass(frozen=True)
class ParsedReport:
    """What a report says.

    Attributes
    ----------
    present : frozenset of str
        Findings that the section Findings affirms, or the Impression where there is no other.
    absent : frozenset of str
        Findings that either section denies.
    side, lobe, size : dict
        Side, lobe and size class of each finding present, where the report gives them.
    impression : frozenset of str
        Findings that the Impression affirms.
    contradictions : tuple of str
        One line each.
    """

    present: frozenset[str]
    absent: frozenset[str]
    side: dict[str, str]
    lobe: dict[str, str]
    size: dict[str, str]
    impression: frozenset[str]
    contradictions: tuple[str, ...]


def _keywords_in(sentence: str) -> dict[str, list[Status]]:
    """Return, for a lower-case sentence, its findings by keyword and how each is meant."""
    found: dict[str, list[Status]] = {}
    rest = sentence
    for name, words in KEYWORDS:
        for word in words:
            at = [m.span() for m in re.finditer(re.escape(word), rest)]
            if at:
                found.setdefault(name, []).extend(status_of(sentence, *span) for span in at)
        # Words that count for one finding do not count again for the next.
        for word in words if name in found else ():
            rest = rest.replace(word, " " * len(word))
    return found


def parse_report(text: str) -> ParsedReport:
    """Read a report in the grammar of the phantoms, by rules."""
    sections = split_sections(text, "Findings")
    findings, impression = sections.get("Findings", ""), sections.get("Impression", "")
    said: list[set[str]] = [set(), set()]
    denied: list[set[str]] = [set(), set()]
    side: dict[str, str] = {}
    lobe: dict[str, str] = {}
    size: dict[str, str] = {}
    problems: list[str] = []
    for k, section in enumerate((findings, impression)):
        for sentence in split_sentences(section):
            s = sentence.lower()
            normal = _NORMAL.search(s) and "attenuation" not in s
            for name, statuses in _keywords_in(s).items():
                if "denied" in statuses:
                    denied[k].add(name)
                if normal or set(statuses) == {"denied"}:
                    continue
                said[k].add(name)
                for table, value in (
                    (side, side_of(s)),
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
