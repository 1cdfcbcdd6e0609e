"""Which region of the body to read, and what the reader is told about it."""

from __future__ import annotations

import re
from typing import Final

import numpy as np

from napari_ct_assistant.backends.nv_reason_ct.input.lungs import SPACING_MM, LungBounds
from napari_ct_assistant.backends.nv_reason_ct.input.preparation import (
    ABDOMEN,
    CHEST,
    NONE,
    GridScan,
    Triple,
)
from napari_ct_assistant.volume import CTVolume

_WORDS: Final = {
    CHEST: re.compile(r"chest|thora|lung|pulm|\bcta?pa\b|mediast", re.IGNORECASE),
    ABDOMEN: re.compile(r"abd|pelvi|liver|hepat|renal|kidney|pancrea", re.IGNORECASE),
}
# Lungs of less height that reach the upper end of the scan are those of an abdominal scan.
LEAST_LUNG_MM: Final = 150.0
_AXES: Final = ("right to left", "front to back", "head to feet")


def chosen_region(volume: CTVolume, lungs: LungBounds) -> tuple[str, str]:
    """Return the region to read where nobody chose one, and why, in a few words.

    The body part in the header or the description of the series decides if it names one of
    chest and abdomen, else the lungs.
    """
    for source, stated in (("body part", volume.body_part), ("series description", volume.series)):
        named = [region for region, words in _WORDS.items() if words.search(stated)]
        if len(named) == 1:
            return named[0], f"by the {source} of the scan"
    if not lungs.found:
        return CHEST, "no body part is named, and no lungs were found"
    low, high = lungs.span
    if (high - low + 1) * SPACING_MM < LEAST_LUNG_MM:
        return ABDOMEN, "only a part of the lungs was found"
    return CHEST, "lungs were found"


def region_notes(
    scan: GridScan, start: Triple, size: Triple, region: str, reason: str, *, missed: bool
) -> tuple[str, ...]:
    """Return what the reader should know about the part of a scan that is read.

    Parameters
    ----------
    scan : GridScan
    start, size : (x, y, z)
        Of the model's input on the grid.
    region : str
    reason : str
        Why the region was chosen; "" if the reader chose it.
    missed : bool
        Whether the lungs, which place the input, were not found.
    """
    notes = []
    if reason:
        part = "the middle of the scan" if region == NONE else f"a {_adjective(region)} CT"
        notes.append(f"Read as {part} ({reason}).")
    spacing = np.sqrt((scan.affine[:3, :3] ** 2).sum(axis=0))
    cut = []
    for axis, n, have, s, step in zip(_AXES, size, scan.scan_shape, start, spacing, strict=True):
        if have > n:
            whole = max(n, have)
            below, above = s, whole - n - s
            side = ""
            if axis == "head to feet":
                side = f" ({above * step:.0f} mm above, {below * step:.0f} mm below are not seen)"
            cut.append(f"{n * step:.0f} of {have * step:.0f} mm {axis}{side}")
    if cut:
        notes.append(f"The model sees only a part of this scan: {', '.join(cut)}.")
    if missed:
        notes.append(
            "No lungs were found, so the part that is read could not be placed by them and is the "
            "upper end of the scan. The model reads chest and abdomen only; if the scan shows "
            "something else, disregard its output, otherwise move the box."
        )
    return tuple(notes)


def _adjective(region: str) -> str:
    return {CHEST: "chest", ABDOMEN: "abdominal"}[region]
