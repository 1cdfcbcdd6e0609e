"""Rounding in the header is no anatomy; real unevenness is told in mm."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_ct_assistant.volume import CTReadError, open_ct
from tests.volume.samples import dataset, ramp, save


def write(folder: Path, texts: list[tuple[str, str, str]], **more: object) -> Path:
    for k, text in enumerate(texts):
        ds = dataset(ramp(k), number=k + 1, **more)
        ds.ImagePositionPatient = list(text)
        save(folder / f"{(7 * k) % 31:02d}", ds, ramp(k))
    return folder


def slices(count: int) -> np.ndarray:
    return np.stack([np.maximum(ramp(k).astype(int) - 1024, -1024) for k in range(count)])[::-1]


@pytest.mark.parametrize(
    ("step", "decimals"),
    [(1.25, 1), (0.625, 1), (0.5, 0), (0.7, 0), (2.5, 0), (1.5, 0), (3.75, 0), (0.3333, 1)],
)
@pytest.mark.parametrize("start", [0.0, -412.3])
def test_rounded_positions_give_the_untouched_slices(
    tmp_path: Path, step: float, decimals: int, start: float
) -> None:
    texts = [("0", "0", f"{start + step * k:.{decimals}f}") for k in range(24)]
    volume = open_ct(write(tmp_path, texts, SliceThickness=step))
    np.testing.assert_array_equal(volume.hu, slices(24))
    assert volume.spacing[0] == pytest.approx(step, abs=1e-6)
    # Each slice is within the rounding of where its header puts it.
    for k, text in enumerate(texts):
        z = volume.index_to_ras([23 - k, 0, 0])[2]
        assert abs(z - float(text[2])) <= 0.51 * 10.0**-decimals
    assert any("rounded in the header" in w for w in volume.warnings)


def test_rounding_needs_a_thickness_that_agrees(tmp_path: Path) -> None:
    """Two scans at whole millimetres look like slices of half a millimetre."""
    texts = [("0", "0", f"{k // 2}") for k in range(12)]
    with pytest.raises(CTReadError, match="different slices lie at one position"):
        open_ct(write(tmp_path, texts, SliceThickness=1))


@pytest.mark.parametrize("jitter", [0.05, 0.15])
def test_sideways_jitter_is_no_tilt(tmp_path: Path, jitter: float) -> None:
    rng = np.random.default_rng(2)
    moves = rng.uniform(-jitter, jitter, (24, 2))
    texts = [(f"{x:.3f}", f"{y:.3f}", f"{3 * k}") for k, (x, y) in enumerate(moves)]
    volume = open_ct(write(tmp_path, texts, spacing=(0.8, 0.7), SliceThickness=3))
    np.testing.assert_array_equal(volume.hu, slices(24))
    assert volume.warnings == ()
    np.testing.assert_allclose(volume.affine[:3, 0], [0, 0, -3], atol=1e-9)
    # The volume lies in the middle of its slices.
    assert np.abs(volume.index_to_ras([0, 0, 0])[:2]).max() < jitter


def test_rounded_oblique_positions_are_straight(tmp_path: Path) -> None:
    """Whole millimetres along a table that runs at 10 degrees."""
    angle = np.radians(10)
    normal = np.array([0, np.sin(angle), np.cos(angle)])
    down = np.array([0, np.cos(angle), -np.sin(angle)])
    texts = [tuple(f"{v:.0f}" for v in 5 * k * normal) for k in range(20)]
    volume = open_ct(write(tmp_path, texts, orientation=(1, 0, 0, *down), SliceThickness=5))
    np.testing.assert_array_equal(volume.hu, slices(20))
    assert volume.spacing[0] == pytest.approx(5, abs=0.05)


def test_real_unevenness_is_told_in_mm(tmp_path: Path) -> None:
    places = [*np.arange(0, 20, 2.5), *np.arange(20, 60, 5)]
    texts = [("0", "0", f"{z:.3f}") for z in places]
    volume = open_ct(write(tmp_path, texts, SliceThickness=2.5))
    assert any("gaps run from 2.50 mm to 5.00 mm" in w for w in volume.warnings)


@pytest.mark.parametrize("offset", [0.03, 0.7, 2.1])
def test_gaps_that_change_from_slice_to_slice_are_refused(tmp_path: Path, offset: float) -> None:
    places = sorted([*np.arange(0, 50, 5.0), *(np.arange(0, 50, 5.0) + offset)])
    texts = [("0", "0", f"{z:.3f}") for z in places]
    with pytest.raises(CTReadError, match="change from slice to slice"):
        open_ct(write(tmp_path, texts, SliceThickness=5))
