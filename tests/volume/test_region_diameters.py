"""Long axis, short axis and largest diameter of a region, against formulas and brute force."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import pdist

from napari_ct_assistant.volume import CTVolume, region_diameters

STEP = (2.5, 0.8, 0.8)


def straight(shape: tuple[int, int, int] = (40, 80, 80)) -> CTVolume:
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = *(-step for step in STEP), 1
    return CTVolume(np.zeros(shape, np.int16), affine)


def ellipsoid(
    volume: CTVolume, half_mm: tuple[float, float, float], turned: float
) -> NDArray[np.bool_]:
    """Return an ellipsoid in the middle, turned about the head-to-feet axis by degrees."""
    i, p, left = (
        (np.arange(n) - n // 2) * step for n, step in zip(volume.shape, volume.spacing, strict=True)
    )
    height, depth, width = np.meshgrid(i, p, left, indexing="ij")
    angle = np.radians(turned)
    along = depth * np.cos(angle) + width * np.sin(angle)
    across = width * np.cos(angle) - depth * np.sin(angle)
    inside = (height / half_mm[0]) ** 2 + (along / half_mm[1]) ** 2 + (across / half_mm[2]) ** 2
    return np.asarray(inside <= 1)


@pytest.mark.parametrize("turned", [0, 17, 30, 45, 90])
def test_the_axes_of_an_ellipsoid(turned: float) -> None:
    volume = straight()
    found = region_diameters(volume, ellipsoid(volume, (15, 12, 7), turned))
    # Within the size of a pixel, and of a slice in the third direction.
    assert found.long_mm == pytest.approx(24, abs=0.9)
    assert found.short_mm == pytest.approx(14, abs=0.9)
    assert found.max_mm == pytest.approx(30, abs=2.6)
    assert (found.first_slice, found.last_slice) == (14, 26)
    assert abs(found.slice - 20) <= 1


def test_one_voxel_is_as_large_as_its_sides() -> None:
    volume = straight()
    mask = np.zeros((1, 1, 1), bool)
    mask[:] = True
    found = region_diameters(volume, mask, (3, 4, 5))
    assert found.long_mm == pytest.approx(0.8)
    assert found.max_mm == pytest.approx(2.5)
    assert (found.slice, found.first_slice, found.last_slice) == (3, 3, 3)


@pytest.mark.parametrize("tilt", [0.0, 0.3])
def test_brute_force_over_all_points_of_the_surface_agrees(tilt: float) -> None:
    """With gantry tilt the axes are not perpendicular; lengths are those of the patient."""
    volume = straight((6, 9, 9))
    affine = volume.affine.copy()
    affine[1, 0] = tilt
    volume = CTVolume(volume.hu, affine)
    rng = np.random.default_rng(3)
    for _ in range(5):
        mask = rng.random(volume.shape) < 0.2
        points = [
            np.add(at, np.multiply(step, sign / 2))
            for at in np.argwhere(mask)
            for step, sign in product(np.eye(3), (-1, 1))
            if not mask[tuple(np.clip((at + step * sign).astype(int), 0, np.array(mask.shape) - 1))]
            or np.any(at + step * sign < 0)
            or np.any(at + step * sign >= mask.shape)
        ]
        ras = volume.index_to_ras(np.array(points))
        found = region_diameters(volume, mask)
        assert found.max_mm == pytest.approx(pdist(ras).max())
        flat = [
            pdist(ras[[p[0] == number for p in points]]).max()
            for number in np.flatnonzero(mask.any(axis=(1, 2)))
        ]
        assert found.long_mm == pytest.approx(max(flat))


def test_the_short_axis_is_a_chord_not_a_shadow() -> None:
    """A slanted bar casts a wide shadow along its long axis' normal; its chord is narrow."""
    volume = straight((1, 40, 40))
    mask = np.zeros(volume.shape, bool)
    # A right triangle: long axis is the hypotenuse, the chord through the right angle its height.
    for row in range(20):
        mask[0, 10 + row, 10 : 10 + row + 1] = True
    found = region_diameters(volume, mask)
    legs = 20 * 0.8
    assert found.long_mm == pytest.approx(legs * np.sqrt(2), abs=0.9)
    assert found.short_mm == pytest.approx(legs / np.sqrt(2), abs=0.9)


def test_an_empty_region_is_refused() -> None:
    with pytest.raises(ValueError, match="contains no voxel"):
        region_diameters(straight(), np.zeros((2, 2, 2), bool))
