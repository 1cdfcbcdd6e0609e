"""From loose slices to a straight, even stack: the geometry rules.

The rules, each with a warning that says what was done:

* Slices are sorted along their common normal.
* Copies of a slice (same instance) are read once. Different slices at one
  position: the lowest instance number is kept.
* Slices that are shifted sideways against each other, as by a tilted gantry, are
  shifted back within their plane by linear interpolation, on a canvas large enough
  to lose nothing. The axes of the result are the tilted plane and its normal.
* Uneven gaps are resampled linearly to the median gap, unless a gap is wider than
  4 median gaps and 10 mm: then too much anatomy would be made up, and the series
  is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.volume.dicom.frames import DicomFrame
from napari_ct_assistant.volume.errors import CTReadError
from napari_ct_assistant.volume.geometry import LPS_TO_RAS, Affine

_SAME_PLACE_MM = 0.01
# Gaps that differ by less are rounding in the header.
_EVEN_SHARE = 0.02
_WIDEST_GAPS = 4.0
_WIDEST_MM = 10.0
# Sideways shifts, in pixels over the whole stack, that are rounding in the header.
_STRAIGHT_PIXELS = 0.1


@dataclass(frozen=True)
class Stack:
    """A plan for reading a volume.

    frames: slices in order along the normal. affine: (slice, row, column) -> RAS mm of
    the finished stack. shape: of the finished stack. shifts: pixels (rows, columns) by
    which each slice moves on the canvas, None for a straight stack. places: position of
    each finished slice in the list of frames (fractional), None for an even stack.
    """

    frames: tuple[DicomFrame, ...]
    affine: Affine
    shape: tuple[int, int, int]
    shifts: NDArray[np.float64] | None
    places: NDArray[np.float64] | None
    warnings: tuple[str, ...]


def plan_stack(frames: Sequence[DicomFrame], where: Path, *, prefer: Path | None = None) -> Stack:
    """Apply the rules of this module to the slices of one series.

    Parameters
    ----------
    frames
        At least one; of one orientation, size and pixel spacing.
    where
        File or folder to name in errors.
    prefer
        A file whose slice wins its position.

    Raises
    ------
    CTReadError
        If the slices cannot make a volume.
    """
    warnings: list[str] = []
    kept, along = _distinct(list(frames), where, prefer, warnings)
    first = kept[0]
    down, right = first.orientation[1], first.orientation[0]
    normal = np.cross(right, down)
    rows, columns = first.file.rows, first.file.columns
    if len(kept) == 1:
        thickness = first.thickness
        warnings.append(
            "a single slice, shown as a volume one slice thick"
            + ("; its thickness is unknown and was taken as 1 mm" if thickness is None else "")
        )
        step = normal * (thickness or 1.0)
        affine = _affine(first.position, step, first)
        return Stack(tuple(kept), affine, (1, rows, columns), None, None, tuple(warnings))

    positions = np.array([frame.position for frame in kept])
    places, count = _even_places(along, where, warnings)
    moved = positions - positions[0]
    sideways = np.stack([moved @ down / first.spacing[0], moved @ right / first.spacing[1]], axis=1)
    step = (positions[-1] - positions[0]) / (count - 1)
    _note_thickness(kept, float(along[-1] - along[0]) / (count - 1), warnings)
    # With uneven gaps the straight line through first and last is not enough.
    if np.ptp(sideways, axis=0).max() <= _STRAIGHT_PIXELS:
        affine = _affine(positions[0], step, first)
        shape = (count, rows, columns)
        return Stack(tuple(kept), affine, shape, None, places, tuple(warnings))

    grow = np.ceil(np.ptp(sideways, axis=0) - 1e-6).astype(int)
    if grow[0] > rows or grow[1] > columns:
        raise CTReadError(
            where,
            "its slices do not lie over each other, so they are not a volume; export it again",
        )
    low = sideways.min(axis=0)
    step = normal * float(along[-1] - along[0]) / (count - 1)
    corner = positions[0] + low[0] * first.spacing[0] * down + low[1] * first.spacing[1] * right
    warnings.append(_describe_shift(along, sideways * first.spacing))
    return Stack(
        tuple(kept),
        _affine(corner, step, first),
        (count, rows + int(grow[0]), columns + int(grow[1])),
        sideways - low,
        places,
        tuple(warnings),
    )


def distances(frames: Sequence[DicomFrame]) -> NDArray[np.float64]:
    """Return where each slice lies along the normal of the first, in mm."""
    normal = np.cross(frames[0].orientation[0], frames[0].orientation[1])
    return np.array([frame.position for frame in frames]) @ normal


def has_duplicates(frames: Sequence[DicomFrame]) -> bool:
    """Return whether two different slices lie at one position."""
    along = np.sort(distances(frames))
    return bool((np.diff(along) < _SAME_PLACE_MM).any())


def drop_copies(frames: Sequence[DicomFrame], prefer: Path | None) -> list[DicomFrame]:
    """Return the slices without second copies of the same instance."""
    seen: dict[tuple[bytes, int], DicomFrame] = {}
    unnamed = []
    for frame in frames:
        key = (frame.file.uid, frame.index)
        if not frame.file.uid:
            unnamed.append(frame)
        elif key not in seen or frame.file.path == prefer:
            seen[key] = frame
    return [*seen.values(), *unnamed]


def _distinct(
    frames: list[DicomFrame], where: Path, prefer: Path | None, warnings: list[str]
) -> tuple[list[DicomFrame], NDArray[np.float64]]:
    """Return slices at distinct positions, sorted along the normal, and where they lie."""
    unique = drop_copies(frames, prefer)
    if len(unique) < len(frames):
        warnings.append(f"{len(frames) - len(unique)} copies of slices were left out")
    along = distances(unique)
    rank = sorted(
        range(len(unique)),
        key=lambda k: (unique[k].file.path != prefer, unique[k].number, k),
    )
    order = sorted(range(len(unique)), key=lambda k: (along[k], k))
    ranked = {k: n for n, k in enumerate(rank)}
    kept: list[int] = []
    for k in order:
        if kept and along[k] - along[kept[-1]] < _SAME_PLACE_MM:
            kept[-1] = min(kept[-1], k, key=lambda j: ranked[j])
        else:
            kept.append(k)
    dropped = len(unique) - len(kept)
    if dropped and len(kept) == 1 and prefer is None:
        raise CTReadError(
            where, f"its {len(unique)} slices all lie at one position, so they are not a volume"
        )
    if dropped:
        warnings.append(
            f"{dropped} slices lie where another does; of each the one with the lowest "
            "instance number was kept"
        )
    return [unique[k] for k in kept], along[kept]


def _even_places(
    along: NDArray[np.float64], where: Path, warnings: list[str]
) -> tuple[NDArray[np.float64] | None, int]:
    """Return fractional slice places that make the gaps even, and how many slices result."""
    gaps = np.diff(along)
    usual = float(np.median(gaps))
    if np.abs(gaps - usual).max() <= max(_EVEN_SHARE * usual, _SAME_PLACE_MM):
        return None, len(along)
    widest = int(np.argmax(gaps))
    gap = float(gaps[widest])
    count = round(float(along[-1] - along[0]) / usual) + 1
    if gap > max(_WIDEST_GAPS * usual, _WIDEST_MM) or count > 3 * len(along) + 8 or count < 2:
        raise CTReadError(
            where,
            f"slices are missing: a gap of {gap:.2f} mm after slice {widest + 1} of {len(along)} "
            f"where {usual:.2f} mm is usual; fetch the missing slices",
        )
    even = float(along[-1] - along[0]) / (count - 1)
    wanted = along[0] + even * np.arange(count)
    # Where a slice lies within rounding of a wanted place, it is taken as it is.
    places = np.round(np.interp(wanted, along, np.arange(len(along))), 3)
    parts = gaps / usual
    if np.abs(parts - np.rint(parts)).max() <= _EVEN_SHARE * 2:
        missing = int(np.rint(parts).sum()) - len(gaps)
        warnings.append(
            f"{missing} slice(s) missing: the widest gap is {gap:.2f} mm (after slice "
            f"{widest + 1} of {len(along)}) where {usual:.2f} mm is usual; filled by linear "
            "interpolation"
        )
    else:
        warnings.append(
            f"uneven slices: gaps run from {gaps.min():.2f} mm to {gap:.2f} mm (usually "
            f"{usual:.2f} mm); resampled linearly to one slice every {even:.2f} mm"
        )
    return places, count


def _note_thickness(frames: Sequence[DicomFrame], step: float, warnings: list[str]) -> None:
    """Warn where slices are much thinner than the way between them."""
    thickness = max((frame.thickness or 0.0) for frame in frames)
    if thickness and step > 1.5 * thickness + _SAME_PLACE_MM:
        warnings.append(
            f"slices of {thickness:g} mm lie {step:.2f} mm apart: "
            "what lies between them was not scanned"
        )


def _describe_shift(along: NDArray[np.float64], shift: NDArray[np.float64]) -> str:
    """Describe sideways shifts in mm: a tilt where they follow the table, else a jitter."""
    run = along - along[0]
    slope = (shift * run[:, None]).sum(axis=0) / (run**2).sum()
    rest = np.abs(shift - run[:, None] * slope).max()
    if rest < 0.5:
        degrees = np.degrees(np.arctan(np.hypot(*slope)))
        return (
            f"gantry tilt of {degrees:.1f} degrees: slices were shifted within their plane by up "
            f"to {np.abs(shift).max():.1f} mm so that the anatomy is straight"
        )
    return (
        f"slices lie up to {np.ptp(shift, axis=0).max():.1f} mm sideways of each other: they were "
        "shifted back within their plane"
    )


def _affine(corner: NDArray[np.float64], step: NDArray[np.float64], frame: DicomFrame) -> Affine:
    """Return (slice, row, column) -> RAS mm."""
    lps = np.eye(4)
    lps[:3, 0] = step
    lps[:3, 1] = frame.orientation[1] * frame.spacing[0]
    lps[:3, 2] = frame.orientation[0] * frame.spacing[1]
    lps[:3, 3] = corner
    return np.asarray(LPS_TO_RAS @ lps, dtype=np.float64)
