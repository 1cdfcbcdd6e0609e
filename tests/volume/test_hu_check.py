"""Damaged scales are noticed on real scans; sound scans are not doubted."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from napari_ct_assistant.phantoms import make_phantom
from napari_ct_assistant.volume import open_ct
from napari_ct_assistant.volume.hu_check import HuCheck

Array = np.ndarray
SCANS = ("chest_lidc_0314", "abdomen_crlm_1004", "abdomen_ts/example_ct_dicom", "head_ge_tilted")


def check(hu: Array) -> list[str]:
    """Return the doubts about a volume as it is read, slice by slice."""
    found = HuCheck(len(hu))
    for k, plane in enumerate(hu):
        found.add(k, plane[None], (int(plane.min()), int(plane.max())))
    return found.warnings("slope 1")


def twice(hu: Array) -> Array:
    return np.maximum(hu.astype(int) - 1024, -1024).astype(np.int16)


def forgotten(hu: Array) -> Array:
    """Return HU without their intercept; padding stays below air."""
    return np.where(hu <= -1024, -1024, hu.astype(int) + 1024).astype(np.int16)


def in_some(damage: Callable[[Array], Array]) -> Callable[[Array], Array]:
    def change(hu: Array) -> Array:
        out = hu.copy()
        chosen = np.random.default_rng(1).choice(len(hu), max(1, len(hu) // 8), replace=False)
        out[chosen] = damage(hu[chosen])
        return out

    return change


def window(low: int, high: int) -> Callable[[Array], Array]:
    return lambda hu: np.clip(hu, low, high)


def sign_lost(hu: Array) -> Array:
    """Return what unsigned 16-bit reading makes of negative values."""
    return np.where(hu < 0, 32767, hu).astype(np.int16)


def sign_lost_in_12_bits(hu: Array) -> Array:
    return np.where(hu < 0, hu.astype(int) + 4096, hu).astype(np.int16)


def eight_bits(hu: Array) -> Array:
    return ((np.clip(hu.astype(int), -160, 240) + 160) * 255 // 400).astype(np.int16)


DAMAGES = {
    "rescale twice": (twice, "applied twice"),
    "rescale twice in some": (in_some(twice), "HU jump by about 1024"),
    "intercept forgotten": (forgotten, "intercept forgotten"),
    "intercept forgotten in some": (in_some(forgotten), "HU jump by about 1024"),
    "soft tissue window": (window(-160, 240), "cut off at -160 and 240 HU"),
    "lung window": (window(-1350, 150), "cut off at 150 HU"),
    "brain window": (window(0, 80), "values run from 0 to 80"),
    "top cut off": (window(-1000, 400), "cut off at 400 HU"),
    "bottom cut off": (window(-300, 3000), "cut off at -300 HU"),
    "sign lost": (sign_lost, "lost their sign"),
    "sign lost in 12 bits": (sign_lost_in_12_bits, r"lost their sign|sign lost"),
    "eight bits": (eight_bits, "windowed 8-bit image"),
}


@pytest.fixture(scope="module", params=SCANS)
def real(request: pytest.FixtureRequest, shared_data: Path) -> Array:
    return open_ct(shared_data / request.param).hu


@pytest.mark.parametrize("step", [1, 2, 4])
@pytest.mark.parametrize("damage", DAMAGES)
def test_each_damage_is_noticed(real: Array, damage: str, step: int) -> None:
    change, words = DAMAGES[damage]
    # At full matrix every fourth slice is enough, and the suite stays short.
    hu = real[:: 4 if len(real) > 100 else 1, ::step, ::step]
    doubts = check(change(hu))
    assert any(re.search(words, doubt) for doubt in doubts), doubts


@pytest.mark.parametrize("step", [1, 2, 4])
def test_sound_scans_are_not_doubted(real: Array, step: int) -> None:
    assert check(real[:, ::step, ::step]) == []
    # Nor a part of one, such as every third slice or the middle half.
    assert check(real[::3, ::step, ::step]) == []
    assert check(real[len(real) // 4 : -len(real) // 4, ::step, ::step]) == []


def test_no_scan_of_the_shared_data_is_doubted(shared_data: Path) -> None:
    for name in (*SCANS, "abdomen_ts/example_ct.nii.gz"):
        warnings = " ".join(open_ct(shared_data / name).warnings)
        assert "HU" not in warnings, name


def test_phantoms_are_not_doubted() -> None:
    for seed in range(3):
        assert check(make_phantom(seed, resolution="model").volume.hu) == []


def test_extended_values_are_kept() -> None:
    """Metal in an extended scale is no damage."""
    hu = np.random.default_rng(0).normal(40, 30, (20, 64, 64))
    hu[:, :20] = np.random.default_rng(1).normal(-990, 15, (20, 20, 64))
    hu[10, 30:34, 30:34] = 20000
    assert check(np.maximum(hu, -1024).astype(np.int16)) == []
