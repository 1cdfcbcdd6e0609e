"""Evidence for impression sentences, inherited from the findings they summarise."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from napari_ct_assistant.assistant.reading.results import Sentence
from napari_ct_assistant.backends.heat_map import HeatMap
from napari_ct_assistant.report_text.sentences import sentence_spans

_WORD = re.compile(r"[a-z]{4,}")
_STEM = 5  # "artery" and "arteries" are the same word
LEAST_SHARED = 0.5


def impression_evidence(
    text: str, section: str, findings: Sequence[Sentence], heat: Sequence[HeatMap | None]
) -> list[tuple[Sentence, HeatMap | None]]:
    """Return the sentences of an impression, each with the evidence of its closest finding.

    The model writes an impression from the findings' text alone, without the scan. The evidence
    for one of its sentences is therefore that of the finding which it repeats.

    Parameters
    ----------
    text, section
        The impression, and the name of its section.
    findings, heat
        The sentences it summarises, and their heat maps.
    """
    found: list[tuple[Sentence, HeatMap | None]] = []
    for begin, end in sentence_spans(text):
        sentence = " ".join(text[begin:end].split())
        at = closest(sentence, [finding.text for finding in findings])
        if at is None:
            found.append((Sentence(sentence, section=section), None))
        else:
            of = findings[at]
            found.append((replace(of, text=sentence, section=section), heat[at]))
    return found


def closest(text: str, others: Sequence[str]) -> int | None:
    """Return which of several texts shares most of a text's words; None if none shares half."""
    words = _stems(text)
    if not words or not others:
        return None
    shared = [len(words & _stems(other)) / len(words) for other in others]
    best = max(range(len(others)), key=shared.__getitem__)
    return best if shared[best] >= LEAST_SHARED else None


def _stems(text: str) -> set[str]:
    return {word[:_STEM] for word in _WORD.findall(text.lower())}
