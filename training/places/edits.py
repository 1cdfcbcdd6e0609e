"""Edits of a real scan with known effect: a nodule erased, a ball put into clear lung."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_ct_assistant.backends.heat_map import PointRAS
from napari_ct_assistant.volume import CTVolume

Mask = NDArray[np.bool_]

SOFT_HU: Final = -400  # soft tissue from here on
LUNG_HU: Final = (-980, -750)
NODULE_HU: Final = 40.0
NOISE_HU: Final = 15.0
EDGE_MM: Final = 0.7  # over which the ball's edge fades
APART_MM: Final = 30.0
CLEAR_MM: Final = 4.0  # of lung about the ball


def erase_nodule(volume: CTVolume, centre: PointRAS, radius_mm: float) -> CTVolume:
    """Replace the soft tissue about a point by values of the lung about it.

    Only tissue that is connected within the radius is replaced; the values are drawn, by a fixed
    seed, from the lung in the shell up to twice as far away.
    """
    distance, box = _distances(volume, centre, 2 * radius_mm)
    part = volume.hu[box].astype(np.float32)
    dense = (part > SOFT_HU) & (distance <= radius_mm)
    labels, count = ndimage.label(dense)
    if not count:
        return volume
    largest = labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])
    gone = ndimage.binary_dilation(largest, iterations=2) & (distance <= radius_mm)
    around = part[(distance > radius_mm) & (part > LUNG_HU[0]) & (part < LUNG_HU[1])]
    rng = np.random.default_rng(0)
    part[gone] = rng.choice(around, int(gone.sum()))
    return _edited(volume, box, part)


def insert_ball(
    volume: CTVolume, centre: PointRAS, diameter_mm: float = 20.0, *, seed: int = 0
) -> CTVolume:
    """Put a ball of soft tissue into a scan, with the noise of soft tissue and a soft edge."""
    radius = diameter_mm / 2
    distance, box = _distances(volume, centre, radius + 3 * EDGE_MM)
    part = volume.hu[box].astype(np.float32)
    share = np.clip((radius - distance) / (2 * EDGE_MM) + 0.5, 0, 1)
    noise = np.random.default_rng(seed).normal(0, NOISE_HU, part.shape)
    noise = ndimage.gaussian_filter(noise, 0.6)
    noise *= NOISE_HU / noise.std()
    # What is denser than the ball, such as a vessel's calcium, stays.
    part = np.maximum(part, part * (1 - share) + share * (NODULE_HU + noise))
    return _edited(volume, box, part)


def clear_lung_places(
    volume: CTVolume, lung: Mask, count: int, diameter_mm: float = 20.0, *, seed: int = 0
) -> list[PointRAS]:
    """Draw places at which a ball lies in clear lung, apart from each other, each side in turn.

    Parameters
    ----------
    lung : bool [I, P, L]
        Air of the lungs; vessels are not part of it.

    Raises
    ------
    ValueError
        If the lungs have not as many such places.
    """
    step = 2
    small = lung[::step, ::step, ::step]
    # Vessels are filled, or no place would be clear.
    small = ndimage.binary_closing(small, iterations=2)
    spacing = [mm * step for mm in volume.spacing]
    inside = ndimage.distance_transform_edt(small, sampling=spacing)
    index = step * np.argwhere(inside >= diameter_mm / 2 + CLEAR_MM)
    points = index @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    middle = (points[:, 0].min() + points[:, 0].max()) / 2 if len(points) else 0.0
    order = np.random.default_rng(seed).permutation(len(points))
    chosen: list[NDArray[np.float64]] = []
    for turn in range(count):
        for n in order:
            point = points[n]
            right_side = (point[0] > middle) == (turn % 2 == 0)
            if right_side and all(np.linalg.norm(point - c) >= APART_MM for c in chosen):
                chosen.append(point)
                break
        else:
            raise ValueError(f"only {len(chosen)} of {count} places lie in clear lung")
    return [(float(p[0]), float(p[1]), float(p[2])) for p in chosen]


def _distances(
    volume: CTVolume, centre: PointRAS, reach_mm: float
) -> tuple[NDArray[np.float64], tuple[slice, ...]]:
    """Return the distance in mm of each voxel near a point from it, and where these voxels are."""
    index = (np.linalg.inv(volume.affine) @ np.array([*centre, 1.0]))[:3]
    reach = reach_mm / np.array(volume.spacing)
    low = np.clip(np.floor(index - reach), 0, volume.shape).astype(int)
    high = np.clip(np.ceil(index + reach) + 1, 0, volume.shape).astype(int)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    grid = np.stack(np.meshgrid(*(np.arange(s.start, s.stop) for s in box), indexing="ij"), -1)
    points = grid @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    distance: NDArray[np.float64] = np.linalg.norm(points - np.array(centre), axis=-1)
    return distance, box


def _edited(volume: CTVolume, box: tuple[slice, ...], part: NDArray[np.float32]) -> CTVolume:
    hu = volume.hu.copy()
    hu[box] = np.clip(np.round(part), -1024, 3071).astype(np.int16)
    return CTVolume(hu=hu, affine=volume.affine, series=volume.series)
