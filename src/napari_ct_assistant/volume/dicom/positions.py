"""How the slices of a stack lie along their common normal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.volume.dicom.frames import DicomFrame

SAME_PLACE_MM = 0.01
"""Slices closer than this lie at one position."""

# Gaps that differ by less are rounding in the header.
_EVEN_SHARE = 0.02
# A stack with more of its places empty is no stack with missing slices.
_MOST_MISSING = 0.25
# Fewest equal gaps in a row that count as a stretch scanned with another slice distance.
_SHORTEST_STRETCH = 3
# Coarser positions than this are not read as rounded.
_COARSEST_MM = 1.0

Kind = Literal["single", "even", "rounded", "missing", "uneven", "duplicates"]


@dataclass(frozen=True)
class Layout:
    """The slices in order, and how evenly they lie.

    frames: in order along the normal. along: mm along the normal; the best-fitting even
    positions where kind is "rounded". step: mm between neighbours; the usual gap where the
    slices are uneven. missing: number of slices that are absent between others.

    kind: "even"; "rounded": even within the rounding of the header; "missing": even but for
    absent slices; "uneven"; "duplicates": two slices at one position; "single".
    """

    frames: tuple[DicomFrame, ...]
    along: NDArray[np.float64]
    kind: Kind
    step: float
    missing: int = 0

    @property
    def regular(self) -> bool:
        """Whether the slices can be one pass: even, apart from a few absent ones."""
        slots = len(self.frames) + self.missing
        few = self.missing <= max(1, _MOST_MISSING * slots)
        return self.kind in ("single", "even", "rounded") or (self.kind == "missing" and few)

    @property
    def slots(self) -> NDArray[np.intp]:
        """The place of each slice, counted in steps from the first."""
        places: NDArray[np.intp] = np.rint((self.along - self.along[0]) / self.step).astype(np.intp)
        return places


def distances(frames: Sequence[DicomFrame]) -> NDArray[np.float64]:
    """Return where each slice lies along the normal of the first, in mm."""
    return np.array([frame.position for frame in frames]) @ _normal(frames[0])


def lay_out(frames: Sequence[DicomFrame]) -> Layout:
    """Sort slices along their normal and judge how evenly they lie.

    A stack whose positions fit an even line within the rounding of their decimal strings is
    even: "0, 1.2, 2.5, 3.8" are slices of 1.25 mm. Where slices of half a millimetre are
    rounded to whole ones, two share a position; then their instance numbers must give an order,
    and a stated thickness or slice step must agree with the line.
    """
    along = distances(frames)
    order = sorted(range(len(frames)), key=lambda k: (along[k], frames[k].number, k))
    sorted_frames = tuple(frames[k] for k in order)
    along = along[order]
    if len(frames) == 1:
        return Layout(sorted_frames, along, "single", frames[0].thickness or 1.0)
    gaps = np.diff(along)
    quantum = rounding(frames)
    if gaps.min() < SAME_PLACE_MM:
        line = _rounded_duplicates(frames, quantum)
        if line is not None:
            return line
        return Layout(sorted_frames, along, "duplicates", float(np.median(gaps)))
    usual = float(np.median(gaps))
    if np.abs(gaps - usual).max() <= max(_EVEN_SHARE * usual, SAME_PLACE_MM):
        return Layout(sorted_frames, along, "even", float(along[-1] - along[0]) / len(gaps))
    fitted = _even_line(along, quantum, _stated_steps(frames))
    if fitted is not None:
        return Layout(sorted_frames, fitted, "rounded", float(fitted[1] - fitted[0]))
    for step in (usual, *_stated_steps(frames)):
        found = _count_missing(gaps, step, quantum)
        if found is not None:
            total = float(along[-1] - along[0])
            return Layout(
                sorted_frames, along, "missing", total / (len(gaps) + found), missing=found
            )
    return Layout(sorted_frames, along, "uneven", usual)


def rounding(frames: Sequence[DicomFrame]) -> float:
    """Return by how many mm rounding in the header may have moved a slice along its normal."""
    # A number that happens to end in zeros looks coarser than it is written.
    quantum = np.min([frame.quantum for frame in frames], axis=0)
    found = float(np.abs(_normal(frames[0])) @ quantum)
    # Along an oblique normal two or three rounded numbers add up.
    return found if quantum.max() <= _COARSEST_MM * 1.01 else 0.0


def has_stretches(gaps: NDArray[np.float64], quantum: float) -> bool:
    """Return whether gaps are a few stretches of equal ones, as a scan has that changed its step.

    One gap of another width may lie between two stretches. Gaps that change from slice to slice
    are those of two scans that interleave.
    """
    stretch = 0
    names = [0]
    for before, gap in pairwise(gaps):
        stretch += abs(gap - before) > max(0.04 * min(before, gap), quantum, SAME_PLACE_MM)
        names.append(stretch)
    lengths = [len(list(group)) for _, group in groupby(names)]
    long = [length >= _SHORTEST_STRETCH for length in lengths]
    for k, length in enumerate(lengths):
        beside = [long[j] for j in (k - 1, k + 1) if 0 <= j < len(lengths)]
        if not long[k] and not (length == 1 and beside and all(beside)):
            return False
    return True


def overlap(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    """Return whether two sets of positions share a stretch of the normal."""
    return bool(max(a.min(), b.min()) <= min(a.max(), b.max()) + SAME_PLACE_MM)


def _normal(frame: DicomFrame) -> NDArray[np.float64]:
    return np.cross(frame.orientation[0], frame.orientation[1])


def _stated_steps(frames: Sequence[DicomFrame]) -> list[float]:
    """Return the slice step and the thickness that all slices state."""
    found = []
    for values in ({frame.step for frame in frames}, {frame.thickness for frame in frames}):
        stated = values.pop() if len(values) == 1 else None
        if stated is not None:
            found.append(stated)
    return found


def _even_line(
    along: NDArray[np.float64], quantum: float, stated: Sequence[float]
) -> NDArray[np.float64] | None:
    """Return the even positions that `along` may be the rounded ones of, None if there are none."""
    index = np.arange(len(along))
    if len(along) < 3 or quantum <= 0:
        return None
    fitted = float(np.polyfit(index, along, 1)[0])
    near = [step for step in stated if abs(step - fitted) <= 0.1 * fitted]
    if not near and quantum > 0.1 * fitted:
        # Whole numbers by chance, or two scans that interleave, look the same.
        return None
    for step in (*near, fitted):
        rest = along - step * index
        if np.ptp(rest) <= quantum * 1.05 + 1e-6 and step > 0.3 * quantum:
            return np.asarray((rest.max() + rest.min()) / 2 + step * index)
    return None


def _rounded_duplicates(frames: Sequence[DicomFrame], quantum: float) -> Layout | None:
    """Read slices that share rounded positions by their instance numbers."""
    numbers = [frame.number for frame in frames]
    if quantum <= 0 or len(set(numbers)) < len(numbers):
        return None
    along = distances(frames)
    order = sorted(range(len(frames)), key=lambda k: numbers[k])
    if along[order[-1]] < along[order[0]]:
        order.reverse()
    run = along[order]
    if (np.diff(run) < -1e-6).any():
        return None
    stated = _stated_steps(frames)
    line = _even_line(run, quantum, stated)
    if line is None or not any(abs(line[1] - line[0] - s) <= 0.1 * s for s in stated):
        return None
    return Layout(tuple(frames[k] for k in order), line, "rounded", float(line[1] - line[0]))


def _count_missing(gaps: NDArray[np.float64], step: float, quantum: float) -> int | None:
    """Return how many slices are absent if all gaps are multiples of `step`, else None."""
    parts = np.rint(gaps / step)
    if parts.min() < 1:
        return None
    # Positions that happen to be whole numbers are not rounded by as much.
    allowed = max(2 * _EVEN_SHARE * step, SAME_PLACE_MM, quantum if quantum <= 0.1 * step else 0.0)
    if (np.abs(gaps - parts * step) > allowed).any():
        return None
    return int(parts.sum()) - len(gaps)
