"""What stage `ground` can teach patch by patch: findings, how they are, and where one is."""

from __future__ import annotations

from dataclasses import dataclass

from napari_ct_assistant.findings import FINDINGS


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
