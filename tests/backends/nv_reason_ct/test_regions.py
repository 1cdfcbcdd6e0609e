"""Which region is read where nobody chose one, and what the reader is told about it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_ct_assistant import CTVolume
from napari_ct_assistant.backends.nv_reason_ct.input.lungs import find_lungs
from napari_ct_assistant.backends.nv_reason_ct.input.preparation import (
    GridScan,
    crop_start,
    on_grid,
)
from napari_ct_assistant.backends.nv_reason_ct.input.region_choice import (
    chosen_region,
    region_notes,
)

SIZE = (64, 64, 64)


def patient(low: int, high: int, slices: int = 150) -> CTVolume:
    """Return a body of 2 mm voxels with lungs from slice `low` to `high`, counted from the feet."""
    hu = np.full((slices, 80, 80), -1000, np.int16)
    hu[:, 6:-6, 6:-6] = 30
    if high > low:
        hu[slices - 1 - high : slices - low, 20:60, 12:36] = -850
        hu[slices - 1 - high : slices - low, 20:60, 44:68] = -850
    affine = np.array([[0, 0, -2.0, 80], [0, -2.0, 0, 80], [-2.0, 0, 0, 0], [0, 0, 0, 1]])
    return CTVolume(hu, affine)


def grid(volume: CTVolume) -> GridScan:
    return on_grid(volume, (2.0, 2.0, 2.0), SIZE)


def test_lungs_are_found_where_they_are() -> None:
    bounds = find_lungs(grid(patient(40, 139)).hu)
    assert bounds.span == (40, 139)
    assert bounds.body_z_min == 0


@pytest.mark.parametrize(
    ("changes", "lungs", "region", "why"),
    [
        ({}, (40, 139), "chest", "lungs were found"),
        ({}, (100, 149), "abdomen", "only a part of the lungs"),
        ({}, (0, 0), "chest", "no lungs were found"),
        ({"body_part": "ABDOMEN"}, (40, 139), "abdomen", "by the body part"),
        ({"body_part": "CHEST"}, (0, 0), "chest", "by the body part"),
        ({"series": "Abdomen portal venous"}, (40, 139), "abdomen", "by the series description"),
        ({"series": "Thorax/Abdomen"}, (40, 139), "chest", "lungs were found"),
        ({"body_part": "HEAD"}, (0, 0), "chest", "no lungs were found"),
    ],
)
def test_header_then_description_then_lungs_decide(
    changes: dict[str, str], lungs: tuple[int, int], region: str, why: str
) -> None:
    volume = replace(patient(*lungs), **changes)
    found, reason = chosen_region(volume, grid(volume).lungs)
    assert found == region
    assert why in reason


def test_the_crops_of_the_regions() -> None:
    scan = grid(patient(60, 139))
    assert crop_start(scan, SIZE, "chest") == ((8, 8, 68), False)  # about slice 99.5
    # From 50 slices above the lower end of the lungs down to the feet: about slice 55.
    assert crop_start(scan, SIZE, "abdomen") == ((8, 8, 23), False)
    assert crop_start(scan, SIZE, "none") == ((8, 8, 43), False)
    missed = grid(patient(0, 0))
    for region in ("chest", "abdomen"):
        assert crop_start(missed, SIZE, region) == ((8, 8, 86), True)


def test_what_is_not_seen_is_said() -> None:
    scan = grid(patient(0, 0))
    start, missed = crop_start(scan, SIZE, "chest")
    notes = region_notes(scan, start, SIZE, "chest", "", missed=missed)
    assert notes[0] == (
        "The model sees only a part of this scan: 128 of 160 mm right to left, 128 of 160 mm "
        "front to back, 128 of 300 mm head to feet (0 mm above, 172 mm below are not seen)."
    )
    assert "No lungs were found" in notes[1]
    assert "chest and abdomen only" in notes[1]
