"""From the slices of one pass to a straight, even stack: the geometry rules.

The rules, each with a warning that says what was done:

* Slices are sorted along their common normal. Copies are read once; different slices at one
  position are refused, never chosen from.
* Positions that fit an even straight line within the rounding of the header are on that line:
  the slices are used as they are.
* Slices that are shifted sideways against each other, as by a tilted gantry, are shifted back
  within their plane by linear interpolation, on a canvas large enough to lose nothing. The axes
  of the result are the tilted plane and its normal.
* Absent slices, and stretches of other slice distances, are filled by linear interpolation,
  unless a gap is wider than 4 usual gaps and 10 mm: then too much anatomy would be made up, and
  the series is refused. Gaps that change from slice to slice are refused too: two scans that
  interleave look like that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.support.translation import said
from napari_ct_assistant.volume.dicom import duplicates
from napari_ct_assistant.volume.dicom.frames import DicomFrame
from napari_ct_assistant.volume.dicom.positions import (
    SAME_PLACE_MM,
    Layout,
    has_stretches,
    lay_out,
    rounding,
)
from napari_ct_assistant.volume.errors import CTReadError
from napari_ct_assistant.volume.geometry import LPS_TO_RAS, Affine

_WIDEST_GAPS = 4.0
_WIDEST_MM = 10.0
# Sideways shifts, in pixels over the whole stack, that are too small to correct.
_STRAIGHT_PIXELS = 0.1
# Deviations from a straight line, in pixels, that are rounding and no movement.
_JITTER_PIXELS = 0.25


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
        A file that was asked for by name.

    Raises
    ------
    CTReadError
        If the slices cannot make a volume.
    """
    warnings: list[str] = []
    layout = _distinct(frames, where, prefer, warnings)
    kept = layout.frames
    first = kept[0]
    if first.stacked:
        warnings.append(
            said(
                "a multi-frame file with one position: its slices were placed one after the other "
                "{step} mm apart; check which end is up",
                step=f"{layout.step:.3g}",
            )
        )
    down, right = first.orientation[1], first.orientation[0]
    normal = np.cross(right, down)
    rows, columns = first.file.rows, first.file.columns
    if layout.kind == "single":
        thickness = first.thickness
        warnings.append(
            said("a single slice, shown as a volume one slice thick")
            if thickness is not None
            else said(
                "a single slice, shown as a volume one slice thick; its thickness is unknown and "
                "was taken as 1 mm"
            )
        )
        affine = _affine(first.position, normal * layout.step, first)
        return Stack(kept, affine, (1, rows, columns), None, None, tuple(warnings))

    positions = np.array([frame.position for frame in kept])
    along = layout.along
    places, count = _even_places(layout, where, warnings)
    _note_thickness(kept, float(along[-1] - along[0]) / (count - 1), warnings)
    moved = positions - positions[0]
    sideways = np.stack([moved @ down / first.spacing[0], moved @ right / first.spacing[1]], axis=1)
    step = normal * float(along[-1] - along[0]) / (count - 1)
    if layout.kind == "rounded":
        warnings.append(
            said(
                "slice positions are rounded in the header; the slices were taken as {step} mm "
                "apart",
                step=f"{layout.step:.4g}",
            )
        )
    elif np.ptp(sideways, axis=0).max() <= _STRAIGHT_PIXELS:
        affine = _affine(positions[0], (positions[-1] - positions[0]) / (count - 1), first)
        return Stack(kept, affine, (count, rows, columns), None, places, tuple(warnings))
    sideways = _without_jitter(sideways, along, kept)
    low = sideways.min(axis=0)
    corner = (
        positions[0]
        + (along[0] - float(positions[0] @ normal)) * normal
        + low[0] * first.spacing[0] * down
        + low[1] * first.spacing[1] * right
    )
    if np.ptp(sideways, axis=0).max() <= _STRAIGHT_PIXELS:
        shape = (count, rows, columns)
        return Stack(kept, _affine(corner, step, first), shape, None, places, tuple(warnings))
    grow = np.ceil(np.ptp(sideways, axis=0) - 1e-6).astype(int)
    if grow[0] > rows or grow[1] > columns:
        raise CTReadError(
            where,
            said(
                "its slices do not lie over each other, so they are not a volume; export it again"
            ),
        )
    warnings.append(_describe_shift(along, sideways * first.spacing))
    return Stack(
        kept,
        _affine(corner, step, first),
        (count, rows + int(grow[0]), columns + int(grow[1])),
        sideways - low,
        places,
        tuple(warnings),
    )


def _distinct(
    frames: Sequence[DicomFrame], where: Path, prefer: Path | None, warnings: list[str]
) -> Layout:
    """Return the layout of slices at distinct positions."""
    layout = lay_out(frames)
    if layout.kind != "duplicates":
        return layout
    asked = [frame for frame in frames if frame.file.path == prefer]
    if not (asked and duplicates.at_one_place(frames)):
        try:
            unique, found = duplicates.drop_copies(frames, prefer)
        except CTReadError:
            if not asked and not duplicates.at_one_place(frames):
                raise
            unique, found = list(frames), []
        layout = lay_out(unique)
        if layout.kind != "duplicates":
            warnings += found
            return layout
        if not asked:
            raise duplicates.refuse(unique, where)
    # Somebody named this file, so it is no choice between slices.
    layout = lay_out(asked)
    if layout.kind == "duplicates":
        raise duplicates.refuse(asked, where)
    warnings.append(
        said(
            "{n} other slices of its series lie at the same positions and nothing tells them "
            "apart; only the given file was opened",
            n=len(frames) - len(asked),
        )
    )
    return layout


