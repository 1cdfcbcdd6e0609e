"""Patch-level concepts, the channels of patch labels: findings, their details, and places."""

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
        The words of a report for it.
    of : str, optional
        For a degree or kind, its finding; the concept's patches are among those of the finding.
    """

    name: str
    of: str | None = None


FINDING_CONCEPTS = tuple(Concept(name) for name in FINDINGS)


def owners_of(concepts: Sequence[Concept]) -> list[int]:
    """Return for each concept the index of the finding that it is a detail of, or its own index."""
    names = [concept.name for concept in concepts]
    return [names.index(concept.of or concept.name) for concept in concepts]


def detail_words(concepts: Sequence[Concept]) -> frozenset[str]:
    """Return the words of concepts that occur in no finding's name: degrees, kinds, places."""
    findings = {word for c in FINDING_CONCEPTS for word in c.name.lower().split()}
    return frozenset(word for c in concepts for word in c.name.lower().split()) - findings
