"""HU, size and place of a region against numpy, scikit-image and geometry."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from skimage.draw import polygon2mask

from napari_ct_assistant.volume import CTVolume, open_ct, region_statistics
from napari_ct_assistant.volume.regions import patient_side, polygon_mask

SPACING = (5.0, 2.0, 2.5)


def scan(hu: np.ndarray, tilt: float = 0.0) -> CTVolume:
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2] = -SPACING[0], -SPACING[1], -SPACING[2]
    affine[1, 0] = tilt
    affine[:, 3] = (60.0, 35.0, 110.0, 1.0)
    return CTVolume(hu.astype(np.int16), affine)


def whole(mask: np.ndarray, offset: tuple[int, int], shape: tuple[int, int]) -> np.ndarray:
    picture = np.zeros(shape, bool)
    rows, columns = mask.shape
    picture[offset[0] : offset[0] + rows, offset[1] : offset[1] + columns] = mask
    return picture


def test_statistics_are_those_of_the_marked_voxels() -> None:
    hu = np.random.default_rng(0).integers(-1000, 1500, (8, 20, 24))
    volume = scan(hu)
    mask = np.random.default_rng(1).random(hu.shape) < 0.1
    found = region_statistics(volume, mask)
    values = hu[mask]
    assert (found.voxels, found.min_hu, found.max_hu) == (mask.sum(), values.min(), values.max())
    assert found.mean_hu == pytest.approx(values.mean())
    assert found.sd_hu == pytest.approx(values.std())
    assert found.volume_ml == pytest.approx(mask.sum() * 25 / 1000)
    assert found.area_mm2 is None
    assert found.size_text == f"volume {mask.sum() * 0.025:.3g} ml"


@pytest.mark.parametrize(("axis", "pixel"), [(0, 5.0), (1, 12.5), (2, 10.0)])
def test_area_is_that_of_the_plane_drawn_on(axis: int, pixel: float) -> None:
    hu = np.arange(8 * 20 * 24).reshape(8, 20, 24)
    mask = np.zeros(hu.shape, bool)
    box = [slice(2, 5), slice(4, 8), slice(6, 11)]
    box[axis] = slice(3, 4)
    mask[tuple(box)] = True
    found = region_statistics(scan(hu), mask)
    assert found.area_mm2 == pytest.approx(mask.sum() * pixel)
    assert found.size_text == f"area {mask.sum() * pixel:.0f} mm²"


def test_a_box_of_the_mask_is_the_same_region() -> None:
    hu = np.random.default_rng(2).integers(-1000, 1500, (8, 20, 24))
    mask = np.zeros(hu.shape, bool)
    mask[2:5, 6:9, 10:15] = np.random.default_rng(3).random((3, 3, 5)) < 0.6
    box = region_statistics(scan(hu), mask[1:6, 5:10, 9:16], (1, 5, 9))
    assert box == region_statistics(scan(hu), mask)


def test_the_place_lies_inside_a_ring() -> None:
    """The middle of a ring is a hole; a link has to lead to the ring itself."""
    p, left = np.meshgrid(np.arange(20) - 10, np.arange(24) - 12, indexing="ij")
    away = np.hypot(p, left)
    mask = np.zeros((8, 20, 24), bool)
    mask[3] = (away > 5) & (away < 8)
    volume = scan(np.zeros(mask.shape))
    found = region_statistics(volume, mask)
    index = np.round(volume.ras_to_index(found.ras)).astype(int)
    assert mask[tuple(index)]
    assert found.slice == 3


def test_a_leaning_voxel_has_the_volume_of_its_determinant() -> None:
    """Gantry tilt: the distance between slice centres is not their thickness."""
    mask = np.ones((2, 2, 2), bool)
    found = region_statistics(scan(np.zeros((4, 4, 4)), tilt=2.0), mask)
    assert found.volume_ml == pytest.approx(8 * 25 / 1000)


@pytest.mark.parametrize(
    ("mask", "offset", "words"),
    [
        (np.zeros((8, 20, 24), bool), (0, 0, 0), "no voxel"),
        (np.ones((2, 2, 2), bool), (7, 0, 0), "outside the scan"),
        (np.ones((2, 2, 2), bool), (-1, 0, 0), "outside the scan"),
        (np.ones((2, 2, 2), np.uint8), (0, 0, 0), "uint8"),
        (np.ones((2, 2), bool), (0, 0, 0), "axes"),
    ],
)
def test_masks_that_cannot_be_measured(
    mask: np.ndarray, offset: tuple[int, int, int], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        region_statistics(scan(np.zeros((8, 20, 24))), mask, offset)


corner = st.tuples(st.floats(-8, 48, width=32), st.floats(-8, 38, width=32))


@settings(deadline=None, max_examples=60)
@given(st.lists(corner, min_size=3, max_size=9))
def test_polygon_holds_what_scikit_image_says(corners: list[tuple[float, float]]) -> None:
    shape = (40, 30)
    x, y = np.array(corners).T
    # A polygon folded flat has no inside to agree on.
    assume(abs((x * np.roll(y, -1) - y * np.roll(x, -1)).sum()) > 1.0)
    mask, offset = polygon_mask(corners, shape)
    ours, theirs = whole(mask, offset, shape), polygon2mask(shape, corners)
    if not theirs.any():
        assert ours.sum() <= 1 or _near_edge(ours, corners)
        return
    if ours.sum() <= 1 and _near_edge(theirs, corners):
        return  # no centre inside: ours is the pixel under the middle
    # Centres on the very edge may be counted either way.
    assert _near_edge(ours ^ theirs, corners)


def _near_edge(differing: np.ndarray, corners: list[tuple[float, float]]) -> bool:
    points = np.asarray(corners, float)
    for at in np.argwhere(differing):
        ways = []
        for a, b in zip(points, np.roll(points, -1, axis=0), strict=True):
            length = ((b - a) ** 2).sum()
            part = np.clip(((at - a) @ (b - a)) / length, 0, 1) if length else 0.0
            ways.append(np.linalg.norm(at - a - part * (b - a)))
        if min(ways) > 1e-3:
            return False
    return True


def test_a_polygon_smaller_than_a_pixel_is_that_pixel() -> None:
    mask, offset = polygon_mask([(3.2, 4.2), (3.2, 4.4), (3.4, 4.4)], (10, 10))
    assert (mask.tolist(), offset) == ([[True]], (3, 4))
    outside, _ = polygon_mask([(-3.2, 4.2), (-3.2, 4.4), (-3.4, 4.4)], (10, 10))
    assert not outside.any()


def test_side_is_counted_from_the_middle_of_the_body() -> None:
    """The patient lies 30 mm off the scanner's middle, on a table."""
    hu = np.full((4, 60, 120), -1000)
    hu[:, 10:40, 50:110] = 40  # the body; its middle is column 80
    hu[:, 50:52, 5:115] = 200  # the table
    volume = scan(hu)
    assert [patient_side(volume, (1, 20, column)) for column in (60, 80, 100)] == [
        "right",
        "midline",
        "left",
    ]


def test_side_of_a_picture_cut_at_its_edge_is_counted_from_the_origin() -> None:
    volume = scan(np.full((4, 60, 48), 40))
    sides = [patient_side(volume, volume.ras_to_index((x, 0, 100))) for x in (30, 3, -30)]
    assert sides == ["right", "midline", "left"]


def test_the_spine_of_a_real_chest_is_its_midline(shared_data: Path) -> None:
    volume = open_ct(shared_data / "chest_lidc_0314")
    for slice_ in (100, 150, 200, 250):
        bone = np.argwhere(volume.hu[slice_, 300:420] > 350)
        column = float(np.median(bone[:, 1]))
        assert patient_side(volume, (slice_, 350, column)) == "midline"
        assert patient_side(volume, (slice_, 250, column - 80)) == "right"
        assert patient_side(volume, (slice_, 250, column + 80)) == "left"