def _without_jitter(
    sideways: NDArray[np.float64], along: NDArray[np.float64], frames: Sequence[DicomFrame]
) -> NDArray[np.float64]:
    """Replace sideways shifts [n, 2] in pixels by the straight line they are rounded from.

    Shifts that no straight line explains are returned as they are.
    """
    run = along - along.mean()
    level = sideways.mean(axis=0)
    slope = (sideways * run[:, None]).sum(axis=0) / (run**2).sum()
    line = level + run[:, None] * slope
    jitter = np.ptp(sideways - line, axis=0)
    first = frames[0]
    quantum = np.min([frame.quantum for frame in frames], axis=0)
    rounded = np.abs(first.orientation[::-1]) @ np.minimum(quantum, 1.0) / first.spacing
    if (jitter > np.maximum(2 * _JITTER_PIXELS, 1.05 * rounded)).any():
        return sideways
    # A slope that moves the last slice less than the jitter does is an accident of the jitter.
    steady = np.abs(slope) * np.ptp(along) <= np.maximum(jitter, 1e-9)
    straight: NDArray[np.float64] = np.where(steady, level, line)
    return straight


def _even_places(
    layout: Layout, where: Path, warnings: list[str]
) -> tuple[NDArray[np.float64] | None, int]:
    """Return fractional slice places that make the gaps even, and how many slices result."""
    along = layout.along
    if layout.kind in ("even", "rounded"):
        return None, len(along)
    gaps = np.diff(along)
    usual = float(np.median(gaps))
    widest = int(np.argmax(gaps))
    gap = float(gaps[widest])
    absent = layout.kind == "missing" and layout.regular
    if not absent and not has_stretches(gaps, rounding(layout.frames)):
        raise CTReadError(
            where,
            said(
                "its slices lie unevenly: gaps run from {value} mm to {gap} mm and change from "
                "slice to slice, as when two scans share one series; export them as separate "
                "series",
                value=f"{gaps.min():.2f}",
                gap=f"{gap:.2f}",
            ),
        )
    count = int(layout.slots[-1]) + 1 if absent else round(float(along[-1] - along[0]) / usual) + 1
    if gap > max(_WIDEST_GAPS * usual, _WIDEST_MM) or count > 3 * len(along) + 8 or count < 2:
        raise CTReadError(
            where,
            said(
                "slices are missing: a gap of {gap} mm after slice {number} of {count} where "
                "{usual} mm is usual; fetch the missing slices",
                gap=f"{gap:.2f}",
                number=widest + 1,
                count=len(along),
                usual=f"{usual:.2f}",
            ),
        )
    if absent:
        warnings.append(
            said(
                "{n} slice(s) missing: the widest gap is {gap} mm (after slice {number} of "
                "{total}) where {usual} mm is usual; filled by linear interpolation",
                n=layout.missing,
                gap=f"{gap:.2f}",
                number=widest + 1,
                total=len(along),
                usual=f"{usual:.2f}",
            )
        )
        return np.interp(np.arange(count), layout.slots, np.arange(len(along))), count
    even = float(along[-1] - along[0]) / (count - 1)
    wanted = along[0] + even * np.arange(count)
    warnings.append(
        said(
            "uneven slices: gaps run from {low} mm to {high} mm (usually {usual} mm); resampled "
            "linearly to one slice every {step} mm",
            low=f"{gaps.min():.2f}",
            high=f"{gap:.2f}",
            usual=f"{usual:.2f}",
            step=f"{even:.2f}",
        )
    )
    # Where a slice lies within rounding of a wanted place, it is taken as it is.
    return np.round(np.interp(wanted, along, np.arange(len(along))), 3), count


def _note_thickness(frames: Sequence[DicomFrame], step: float, warnings: list[str]) -> None:
    """Warn where slices are much thinner than the distance between them."""
    thickness = max((frame.thickness or 0.0) for frame in frames)
    if thickness and step > 1.5 * thickness + SAME_PLACE_MM:
        warnings.append(
            said(
                "slices of {thickness} mm lie {step} mm apart: what lies between them was not "
                "scanned",
                thickness=f"{thickness:g}",
                step=f"{step:.2f}",
            )
        )


def _describe_shift(along: NDArray[np.float64], shift: NDArray[np.float64]) -> str:
    """Describe sideways shifts in mm: a tilt where they follow the table, else a jitter."""
    run = along - along[0]
    slope = (shift * run[:, None]).sum(axis=0) / (run**2).sum()
    rest = np.abs(shift - run[:, None] * slope).max()
    if rest < 0.5:
        degrees = np.degrees(np.arctan(np.hypot(*slope)))
        return said(
            "gantry tilt of {degrees} degrees: slices were shifted within their plane by up to "
            "{shift} mm so that the anatomy is straight",
            degrees=f"{degrees:.1f}",
            shift=f"{np.abs(shift).max():.1f}",
        )
    return said(
        "slices lie up to {shift} mm sideways of each other: they were shifted back within their "
        "plane",
        shift=f"{np.ptp(shift, axis=0).max():.1f}",
    )


def _affine(corner: NDArray[np.float64], step: NDArray[np.float64], frame: DicomFrame) -> Affine:
    """Return (slice, row, column) -> RAS mm."""
    lps = np.eye(4)
    lps[:3, 0] = step
    lps[:3, 1] = frame.orientation[1] * frame.spacing[0]
    lps[:3, 2] = frame.orientation[0] * frame.spacing[1]
    lps[:3, 3] = corner
    return np.asarray(LPS_TO_RAS @ lps, dtype=np.float64)
