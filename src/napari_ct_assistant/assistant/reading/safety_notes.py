"""What a reader should know about a scan and a model before trusting an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from napari_ct_assistant.report_text.finding_mentions import named_findings
from napari_ct_assistant.volume import CTVolume, ModelGrid

if TYPE_CHECKING:
    from napari_ct_assistant.assistant.models.loading import Assistant
    from napari_ct_assistant.assistant.reading.results import ModelInfo


def look_at(assistant: Assistant, volume: CTVolume, grid: ModelGrid, tokens: Tensor) -> list[str]:
    """Say what a reader should know about this scan and this model. tokens: [N, C]."""
    notes = []
    box = [n * s for n, s in zip(grid.shape, grid.spacing, strict=True)]
    scan = [n * s for n, s in zip(volume.shape, volume.spacing, strict=True)]
    cut = [
        f"{s:.0f} mm {axis} to {b:.0f} mm"
        for axis, s, b in zip(
            ("head to feet", "front to back", "right to left"), scan, box, strict=True
        )
        if s > b + 1
    ]
    if cut:
        notes.append(f"The model sees the middle of this scan only: {', '.join(cut)}.")
    if assistant.familiarity is not None:
        distance = assistant.familiarity.distance(tokens)
        if distance > 1:
            trained = assistant.info.trained_on or "its training scans"
            notes.append(
                f"This scan is unlike what the model was trained on ({trained}): "
                f"{distance:.1f} times the limit. Its statements may mean nothing here."
            )
    return notes


def unjudged(info: ModelInfo, *texts: str) -> tuple[str, ...]:
    """Say which of the findings in a question or an answer the model does not recognise.

    Any usual word for a finding counts (`report_text.finding_terms`), affirmed or denied.
    """
    named = {name for text in texts for name in named_findings(text)}
    return tuple(
        f"This model was measured not to recognise {name.lower()}: what it says about it is "
        f"no statement about the scan."
        for name in info.unreliable_findings
        if name in named
    )
