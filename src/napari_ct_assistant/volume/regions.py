"""Regions of a scan: their voxels, HU statistics, size and place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_ct_assistant.support.translation import said
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
        return said(
            "mean {mean} HU, SD {sd}, range {low} to {high} HU",
            mean=f"{self.mean_hu:.0f}",
            sd=f"{self.sd_hu:.0f}",
            low=self.min_hu,
            high=self.max_hu,
        )

    @property
    def size_text(self) -> str:
        """Area of a region in one slice, volume of any other."""
        if self.area_mm2 is not None:
            return said("area {area} mm²", area=f"{self.area_mm2:.0f}")
        # 12.3 ml, but 0.045 ml: three significant figures and no exponent.
        return said("volume {volume} ml", volume=f"{float(f'{self.volume_ml:.3g}'):g}")


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
        raise ValueError(said("the region contains no voxel; draw it larger"))
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


@dataclass(frozen=True)
class Diameters:
    """How large a region is, between its outer surfaces.

    The surface lies half-way between the centres of a voxel inside and one outside, as in
    PyRadiomics (shape features of the marching-cubes mesh).

    Parameters
    ----------
    long_mm
        The largest diameter in any single axial slice.
    short_mm
        The longest chord perpendicular to it in the same slice, as RECIST 1.1 measures a node.
    slice
        Axial slice index of both.
    max_mm
        The largest diameter in three dimensions.
    first_slice, last_slice
        Axial slice indices between which the region lies.
    """

    long_mm: float
    short_mm: float
    slice: int
    max_mm: float
    first_slice: int
    last_slice: int


def region_diameters(
    volume: CTVolume, mask: NDArray[np.bool_], offset: tuple[int, int, int] = (0, 0, 0)
) -> Diameters:
    """Return the diameters in mm of the voxels of `volume` that `mask` marks.

    `mask` and `offset` are those of `region_statistics`. Lengths are exact for oblique scans
    and for stacks with gantry tilt.

    Raises
    ------
    ValueError
        If the mask is empty.
    """
    steps = volume.affine[:3, :3]
    used = np.flatnonzero(mask.any(axis=(1, 2)))
    if not used.size:
        raise ValueError(said("the region contains no voxel; draw it larger"))
    # Each slice's axes leave the first one out, so two directions in mm are enough.
    flat = _orthogonal(steps[:, 1:])
    found = (0.0, 0.0, int(used[0]))
    for number in used:
        corners = _hull(_surface(mask[number]) @ flat.T)
        long_mm, along = _widest(corners)
        if long_mm > found[0]:
            found = long_mm, _chord(corners, along), int(number)
    return Diameters(
        long_mm=found[0],
        short_mm=found[1],
        slice=found[2] + offset[0],
        max_mm=_widest(_hull(_surface(mask) @ steps.T))[0],
        first_slice=int(used[0]) + offset[0],
        last_slice=int(used[-1]) + offset[0],
    )


def _orthogonal(steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return two directions [3, 2] as a matrix [2, 2] with the same lengths and angle."""
    triangular = np.linalg.qr(steps, mode="r")
    return np.asarray(triangular, np.float64)


def _surface(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the points half-way between neighbours in and out of a mask, as indices [N, axes]."""
    padded = np.pad(mask, 1)
    points = []
    for axis in range(mask.ndim):
        at = np.argwhere(np.diff(padded, axis=axis)).astype(np.float64) - 1
        at[:, axis] += 0.5
        points.append(at)
    return np.concatenate(points)


def _hull(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the corners of the convex hull; the surface of a mask is never flat."""
    # Imported here: it would make the start of every program longer.
    from scipy.spatial import ConvexHull

    corners: NDArray[np.float64] = points[ConvexHull(points).vertices]
    return corners


def _widest(corners: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """Return the largest distance between two points [N, axes], and its unit direction."""
    # Row by row: the hull of a whole lung has some thousand corners.
    longest, direction = 0.0, np.zeros(corners.shape[1])
    for number, corner in enumerate(corners[:-1]):
        away = corners[number + 1 :] - corner
        lengths = np.einsum("na,na->n", away, away)
        best = int(lengths.argmax())
        if lengths[best] > longest:
            longest, direction = float(lengths[best]), away[best]
    length = float(np.sqrt(longest))
    return length, direction / length


def _chord(corners: NDArray[np.float64], along: NDArray[np.float64]) -> float:
    """Return the longest chord of a convex polygon [N, 2] perpendicular to a direction."""
    across = np.array([-along[1], along[0]])
    u, v = corners @ along, corners @ across
    u_next, v_next = np.roll(u, -1), np.roll(v, -1)
    longest = 0.0
    # The chord's length is concave along `along`, so it is longest at a corner.
    for at in u:
        crossed = (np.minimum(u, u_next) <= at) & (at <= np.maximum(u, u_next))
        step = u_next - u
        part = np.divide(at - u, step, out=np.zeros_like(u), where=step != 0)
        ends = np.concatenate([(v + part * (v_next - v))[crossed], v[u == at]])
        longest = max(longest, float(np.ptp(ends)))
    return longest


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
    from scipy import ndimage

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
