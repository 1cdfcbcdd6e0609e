"""Sentences that a model drew from sentences it had written: their evidence is that of those."""

from __future__ import annotations

import re
from collections.abc import Sequence

from napari_ct_assistant.assistant.evidence.heat_map import HeatMap
from napari_ct_assistant.assistant.reading.results import Sentence
from napari_ct_assistant.report_text.sentences import sentence_spans

_WORD = re.compile(r"[a-z]{4,}")
_STEM = 5  # "artery" and "arteries" are the same word
LEAST_SHARED = 0.5


def impression_evidence(
    text: str, section: str, sources: Sequence[Sentence], heat: Sequence[HeatMap | None]
) -> list[tuple[Sentence, HeatMap | None]]:
    """Cut a text into sentences, each with the evidence of the source that says most of it.

    An impression of written findings was not read off the scan. What in the scan speaks for one
    of its sentences is what speaks for the finding that it repeats.

    Parameters
    ----------
    text, section
        What was drawn, and the section that it makes.
    sources, heat
        The sentences it was drawn from, and their heat maps.
    """
    found: list[tuple[Sentence, HeatMap | None]] = []
    for begin, end in sentence_spans(text):
        said = " ".join(text[begin:end].split())
        at = closest(said, [source.text for source in sources])
        if at is None:
            found.append((Sentence(said, section=section), None))
        else:
            of = sources[at]
            one = Sentence(said, section=section, support=of.support, slice=of.slice, ras=of.ras)
            found.append((one, heat[at]))
    return found


def closest(text: str, others: Sequence[str]) -> int | None:
    """Return which of some texts has most of a text's words; None where none has half of them."""
    words = _stems(text)
    if not words or not others:
        return None
    shared = [len(words & _stems(other)) / len(words) for other in others]
    best = max(range(len(others)), key=shared.__getitem__)
    return best if shared[best] >= LEAST_SHARED else None


def _stems(text: str) -> set[str]:
    return {word[:_STEM] for word in _WORD.findall(text.lower())}
