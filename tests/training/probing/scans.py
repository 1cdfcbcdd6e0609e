"""Small scans with and without a finding that any encoder sees."""

from __future__ import annotations

import numpy as np

from napari_ct_assistant import CTVolume


def scan_of(number: int, bright: bool) -> CTVolume:
    """Return a body of water; those with the finding hold a bright block."""
    rng = np.random.default_rng(number)
    hu = np.full((30, 40, 40), -1000, np.int16)
    hu[:, 6:-6, 6:-6] = rng.integers(0, 60)
    if bright:
        hu[8:20, 10:24, 12:28] = 800
    affine = np.diag([-8.0, -8.0, -8.0, 1.0])[[2, 1, 0, 3]]
    affine[:3, 3] = (160, 160, 120)
    return CTVolume(hu, affine)
