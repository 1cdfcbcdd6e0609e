"""Notes on a scan that several families share. Importing it brings no torch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from napari_ct_assistant.volume import CTVolume, ModelGrid

# How the warning about a scan outside the model's training distribution begins.
OUTSIDE: Final = "This scan is outside the model's training distribution"

_AXES: Final = ("head to feet", "front to back", "right to left")


def outside_note(warnings: Iterable[str]) -> str:
    """Return the warning that the scan is outside the training distribution, "" without one."""
    return next((text for text in warnings if text.startswith(OUTSIDE)), "")


def cut_note(volume: CTVolume, grid: ModelGrid) -> str:
    """Return how much of a scan lies outside a model's input box, "" if nothing does.

    The axes of the box run along the volume's.
    """
    box = [n * s for n, s in zip(grid.shape, grid.spacing, strict=True)]
    scan = [n * s for n, s in zip(volume.shape, volume.spacing, strict=True)]
    cut = [
        f"{b:.0f} of {s:.0f} mm {axis}"
        for axis, s, b in zip(_AXES, scan, box, strict=True)
        if s > b + 1
    ]
    return f"The model sees only the middle of this scan: {', '.join(cut)}." if cut else ""
