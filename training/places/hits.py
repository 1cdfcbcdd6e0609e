"""Whether the best places of a finding are right, on scans that nothing was fitted to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.training.places.cells import (
    Source,
    feature_map,
    in_body,
    layer_of,
    presence,
)
from napari_ct_assistant.training.places.features import PlaceFeatures
from napari_ct_assistant.training.places.fitting import Fit


@dataclass(frozen=True)
class Hits:
    """Of one finding.

    Attributes
    ----------
    scans : int
        With the finding.
    first, third : int
        In how many the best cell, or one of the best three, holds a part of it.
    chance : float
        The share of the body's cells that hold a part of it.
    """

    scans: int
    first: int
    third: int
    chance: float


def count_hits(files: Sequence[Path], source: Source, fitted: Fit) -> dict[str, Hits]:
    """Return the hits of each finding."""
    layer = layer_of(source)
    rows: dict[str, list[tuple[bool, bool, float]]] = {name: [] for name in FINDINGS}
    for file in files:
        scan = PlaceFeatures.load(file)
        inside = in_body(scan, layer)
        there = presence(scan, layer)[:, inside] != 0
        scores = fitted.scores(feature_map(scan, source)[inside])
        for number, name in enumerate(FINDINGS):
            part = there[number]
            if part.any():
                best = part[np.argsort(-scores[:, number])[:3]]
                rows[name].append((bool(best[0]), bool(best.any()), float(part.mean())))
    return {
        name: Hits(
            len(found),
            sum(one[0] for one in found),
            sum(one[1] for one in found),
            float(np.mean([one[2] for one in found])) if found else 0.0,
        )
        for name, found in rows.items()
    }
