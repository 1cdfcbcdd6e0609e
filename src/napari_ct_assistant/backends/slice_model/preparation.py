"""A scan as a slice model sees it: the slices, where they lie, and what is to be known of them."""

from __future__ import annotations

from typing import Final

import numpy as np

from napari_ct_assistant.backends.protocol import PreparedScan, View
from napari_ct_assistant.backends.slices import SlicePreset, slice_input
from napari_ct_assistant.backends.slices.mentions import label_word
from napari_ct_assistant.volume import CTVolume, ModelGrid
from napari_ct_assistant.volume.body_region import body_region
from napari_ct_assistant.volume.geometry import AXES

NO_MILLIMETRES: Final = (
    "This model looks at single slices and sees no millimetres: trust no size that it states."
)
UNEVEN: Final = 1.05  # ratio of the pixel's sides from which on a slice looks distorted


def prepare(volume: CTVolume, preset: SlicePreset, view: View) -> PreparedScan:
    """Choose the slices of a scan and render them.

    Raises
    ------
    ValueError
        If the preset has no such region, or the range does not lie within the scan.
    """
    if view.region and view.region not in preset.regions:
        raise ValueError(
            f"{preset.name}: region is {view.region!r}; give one of {', '.join(preset.regions)}"
        )
    if view.centre is not None:
        raise ValueError(
            f"{preset.name}: slices are chosen by their range; leave out the crop's centre"
        )
    shown = slice_input(volume, preset, view.slices)
    region, reason = view.region, ""
    if not region:
        found, why = body_region(volume)
        region = found if found in preset.regions else preset.regions[0]
        reason = why if found == region else ""
    first, last = min(shown.indices), max(shown.indices)
    return PreparedScan(
        volume,
        shown.images(),
        _box(volume, first, last),
        region=region,
        default_region=reason,
        notes=(shown_note(volume, shown.indices), *_doubts(volume, preset, view, region)),
        slices=shown.indices,
        details={"preset": preset.name, "label": label_word(preset.label)},
    )


def shown_note(volume: CTVolume, indices: tuple[int, ...]) -> str:
    """Say which slices were looked at, by the numbers of the viewer, and what they do not tell."""
    total = volume.shape[0]
    numbers = sorted({index + 1 for index in indices})
    if len(numbers) == total:
        which = f"all {total} slices"
    else:
        steps = np.diff(numbers)
        gap = ""
        if len(steps) and steps.max() > 1:
            gap = f", {volume.spacing[0] * float(steps.mean()):.3g} mm apart on average"
        which = f"{len(numbers)} of {total} slices, images {numbers[0]} to {numbers[-1]}{gap}"
    return f"It looked at {which}. {NO_MILLIMETRES}"


def _doubts(volume: CTVolume, preset: SlicePreset, view: View, region: str) -> list[str]:
    found, why = ("", "") if view.region else body_region(volume)
    doubts = []
    if found and found not in (*preset.regions, "other"):
        doubts.append(
            f"The scan shows the {found} ({why}), and the preset {preset.name} is made for the "
            f"{' and the '.join(preset.regions)}; the model was told that it is the {region}."
        )
    _, rows, columns = volume.spacing
    if max(rows, columns) > UNEVEN * min(rows, columns):
        doubts.append(
            f"The pixels of its slices measure {columns:.3g} x {rows:.3g} mm: the model sees them "
            "distorted."
        )
    # "IPL" is a volume that comes from no file.
    if volume.orientation != AXES and volume.orientation[-1:] not in ("S", "I"):
        doubts.append(
            "The scan was not stored in axial slices; the model sees axial ones, cut through it."
        )
    return doubts


def _box(volume: CTVolume, first: int, last: int) -> ModelGrid:
    """Return the box from the first slice to the last; a cell of it is a slice."""
    move = np.eye(4)
    move[0, 3] = first
    _, rows, columns = volume.shape
    return ModelGrid((last - first + 1, rows, columns), (1, rows, columns), volume.affine @ move)
