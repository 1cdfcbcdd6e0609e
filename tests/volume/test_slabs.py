"""Slices and slabs across each axis."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ct_assistant.volume.slabs import Projection, project, slab_reach

HU = np.random.default_rng(0).integers(-1000, 3000, (9, 11, 13)).astype(np.int16)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_slice_is_the_slice(axis: int) -> None:
    np.testing.assert_array_equal(project(HU, axis, 4), HU.take(4, axis))
    np.testing.assert_array_equal(project(HU, axis, 4, 3, "none"), HU.take(4, axis))


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize(("how", "numpy"), [("max", np.max), ("min", np.min), ("mean", np.mean)])
def test_a_slab_is_projected(axis: int, how: Projection, numpy: object) -> None:
    block = HU.take(range(2, 7), axis)
    assert callable(numpy)
    np.testing.assert_allclose(project(HU, axis, 4, 2, how), numpy(block, axis=axis), rtol=1e-5)


def test_a_slab_ends_with_the_volume() -> None:
    np.testing.assert_array_equal(project(HU, 0, 1, 3, "max"), HU[:5].max(axis=0))
    np.testing.assert_array_equal(project(HU, 2, 12, 3, "min"), HU[:, :, 9:].min(axis=2))


@pytest.mark.parametrize(
    ("thickness", "spacing", "reach"),
    [(10, 1, 4), (10, 2.5, 2), (10, 5, 0), (15, 5, 1), (1, 5, 0), (30, 0.781, 19), (3, 1, 1)],
)
def test_reach_makes_the_odd_number_of_slices_nearest_to_the_thickness(
    thickness: float, spacing: float, reach: int
) -> None:
    assert slab_reach(thickness, spacing) == reach
    off = abs((2 * reach + 1) * spacing - thickness)
    others = [n for n in range(60) if n % 2]
    assert off == pytest.approx(min(abs(n * spacing - thickness) for n in others))
