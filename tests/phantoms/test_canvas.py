"""The brushes that work on lists of voxels and on bands of noise, beside plain ways."""

from __future__ import annotations

import numpy as np

from napari_ct_assistant.phantoms.canvas import Canvas, Lattice, Pose, Stamp, _spline

SHAPE, SPACING = (20, 70, 90), (3.0, 1.5, 1.5)


def canvas() -> Canvas:
    return Canvas(SHAPE, SPACING, Pose())


def test_a_stamp_holds_each_voxel_once_with_its_larger_weight() -> None:
    here = canvas()
    points = np.array([(0.0, 0, 0), (1, 2, 1), (0, 30, -20)])
    radii = np.array([4.0, 3.0, 1.0])
    together = here.stamp_balls(points, radii)
    expected = np.zeros(SHAPE, np.float32)
    for point, radius in zip(points, radii, strict=True):
        alone = here.stamp_balls(point[None], radius[None])
        np.maximum.at(expected.reshape(-1), alone.index, alone.weight)
    assert len(np.unique(together.index)) == len(together.index) == np.count_nonzero(expected)
    assert np.array_equal(expected.reshape(-1)[together.index], together.weight)
    assert not here.weights.any()


def test_a_stamp_without_points_is_empty() -> None:
    stamp = canvas().stamp_balls(np.zeros((0, 3)), np.zeros(0))
    assert len(stamp.index) == len(stamp.weight) == 0


def test_a_box_is_added_to_a_stamp() -> None:
    index = np.array([0, 91, 2 * 70 * 90 + 5])
    stamp = Stamp(index, np.array([0.5, 0.25, 1], np.float32))
    box = (slice(0, 2), slice(1, 3), slice(0, 3))
    weight = np.full((2, 2, 3), 0.3, np.float32)
    weight[0, 0, 1] = 0.125
    expected = np.zeros(SHAPE, np.float32)
    expected.reshape(-1)[index] = stamp.weight
    expected[box] = np.maximum(expected[box], weight)
    both = stamp.with_box(SHAPE, box, weight)
    got = np.zeros(SHAPE, np.float32)
    got.reshape(-1)[both.index] = both.weight
    assert np.array_equal(got, expected)
    assert len(np.unique(both.index)) == len(both.index)


def test_noise_in_bands_is_that_of_whole_products() -> None:
    here, pitch = canvas(), 7.0
    box = (slice(2, 20), slice(0, 70), slice(5, 90))
    lattice = Lattice(here, np.random.default_rng(3), pitch, box)
    m = int(np.ceil(360 / pitch)) + 4
    nodes = np.random.default_rng(3).standard_normal((m, m, m), dtype=np.float32)
    a, b, c = (_spline(here.axes[k][box[k]], pitch, m).astype(float) for k in range(3))
    expected = np.einsum("ia,jb,kc,abc->ijk", a, b, c, nodes, optimize=True)
    assert len(lattice.columns) > 1
    assert np.allclose(lattice.slices(slice(None)), expected, atol=1e-5)
    parts = np.concatenate([lattice.slices(some) for some in lattice.blocks()])
    assert np.allclose(parts, expected, atol=1e-5)
