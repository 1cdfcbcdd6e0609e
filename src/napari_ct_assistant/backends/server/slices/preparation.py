"""A scan as a slice model on a server gets it: the slices, where they lie, what is not seen."""

from __future__ import annotations

from typing import Final

import numpy as np

from napari_ct_assistant.backends.protocol import PreparedScan, View
from napari_ct_assistant.backends.slices import SlicePreset, slice_input
from napari_ct_assistant.volume import CTVolume, ModelGrid
from napari_ct_assistant.volume.body_region import body_region

NO_MILLIMETRES: Final = (
    "This model looks at single slices and sees no millimetres: trust no size that it states."
)


def prepare(volume: CTVolume, preset: SlicePreset, view: View) -> PreparedScan:
    """Choose the slices of a scan; its `pixel_values` are a `SliceInput`.

    Raises
    ------
    ValueError
        If the preset has no such region, or the view asks for a place within the slices.
    """
    if view.region and view.region not in preset.regions:
        raise ValueError(
            f"{preset.name}: region is {view.region!r}; give one of {', '.join(preset.regions)}"
        )
    if view.centre is not None:
        raise ValueError(f"{preset.name}: shows whole slices; leave out the crop")
    shown = slice_input(volume, preset)
    region, reason = view.region, ""
    if not region:
        found, why = body_region(volume)
        region = found if found in preset.regions else preset.regions[0]
        reason = why if found == region else ""
    first, last = min(shown.indices), max(shown.indices)
    move = np.eye(4)
    move[0, 3] = first
    _, rows, columns = volume.shape
    grid = ModelGrid((last - first + 1, rows, columns), (1, rows, columns), volume.affine @ move)
    numbers = sorted(set(shown.image_numbers))
    total = volume.shape[0]
    which = (
        f"all {total} slices"
        if len(numbers) == total
        else f"{len(numbers)} of {total} slices, images {numbers[0]} to {numbers[-1]}"
    )
    return PreparedScan(
        volume,
        shown,
        grid,
        region=region,
        default_region=reason,
        notes=(f"It looked at {which}. {NO_MILLIMETRES}",),
        details={"preset": preset.name},
    )
