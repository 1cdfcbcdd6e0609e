"""Notes on a scan that several families share. Importing it brings no torch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from napari_ct_assistant.support.translation import N_, said, together
from napari_ct_assistant.volume import CTVolume, ModelGrid

# How the warning about a scan outside the model's training distribution begins.
OUTSIDE: Final = "This scan is outside the model's training distribution"

_AXES: Final = (N_("head to feet"), N_("front to back"), N_("right to left"))


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
        said("{seen} of {total} mm {axis}", seen=f"{b:.0f}", total=f"{s:.0f}", axis=axis)
        for axis, s, b in zip(_AXES, scan, box, strict=True)
        if s > b + 1
    ]
    if not cut:
        return ""
    extent = together(*cut, between=", ")
    return said("The model sees only the middle of this scan: {extent}.", extent=extent)
