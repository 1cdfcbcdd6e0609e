"""Which sentences of a report are about which body region, and which findings it tells.

By rules: a sentence belongs to every region whose organs it names; one that names none belongs
where the sentence before it does, or to the headline it stands under.
"""

from __future__ import annotations

import re

from napari_ct_assistant.report_text.finding_terms import (
    ELSEWHERE,
    FINDING_TERMS,
    LUNG,
    REGION_TERMS,
    REGIONS,
)
from napari_ct_assistant.report_text.negation import find_mentions, split_sentences

_HEADLINE = re.compile(r"^\s*([A-Za-z][A-Za-z /,&-]{2,60}):\s*")


def regions_of(sentence: str) -> list[str]:
    """Return the regions whose organs a sentence names."""
    return [name for name in REGIONS if REGION_TERMS[name].search(sentence)]


def by_region(report: str) -> dict[str, str]:
    """Return the sentences of a report for each region that it speaks of, in their order.

    A sentence about the lungs and the liver stands in both. Sentences before the first that
    names a region belong to the region of that first one.
    """
    told: dict[str, list[str]] = {name: [] for name in REGIONS}
    waiting: list[str] = []
    here: list[str] = []
    for sentence in split_sentences(report):
        headline = _HEADLINE.match(sentence)
        if headline is not None:
            here = regions_of(headline[1]) or here
            sentence = sentence[headline.end() :]
            if not sentence:
                continue
        here = regions_of(sentence) or here
        if not here:
            waiting.append(sentence)
            continue
        for name in here:
            told[name] += [*waiting, sentence]
        waiting = []
    return {name: " ".join(sentences) for name, sentences in told.items() if sentences}


def findings_in(report: str) -> dict[str, bool]:
    """Return which of the 18 findings a report affirms (True) or denies (False).

    What is not mentioned, or only suspected, is left out. Affirmed in one sentence and denied
    in another ("no nodule in the right lung. Nodule in the left") is affirmed.
    """
    said: dict[str, bool] = {}
    for sentence in split_sentences(report):
        for name, statuses in finding_mentions(sentence).items():
            if "affirmed" in statuses:
                said[name] = True
            elif "denied" in statuses:
                said.setdefault(name, False)
    return {name: said[name] for name in FINDING_TERMS if name in said}


def finding_mentions(sentence: str) -> dict[str, set[str]]:
    """Return for each finding that a sentence names how it is told: affirmed, denied, uncertain."""
    elsewhere = ELSEWHERE.search(sentence) and not LUNG.search(sentence)
    found = {}
    for name, term in FINDING_TERMS.items():
        if elsewhere and name in ("Lung nodule", "Lung opacity", "Pulmonary fibrotic sequela"):
            continue
        statuses = {str(mention.status) for mention in find_mentions(sentence, term)}
        if statuses:
            found[name] = statuses
    return found


def side_of(sentence: str) -> str | None:
    """Return left, right or both, as a sentence says; None where it says neither."""
    if re.search(r"\b(?:both|bilateral\w*)\b", sentence, re.IGNORECASE):
        return "both"
    left = re.search(r"\bleft\b", sentence, re.IGNORECASE)
    right = re.search(r"\bright\b", sentence, re.IGNORECASE)
    return "both" if left and right else "left" if left else "right" if right else None
