"""From a CT volume to NV-Reason-CT's grid of about 2 mm in LPS axes, as MONAI's chain does it.

`Orientation("LPS")`, then `Spacing` with a range of spacings that are kept. MONAI is not needed:
the chain is linear interpolation on a grid that the affine decides.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.volume import CTVolume

Affine = NDArray[np.float64]
Floats = NDArray[np.float32]
Voxels = NDArray[np.int16] | Floats

TOLERANCE: Final = 1e-3
KEPT: Final = 0.1  # a spacing this close to the wanted one, as a share, is kept


def to_lps(volume: CTVolume) -> tuple[Voxels, Affine]:
    """Return the voxels [x, y, z] in LPS axes, and the affine of their indices to RAS mm."""
    turn = np.zeros((4, 4))
    turn[2, 0] = turn[1, 1] = turn[3, 3] = 1.0
    turn[0, 2], turn[0, 3] = -1.0, volume.shape[0] - 1
    hu = volume.stored_hu().transpose(2, 1, 0)[:, :, ::-1]
    return hu, volume.affine @ turn


def resample(
    hu: Voxels, affine: Affine, spacing: tuple[float, ...], *, kept: float = KEPT
) -> tuple[Voxels, Affine]:
    """Resample to a spacing; an axis whose own is close enough to it keeps its own.

    The first voxel stays where it is, and the last one is at or next to the old last one: the
    grid spans voxel centres, not voxel edges. Values between voxels are linear, beyond the last
    one they are the last one's. Axes that are not perpendicular (gantry tilt) become so.

    Parameters
    ----------
    hu : int16 or float32 [x, y, z]
    affine : float64 [4, 4]
        Index -> RAS mm.
    spacing : three floats, mm
    kept : float
        How close, as a share of the spacing.

    Returns
    -------
    The voxels and their affine.
    """
    own = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    wanted = np.array(spacing, dtype=np.float64)
    low, high = wanted * (1 - kept) - TOLERANCE, wanted * (1 + kept) + TOLERANCE
    wanted = np.where((own >= low) & (own <= high), own, wanted)
    target = _straight(affine, wanted)
    shape, origin = _extent(hu.shape, affine, target)
    target[:3, 3] = origin
    index = np.linalg.solve(affine, target)  # index of the result -> index of `hu`
    same = np.allclose(affine, target, atol=TOLERANCE) or np.allclose(
        index, np.eye(4), atol=TOLERANCE
    )
    if shape == hu.shape and same:
        return hu, affine
    steps = np.diag(index)[:3].astype(np.float64)
    start: Affine = index[:3, 3].astype(np.float64)
    skew = np.abs(index[:3, :3] - np.diag(steps)) * np.array(shape)
    if skew.max() > 1e-6:
        # Imported here: the panel knows of every family of models, and opens without scipy.
        from scipy import ndimage

        out = np.empty(shape, dtype=np.float32)
        ndimage.affine_transform(
            hu, index[:3, :3], index[:3, 3], shape, output=out, order=1, mode="nearest"
        )
        return out, target
    return _separable(hu, shape, start, steps), target


def _straight(affine: Affine, spacing: NDArray[np.float64]) -> Affine:
    """Return the affine with this spacing, its shear removed; its origin is 0."""
    linear = affine[:3, :3]
    upper = np.linalg.cholesky(linear.T @ linear).T
    rotation = linear @ np.linalg.inv(upper)
    result = np.eye(4)
    result[:3, :3] = rotation @ np.diag(np.sign(np.diag(upper)) * spacing)
    return result


def _extent(
    shape: tuple[int, ...], affine: Affine, target: Affine
) -> tuple[tuple[int, int, int], NDArray[np.float64]]:
    """Return the size of a grid that spans a scan's outermost voxel centres, and its origin.

    The origin is the corner from which all others lie in the direction of the axes; without
    such a corner the two grids have the same centre.
    """
    ends = [(0.0, n - 1.0) for n in shape]
    corners = np.array(np.meshgrid(*ends, indexing="ij")).reshape(3, -1)
    corners = np.vstack([corners, np.ones(corners.shape[1])])
    there = (np.linalg.solve(target, affine) @ corners)[:3]
    count = np.round(np.ptp(there, axis=1) + 1.0).astype(int)
    size = (int(count[0]), int(count[1]), int(count[2]))
    for corner in range(there.shape[1]):
        nearest = (there - there[:, corner : corner + 1]).min(axis=1)
        if np.allclose(nearest, 0.0, rtol=TOLERANCE):
            return size, (affine @ corners[:, corner])[:3]
    half = np.append(0.5 * np.array(shape, dtype=np.float64), 1.0)
    centre = (affine @ half)[:3]
    return size, centre - target[:3, :3] @ (0.5 * np.array(size, dtype=np.float64))


def _separable(hu: Voxels, shape: tuple[int, int, int], start: Affine, steps: Affine) -> Floats:
    """Interpolate along one axis after the other, one output slice at a time."""
    low, high, share = zip(
        *(
            _neighbours(n, s, step, size)
            for n, s, step, size in zip(shape, start, steps, hu.shape, strict=True)
        ),
        strict=True,
    )
    out = np.empty(shape, dtype=np.float32)
    for z in range(shape[2]):
        plane = _blend(hu[:, :, low[2][z]], hu[:, :, high[2][z]], share[2][z])
        plane = _blend(plane[:, low[1]], plane[:, high[1]], share[1][None, :])
        out[:, :, z] = _blend(plane[low[0]], plane[high[0]], share[0][:, None])
    return out


def _blend(a: Voxels, b: Voxels, share: Floats) -> Floats:
    result: Floats = (a * (1 - share) + b * share).astype(np.float32, copy=False)
    return result


def _neighbours(
    n: int, start: float, step: float, size: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Return, for each of n outputs, the inputs before and behind it, and the second's share."""
    place = np.clip(start + step * np.arange(n), 0, size - 1)
    low = np.floor(place).astype(np.intp)
    return low, np.minimum(low + 1, size - 1), (place - low).astype(np.float32)
