"""What stage `ground` can teach patch by patch: findings, how they are, and where one is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from napari_ct_assistant.report_text.findings import FINDINGS


@dataclass(frozen=True)
class Concept:
    """One channel of a store's patch labels.

    Parameters
    ----------
    name : str
        In words, as a report says it.
    of : str, optional
        The finding whose degree or kind this is: its patches are among those of that finding.
    """

    name: str
    of: str | None = None


FINDING_CONCEPTS = tuple(Concept(name) for name in FINDINGS)


def owners_of(concepts: Sequence[Concept]) -> list[int]:
    """Return for each concept the finding that it is a detail of, itself for all others."""
    names = [concept.name for concept in concepts]
    return [names.index(concept.of or concept.name) for concept in concepts]


def detail_words(concepts: Sequence[Concept]) -> frozenset[str]:
    """Return the words of concepts that are no words of a finding: degrees, kinds, places."""
    findings = {word for c in FINDING_CONCEPTS for word in c.name.lower().split()}
    return frozenset(word for c in concepts for word in c.name.lower().split()) - findings
