"""Which part of the body a scan shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_ct_assistant.volume import CTVolume, open_ct
from napari_ct_assistant.volume.body_region import body_region, lung_height_mm


def scan(lung_slices: int, slices: int = 60, series: str = "", body_part: str = "") -> CTVolume:
    """Return a body of water with two lungs in its first slices, 5 mm apart."""
    hu = np.full((slices, 64, 64), -1000, np.int16)
    hu[:, 8:-8, 4:-4] = 30
    hu[:lung_slices, 16:-16, 10:26] = hu[:lung_slices, 16:-16, 38:54] = -850
    # Bowel gas is not lung.
    hu[lung_slices:, 20:40, 20:40] = -1000
    affine = np.diag([0.0, 0.0, 0.0, 1.0])
    affine[2, 0], affine[1, 1], affine[0, 2] = -5.0, -5.0, -5.0
    return CTVolume(hu, affine, series, body_part=body_part)


@pytest.mark.parametrize(
    ("volume", "region"),
    [
        (scan(50), "chest"),
        (scan(14), "abdomen"),
        (scan(0), "other"),
        (scan(0, body_part="ABDOMEN"), "abdomen"),
        # Many chest scans are filed under the abdomen.
        (scan(50, body_part="ABDOMEN"), "chest"),
        (scan(0, body_part="HEAD"), "head"),
        (scan(14, series="Thorax/Abdomen"), "chest"),
        (scan(0, slices=20), ""),
        (scan(0, slices=20, series="Knee"), "limb"),
    ],
)
def test_header_then_lungs_tell_the_region(volume: CTVolume, region: str) -> None:
    assert body_region(volume)[0] == region


def test_lungs_are_measured_in_mm() -> None:
    assert lung_height_mm(scan(30)) == 150


@pytest.mark.real_ct
@pytest.mark.parametrize(
    ("folder", "region"),
    [
        ("chest_lidc_0314", "chest"),
        ("abdomen_crlm_1004", "abdomen"),
        ("head_ge_tilted", "head"),
    ],
)
def test_public_scans(shared_data: Path, folder: str, region: str) -> None:
    assert body_region(open_ct(shared_data / folder))[0] == region
