"""Sentences of a report, their hottest places, and the findings of the phantom they are about."""

from __future__ import annotations

from napari_ct_assistant.phantoms import parse_report
from napari_ct_assistant.phantoms.truth import BoxMm

PointMm = tuple[float, float, float]
NEARBY_MM = 24.0  # one patch of the demonstration model


def findings_named_present(sentence: str) -> frozenset[str]:
    """Return the findings that one sentence of a report names as present."""
    return parse_report(f"Findings: {sentence} Impression: ").present


def distance_mm(place: PointMm, box: BoxMm) -> float:
    """Return the distance of a place from a box along the axis where it is largest; 0 inside."""
    return max(0.0, *(max(a - x, x - b) for a, x, b in zip(box[0], place, box[1], strict=True)))
