"""From a CT volume to NV-Reason-CT's input, as its published processor makes it.

LPS axes, about 2 mm (`resampling`), padding with air, a cube of 192 voxels, and only then the clip
to -1000 to 1000 HU. Where the cube lies along the body is decided by the lungs (`lungs`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.backends.heat_map import PointRAS
from napari_ct_assistant.backends.nv_reason_ct.input.lungs import SPACING_MM, LungBounds, find_lungs
from napari_ct_assistant.backends.nv_reason_ct.input.resampling import (
    Affine,
    Floats,
    resample,
    to_lps,
)
from napari_ct_assistant.volume import CTVolume

CHEST: Final = "chest"
ABDOMEN: Final = "abdomen"
NONE: Final = "none"
REGIONS: Final = (CHEST, ABDOMEN, NONE)

AIR_HU: Final = -1000.0
HU_LIMIT: Final = 1000.0
# The abdomen begins below the lungs' upper end by at most this much above their lower end.
ABDOMEN_ABOVE_MM: Final = 100.0
ABDOMEN_MM: Final = 300.0

Triple = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class GridScan:
    """A scan on the padded grid of about 2 mm.

    Attributes
    ----------
    hu : float32 [x, y, z]
        LPS axes, padded with -1000 to at least the size of the model's input.
    affine : float64 [4, 4]
        Index -> RAS mm.
    scan_shape : (x, y, z)
        Size without the padding, which is half before and half behind.
    lungs : LungBounds
    """

    hu: Floats
    affine: Affine
    scan_shape: Triple
    lungs: LungBounds


def on_grid(volume: CTVolume, spacing: tuple[float, ...], size: Triple) -> GridScan:
    """Bring a scan onto the model's grid, and find its lungs there.

    Parameters
    ----------
    volume : CTVolume
    spacing : three floats, mm
    size : (x, y, z)
        Of the model's input, to which smaller scans are padded.
    """
    hu, affine = resample(*to_lps(volume), spacing)
    shape = (hu.shape[0], hu.shape[1], hu.shape[2])
    before = [max(0, n - have) // 2 for n, have in zip(size, shape, strict=True)]
    full = [max(n, have) for n, have in zip(size, shape, strict=True)]
    padded = np.full(full, AIR_HU, dtype=np.float32)
    inner = tuple(slice(b, b + n) for b, n in zip(before, shape, strict=True))
    padded[inner] = hu
    moved = affine.copy()
    moved[:3, 3] -= affine[:3, :3] @ np.array(before, dtype=np.float64)
    return GridScan(padded, moved, shape, find_lungs(padded))


def crop_start(scan: GridScan, size: Triple, region: str) -> tuple[Triple, bool]:
    """Return where the model's input begins, (x, y, z), and whether the lungs were missed.

    Without lungs, a crop for a region ends at the upper end of the scan. Region "none" is MONAI's
    centre crop, which rounds in another way.
    """
    shape = scan.hu.shape
    if region == NONE:
        x, y, z = (n // 2 - s // 2 for n, s in zip(shape, size, strict=True))
        return (x, y, z), False
    x, y = (_clamped((n - 1) / 2, n, s) for n, s in zip(shape[:2], size[:2], strict=True))
    if not scan.lungs.found:
        return (x, y, shape[2] - size[2]), True
    centre = scan.lungs.middle if region == CHEST else _abdomen_middle(scan.lungs, shape[2])
    return (x, y, _clamped(centre, shape[2], size[2])), False


def crop_start_at(scan: GridScan, size: Triple, centre: PointRAS) -> Triple:
    """Return where the model's input begins if its centre is to be near a RAS point, in mm."""
    index = (np.linalg.inv(scan.affine) @ np.array([*centre, 1.0]))[:3]
    x, y, z = (
        _clamped(float(at) + 0.5, n, s) for at, n, s in zip(index, scan.hu.shape, size, strict=True)
    )
    return x, y, z


def crop_affine(scan: GridScan, start: Triple) -> Affine:
    """Return the affine (d, h, w) -> RAS mm of a crop in model order: z, y, x."""
    turn = np.zeros((4, 4))
    turn[0, 2] = turn[1, 1] = turn[2, 0] = turn[3, 3] = 1.0
    turn[:3, 3] = start
    result: Affine = scan.affine @ turn
    return result


def model_input(scan: GridScan, start: Triple, size: Triple) -> NDArray[np.float32]:
    """Return the values of a crop, from -1 to 1. [z, y, x]."""
    part = scan.hu[tuple(slice(a, a + n) for a, n in zip(start, size, strict=True))]
    values = np.nan_to_num(part.T, nan=AIR_HU, posinf=HU_LIMIT, neginf=-HU_LIMIT)
    np.clip(values, -HU_LIMIT, HU_LIMIT, out=values)
    values /= np.float32(HU_LIMIT)
    return np.ascontiguousarray(values, dtype=np.float32)


def _abdomen_middle(lungs: LungBounds, depth: int) -> float:
    low, _ = lungs.span
    top = min(depth - 1, low + round(ABDOMEN_ABOVE_MM / SPACING_MM))
    bottom = max(lungs.body_z_min or 0, top - round(ABDOMEN_MM / SPACING_MM) + 1)
    return (top + bottom) / 2


def _clamped(centre: float, n: int, size: int) -> int:
    """Return the first of `size` voxels about a centre, within 0 to n. Halves go to even."""
    return min(max(round(centre - size / 2), 0), n - size)
