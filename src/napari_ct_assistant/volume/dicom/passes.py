"""Split a series that scans one place several times into its passes.

Two contrast phases, two kernels or the phases of a heart cycle often share one series. Put
together they would make a volume of slices that belong to different scans. Slices are split
by whichever attribute makes each part an even stack of its own; parts that follow one another
along the table stay together, as the rotations of one step-and-shoot scan do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np

from napari_ct_assistant.volume.dicom.frames import DicomFrame
from napari_ct_assistant.volume.dicom.positions import (
    SAME_PLACE_MM,
    Layout,
    distances,
    has_stretches,
    lay_out,
    overlap,
    rounding,
)
from napari_ct_assistant.volume.dicom.separators import (
    NAMES,
    PASS_NAMES,
    TIME,
    clock,
    part_name,
    seconds,
)

# Fewest slices of a pass beside which a single slice counts as a monitoring or blank one.
_WHOLE_PASS = 5
_MOST_PASSES = 64
# Fewest slices in whose times or attributes an order is no chance.
_SHORTEST_RUN = 4
# Seconds between a monitoring slice and the pass it belongs to; slices follow faster.
_WAIT_S = 5.0
# What one scan may change on its way along the table.
_OF_ONE_PLAN = frozenset({"thickness", "image type"})
# Slices that differ in one of these are never of one volume, side by side or not.
_APPEARANCE = frozenset({"values", "image type", "kernel", "kVp", "keV"})


@dataclass(frozen=True)
class Pass:
    """Slices that were taken together; `note` tells them from the rest, "" if there is none.

    problem: why they cannot be told apart, "" if they can.
    """

    frames: tuple[DicomFrame, ...]
    note: str = ""
    problem: str = ""


@dataclass(frozen=True)
class _Split:
    """A way to divide slices: label of each part, its slices, whether the parts interleave."""

    names: tuple[str, ...]
    labels: tuple[str, ...]
    parts: tuple[tuple[int, ...], ...]
    singles: tuple[int, ...]
    interleaved: bool


def split_passes(frames: Sequence[DicomFrame]) -> list[Pass]:
    """Return the passes of a series, each an even stack where that is possible."""
    return [
        Pass(part.frames, part.note.strip(", "), part.problem) for part in _divide(frames, "", 0)
    ]


def likely_copies(frames: Sequence[DicomFrame]) -> list[DicomFrame]:
    """Return the slices without those that look like second copies of another.

    Only for the judgement of the layout: whether they are copies, the pixels decide.
    """
    if np.diff(np.sort(distances(frames)), prepend=-np.inf).min() >= SAME_PLACE_MM:
        return list(frames)
    return [frames[k] for k in dict.fromkeys(_originals(frames))]


def _originals(frames: Sequence[DicomFrame]) -> list[int]:
    """Return for each slice the place of the first one that it looks like a copy of."""
    seen: dict[tuple[object, ...], int] = {}
    found = []
    for k, frame in enumerate(frames):
        place = tuple(np.round(frame.position, 3))
        what = tuple(sorted(frame.separators.items()))
        found.append(seen.setdefault((place, frame.number, what), k))
    return found


def _divide(frames: Sequence[DicomFrame], note: str, depth: int) -> list[Pass]:
    unique = likely_copies(frames)
    if len(unique) < 3 or depth > 3:
        return [Pass(tuple(frames), note)]
    whole = lay_out(unique)
    splits = _splits(unique, whole)
    if not splits:
        return [Pass(tuple(frames), note)]
    best = _best(splits)
    if best is None:
        names = " and ".join(sorted({split.names[0] for split in splits}))
        return [Pass(tuple(frames), note, f"{names} divide the slices in different ways")]
    position = {id(frame): k for k, frame in enumerate(unique)}
    originals = _originals(frames)
    home = {k: n for n, part in enumerate(best.parts) for k in part}
    sorted_out: list[list[DicomFrame]] = [[] for _ in best.parts]
    singles: list[DicomFrame] = []
    for frame, original in zip(frames, originals, strict=True):
        k = position[id(frames[original])]
        if k in home:
            sorted_out[home[k]].append(frame)
        else:
            singles.append(frame)
    found = []
    for part, label in zip(sorted_out, best.labels, strict=True):
        found += _divide(part, f"{note}, {label}", depth + 1)
    for frame in singles:
        label = ", ".join(part_name(n, frame.separators.get(n, "")) for n in best.names)
        found.append(Pass((frame,), f"{note}, {label}, a single slice"))
    return found


def _splits(frames: Sequence[DicomFrame], whole: Layout) -> list[_Split]:
    """Return the divisions into even parts that the attributes of the slices allow."""
    values = _values(frames)
    along = distances(frames)
    found = [
        split
        for name, column in values.items()
        if (split := _try(frames, (name,), column, along)) is not None
    ]
    good = [split for split in found if _is_wanted(split, whole, frames)]
    if good or whole.regular:
        return good
    for first, second in combinations(values, 2):
        pair = [f"{a}\0{b}" for a, b in zip(values[first], values[second], strict=True)]
        split = _try(frames, (first, second), pair, along)
        if split is not None and _is_wanted(split, whole, frames):
            good.append(split)
    return good


def _values(frames: Sequence[DicomFrame]) -> dict[str, list[str]]:
    """Return the attributes that differ among the slices: name -> value of each slice."""
    dimensions = sorted({n for f in frames for n in f.separators if n.startswith("dimension")})
    found = {}
    for name in (*NAMES, *dimensions):
        column = [frame.separators.get(name, "") for frame in frames]
        if 1 < len(set(column)) <= max(_MOST_PASSES, len(frames) // 2):
            found[name] = column
    runs = _time_runs(frames)
    if runs is not None:
        found[TIME] = runs
    return found


def _try(
    frames: Sequence[DicomFrame], names: tuple[str, ...], column: list[str], along: np.ndarray
) -> _Split | None:
    """Return the division by a column of values, None if its parts are no even stacks."""
    groups: dict[str, list[int]] = {}
    for k, value in enumerate(column):
        groups.setdefault(value, []).append(k)
    singles = [group[0] for group in groups.values() if len(group) == 1]
    parts = {value: group for value, group in groups.items() if len(group) > 1}
    if not parts or len(singles) > max(2, 0.2 * len(frames)):
        return None
    if any(not lay_out([frames[k] for k in part]).regular for part in parts.values()):
        return None
    # Of parts in order, two overlap only if two neighbours do.
    by_place = sorted((along[part] for part in parts.values()), key=lambda places: places.min())
    interleaved = any(overlap(a, b) for a, b in pairwise(by_place))
    ordered = sorted(parts, key=lambda value: [_natural(part) for part in value.split("\0")])
    labels = tuple(_label(names, value, [frames[k] for k in parts[value]]) for value in ordered)
    return _Split(names, labels, tuple(tuple(parts[v]) for v in ordered), tuple(singles),
                  interleaved)  # fmt: skip


def _is_wanted(split: _Split, whole: Layout, frames: Sequence[DicomFrame]) -> bool:
    """Return whether a division is better than the whole."""
    parts = [lay_out([frames[k] for k in part]) for part in split.parts]
    smallest = min(len(part.frames) for part in parts)
    if len(parts) == 1:
        # A monitoring slice or a blank reference beside one pass.
        return smallest >= _WHOLE_PASS and (not whole.regular or _is_set_apart(split, frames))
    if not whole.regular:
        # A head is often scanned thin at the base and thick above it: such stretches stay one
        # volume unless a wide gap divides them.
        gaps = np.diff(np.sort(distances(frames)))
        one_plan = set(split.names) & _OF_ONE_PLAN and has_stretches(gaps, rounding(frames))
        stations = smallest >= _WHOLE_PASS and not one_plan
        return split.interleaved or stations or gaps.max() > max(10.0, 4 * whole.step)
    if whole.kind == "even" and any(part.kind == "rounded" for part in parts):
        # Exact positions are not suddenly rounded ones.
        return False
    every_second = all(part.step > 1.5 * whole.step for part in parts)
    if split.interleaved and every_second and smallest >= _SHORTEST_RUN:
        # Passes that interleave evenly; of fewer slices chance makes such a pattern.
        return True
    made_alike = not set(split.names) & _APPEARANCE
    return not made_alike and smallest >= _WHOLE_PASS and all(part.kind == "even" for part in parts)


def _is_set_apart(split: _Split, frames: Sequence[DicomFrame]) -> bool:
    """Return whether the single slices are of another acquisition, by its number or time."""
    name = split.names[0]
    if name != TIME:
        return name in ("acquisition", "frame acquisition", "time point")
    times = [seconds(frames[k].separators.get(TIME, "")) for k in range(len(frames))]
    rest = [time for k, time in enumerate(times) if k not in split.singles and time is not None]
    return all(
        at is not None and min(abs(at - time) for time in rest) > _WAIT_S
        for at in (times[k] for k in split.singles)
    )


def _best(splits: list[_Split]) -> _Split | None:
    """Return the coarsest division, None where two of them cross."""
    # Passes over one place say more than stations side by side.
    splits = [split for split in splits if split.interleaved] or splits
    splits = sorted(splits, key=lambda split: len(split.parts))
    best = splits[0]
    home = {k: n for n, part in enumerate(best.parts) for k in part}
    for other in splits[1:]:
        for part in other.parts:
            if len({home[k] for k in part if k in home}) > 1:
                return None
    return best


def _time_runs(frames: Sequence[DicomFrame]) -> list[str] | None:
    """Return the start time of the run that each slice belongs to, where times tell runs apart.

    Scanners that write a time into every slice write it in the order of the table, and wait
    between two passes for longer than between two slices.
    """
    times = [seconds(frame.separators.get(TIME, "")) for frame in frames]
    known = [time for time in times if time is not None]
    if len(known) < len(frames) or len(set(known)) < 3:
        return None
    order = np.argsort(known, kind="stable")
    waits = np.diff(np.asarray(known)[order])
    for count in range(2, 11):
        cuts = np.sort(np.argsort(waits)[::-1][: count - 1])
        inside = np.delete(waits, cuts)
        if not len(inside) or waits[cuts].min() <= 2 * max(float(inside.max()), 0.1):
            continue
        runs = np.split(order, cuts + 1)
        along = distances(frames)
        if all(_is_monotone(along[run], np.asarray(known)[run]) for run in runs):
            column = [""] * len(frames)
            for run in runs:
                for k in run:
                    column[k] = frames[int(run[0])].separators[TIME]
            return column
    return None


def _is_monotone(along: np.ndarray, times: np.ndarray) -> bool:
    """Return whether slices were taken along the table, up or down, within one run."""
    if len(along) < _SHORTEST_RUN:
        return False
    moved = np.diff(along[np.lexsort((along, times))])
    back = np.diff(along[np.lexsort((-along, times))])
    return bool((moved >= 0).all() or (back <= 0).all())


def _natural(value: str) -> tuple[int, float, str]:
    try:
        return 0, float(value), value
    except ValueError:
        return 1, 0.0, value


def _label(names: tuple[str, ...], value: str, part: Sequence[DicomFrame]) -> str:
    """Return what a part is called, with its time where that is one of the pass."""
    said = [part_name(n, v) for n, v in zip(names, value.split("\0"), strict=True)]
    times = sorted(frame.separators.get(TIME, "") for frame in part)
    if times[0] and TIME not in names and set(names) & PASS_NAMES and clock(times[0]):
        said.append(clock(times[0]))
    return ", ".join(said)
