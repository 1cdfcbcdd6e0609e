"""Regions of a scan: their voxels, HU statistics, size and place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from napari_ct_assistant.volume.ct_volume import CTVolume

Side = Literal["right", "left", "midline"]

BODY_HU: Final = -300
"""Denser voxels are the patient or the table, less dense ones the air around."""

MIDLINE_MM: Final = 10.0
"""Points this close to the midline of the body are called midline."""


@dataclass(frozen=True)
class RegionStatistics:
    """HU statistics, size and place of a region.

    Parameters
    ----------
    voxels
        Number of voxels.
    mean_hu, sd_hu, min_hu, max_hu
        HU over the region; the standard deviation is that of the region itself
        (divided by the number of voxels), as workstations show it.
    area_mm2
        Area where the region lies in a single slice of some axis, else None.
    volume_ml
        Number of voxels times the volume of one.
    ras
        RAS mm of the region's voxel nearest to its centre: inside the region even
        where that is a ring or a crescent.
    slice
        Axial slice index (axis I) of that voxel.
    side
        The patient's side on which that voxel lies, see `patient_side`.
    """

    voxels: int
    mean_hu: float
    sd_hu: float
    min_hu: int
    max_hu: int
    area_mm2: float | None
    volume_ml: float
    ras: tuple[float, float, float]
    slice: int
    side: Side

    @property
    def hu_text(self) -> str:
        """Mean, SD and range as one line."""
        return (
            f"mean {self.mean_hu:.0f} HU, SD {self.sd_hu:.0f}, "
            f"range {self.min_hu} to {self.max_hu} HU"
        )

    @property
    def size_text(self) -> str:
        """Area of a region in one slice, volume of any other."""
        if self.area_mm2 is not None:
            return f"area {self.area_mm2:.0f} mm²"
        # 12.3 ml, but 0.045 ml: three significant figures and no exponent.
        return f"volume {float(f'{self.volume_ml:.3g}'):g} ml"


def region_statistics(
    volume: CTVolume, mask: NDArray[np.bool_], offset: tuple[int, int, int] = (0, 0, 0)
) -> RegionStatistics:
    """Measure the voxels of `volume` that `mask` marks.

    Parameters
    ----------
    volume
        The scan, axes (I, P, L).
    mask
        bool [I, P, L]: the whole scan's shape, or a box of it that starts at `offset`.
    offset
        Index (i, p, l) of the mask's first voxel in the scan.

    Raises
    ------
    ValueError
        If the mask has not three axes of bool, reaches outside the scan, or is empty.
    """
    if mask.ndim != 3 or mask.dtype != np.bool_:
        raise ValueError(f"mask must be bool with axes (I, P, L), not {mask.dtype} {mask.shape}")
    start = np.asarray(offset)
    stop = start + mask.shape
    if np.any(start < 0) or np.any(stop > volume.shape):
        raise ValueError(
            f"mask of shape {mask.shape} at {tuple(offset)} reaches outside the scan "
            f"of shape {volume.shape}"
        )
    box = volume.hu[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]
    values = box[mask]
    if values.size == 0:
        raise ValueError("the region contains no voxel; draw it larger")
    inside = np.argwhere(mask)
    nearest = inside[np.argmin(((inside - inside.mean(axis=0)) ** 2).sum(axis=1))] + start
    spacing = np.asarray(volume.spacing)
    thin = np.flatnonzero(np.ptp(inside, axis=0) == 0)
    # The scan's own axes may lean (gantry tilt): the determinant is the volume of a voxel then.
    voxel_mm3 = abs(float(np.linalg.det(volume.affine[:3, :3])))
    x, y, z = (float(v) for v in volume.index_to_ras(nearest))
    return RegionStatistics(
        voxels=int(values.size),
        mean_hu=float(values.mean(dtype=np.float64)),
        sd_hu=float(values.std(dtype=np.float64)),
        min_hu=int(values.min()),
        max_hu=int(values.max()),
        area_mm2=float(values.size * np.delete(spacing, thin[0]).prod()) if thin.size else None,
        volume_ml=values.size * voxel_mm3 / 1000,
        ras=(x, y, z),
        slice=int(nearest[0]),
        side=patient_side(volume, nearest),
    )


def polygon_mask(
    vertices: ArrayLike, shape: tuple[int, int]
) -> tuple[NDArray[np.bool_], tuple[int, int]]:
    """Return the pixels whose centres lie in a polygon, by the even-odd rule.

    Parameters
    ----------
    vertices
        [N, 2] fractional (row, column); whole numbers are pixel centres.
    shape
        (rows, columns) of the picture; what lies outside is cut off.

    Returns
    -------
    mask
        bool [rows, columns], only the box around the polygon. A polygon that holds
        no pixel centre gives the pixel under its middle, if that is in the picture.
    offset
        (row, column) of the box in the picture.
    """
    points = np.asarray(vertices, dtype=float)
    low = np.clip(np.ceil(points.min(axis=0)).astype(int), 0, shape)
    high = np.clip(np.floor(points.max(axis=0)).astype(int) + 1, low, shape)
    rows = np.arange(low[0], high[0])[:, None]
    columns = np.arange(low[1], high[1])[None, :]
    mask = np.zeros((high[0] - low[0], high[1] - low[1]), bool)
    for (r0, c0), (r1, c1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        if r0 == r1:
            continue
        # Half open, so that a vertex between two edges is crossed once.
        crossed = (rows >= min(r0, r1)) & (rows < max(r0, r1))
        mask ^= crossed & (columns < c0 + (rows - r0) * (c1 - c0) / (r1 - r0))
    if not mask.any():
        middle = np.round(points.mean(axis=0)).astype(int)
        if np.all(middle >= 0) and np.all(middle < shape):
            return np.ones((1, 1), bool), (int(middle[0]), int(middle[1]))
    return mask, (int(low[0]), int(low[1]))


def patient_side(volume: CTVolume, index: ArrayLike) -> Side:
    """Return the patient's side at `index` (i, p, l), against the body in its axial slice.

    A patient seldom lies in the middle of the scanner, so the side is measured from the middle
    of the largest dense object in the slice. If there is none, or the edge of the picture cuts
    it off, the side is measured from x = 0 of RAS.
    """
    i, _, left = (int(v) for v in np.round(np.asarray(index, dtype=float)))
    # Each fourth voxel is enough for a midline and sixteen times faster.
    body, pieces = ndimage.label(volume.hu[np.clip(i, 0, volume.shape[0] - 1), ::4, ::4] > BODY_HU)
    middle: float | None = None
    if pieces:
        largest = np.argmax(np.bincount(body.ravel())[1:]) + 1
        columns = np.flatnonzero((body == largest).any(axis=0))
        if columns[0] > 0 and columns[-1] < body.shape[1] - 1:
            middle = 4 * (columns[0] + columns[-1]) / 2
    if middle is None:
        x = float(volume.index_to_ras(index)[0])
    else:
        x = (middle - left) * volume.spacing[2]
    if abs(x) <= MIDLINE_MM:
        return "midline"
    return "right" if x > 0 else "left"
