"""Which of the 18 findings a text mentions, and whether it affirms or denies them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from napari_ct_assistant.report_text.finding_terms import (
    FINDING_TERMS,
    FINDINGS_OF_THE_LUNG,
    LUNG,
    OTHER_ORGANS,
    QUESTION_TERMS,
)
from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.report_text.negation import Mention, Status, clause_of, find_mentions
from napari_ct_assistant.report_text.sections import BACKGROUND, split_sections
from napari_ct_assistant.report_text.sentences import split_sentences

_STRENGTH: tuple[Status, ...] = ("affirmed", "denied", "uncertain", "historical")
_BOTH = re.compile(r"\b(?:both|bilateral\w*)\b", re.IGNORECASE)
_LEFT = re.compile(r"\bleft\b", re.IGNORECASE)
_RIGHT = re.compile(r"\bright\b", re.IGNORECASE)
_AND = re.compile(r"\s*(?:,|/|and|or|and/or)\s*(?:the\s+)?", re.IGNORECASE)


@dataclass(frozen=True)
class FindingMention(Mention):
    """A mention of one of the 18 findings in a sentence."""

    finding: str


def finding_mentions(sentence: str) -> list[FindingMention]:
    """Return the mentions of the 18 findings in a sentence, in the order of their places."""
    found = [
        FindingMention(m.start, m.end, m.status, name)
        for name, term in FINDING_TERMS.items()
        for m in find_mentions(sentence, term)
        if name not in FINDINGS_OF_THE_LUNG or not _in_other_organ(sentence, m)
    ]
    return sorted((_material_stays(m) for m in found), key=lambda m: m.start)


def finding_statuses(report: str) -> dict[str, Status]:
    """Return the status of each finding that a report mentions, in CT-RATE's order.

    Of several mentions of a finding the strongest counts: affirmed over denied ("no nodule in
    the right lung. Nodule in the left") over uncertain over historical. Clinical information,
    technique and comparison are left out.
    """
    found: dict[str, Status] = {}
    for mention in _mentions(report):
        weaker = found.setdefault(mention.finding, mention.status)
        found[mention.finding] = min(weaker, mention.status, key=_STRENGTH.index)
    return {name: found[name] for name in FINDINGS if name in found}


def findings_in(report: str) -> dict[str, bool]:
    """Return which of the 18 findings a report affirms (True) or denies (False).

    Findings that are not mentioned, only suspected or past are left out.
    """
    statuses = finding_statuses(report).items()
    decided = ("affirmed", "denied")
    return {name: status == "affirmed" for name, status in statuses if status in decided}


def affirmed_findings(text: str) -> list[str]:
    """Return the findings that a text affirms, in the order of the text."""
    return list(dict.fromkeys(m.finding for m in _mentions(text) if m.status == "affirmed"))


def named_findings(text: str) -> list[str]:
    """Return the findings that a text is about, affirmed or not, in CT-RATE's order.

    Meant for questions and answers: words count here that are too vague to label a report by
    ("lung lesion" for a nodule, "effusion" for both kinds).
    """
    named: set[str] = set()
    for sentence in split_sentences(text):
        mentions = finding_mentions(sentence)
        named |= {m.finding for m in mentions}
        # The "effusion" in "pleural effusion" does not also stand for a pericardial one.
        rest = "".join(
            " " if any(m.start <= i < m.end for m in mentions) else letter
            for i, letter in enumerate(sentence)
        )
        if LUNG.search(rest) or not OTHER_ORGANS.search(rest):
            named |= {name for name, term in QUESTION_TERMS.items() if term.search(rest)}
    return [name for name in FINDINGS if name in named]


def side_of(sentence: str) -> str | None:
    """Return the side that a sentence names: "left", "right" or "both"; None for none."""
    left, right = _LEFT.search(sentence), _RIGHT.search(sentence)
    if _BOTH.search(sentence) or (left and right):
        return "both"
    return "left" if left else "right" if right else None


def _mentions(text: str) -> Iterator[FindingMention]:
    for name, section in split_sections(text).items():
        if name not in BACKGROUND:
            for sentence in split_sentences(section):
                yield from finding_mentions(sentence)


def _in_other_organ(sentence: str, mention: Mention) -> bool:
    """Say whether a nodule, an opacity or a scar belongs to an organ other than the lungs.

    The organ named closest to it decides, within its clause or else within its sentence. A list
    that begins with the lungs ("pulmonary and hepatic nodules") counts for the lungs.
    """
    first, last = clause_of(sentence, mention.start, mention.end)
    if not any(p.search(sentence, first, last) for p in (OTHER_ORGANS, LUNG)):
        first, last = 0, len(sentence)
    others = list(OTHER_ORGANS.finditer(sentence, first, last))
    lungs = list(LUNG.finditer(sentence, first, last))
    if not others or not lungs:
        return bool(others)

    def gap(organ: re.Match[str]) -> int:
        return max(organ.start() - mention.end, mention.start - organ.end(), 0)

    other, lung = min(others, key=gap), min(lungs, key=gap)
    listed = _AND.fullmatch(sentence[lung.end() : other.start()]) is not None
    return gap(other) < gap(lung) and not listed


def _material_stays(mention: FindingMention) -> FindingMention:
    """Return a mention as affirmed if it is of material left by a past intervention."""
    if mention.finding != "Medical material" or mention.status != "historical":
        return mention
    return FindingMention(mention.start, mention.end, "affirmed", mention.finding)
