"""What a benchmark measures: rows of one table, which all modules of this folder fill alike.

A module contributes rows so:

1. It writes one function for each group of rows that share a set-up, such as a loaded scan or
   model. The function takes `Settings` and yields a `Row` as soon as it is measured:

       def loading(settings: Settings) -> Iterator[Row]:
           ours, peer = race(lambda: open_ct(path), lambda: read_simpleitk(path), settings)
           yield Row("loading 275 slices", f"SimpleITK {version}", ours, peer, (faster(5),))

2. It names its groups: `GROUPS: Final[Groups] = {"loading": loading}`.
3. It is named in `MODULES` of `benchmarks/suite.py`. `benchmarks/assistant.py` is such a module,
   and its `__main__` is `benchmarks.suite.main()`, which has the command line.

`python -m benchmarks.assistant` then runs every group in a process of its own, so that a peak of
memory or a number of threads does not reach the next; once quiet, and once more beside a process
that keeps another core working. Two settings concern a group:

* `settings.quick`: the group yields the rows whose `counts` the test suite compares, on the
  smallest input, with `repeat` 1; it takes less than two seconds. Where nothing is counted it
  yields nothing.
* `settings.repeat`: rounds that count; `race` adds one before them, for caches and imports.

A peer that is not installed: raise `MissingPeerError` with the command that installs it; the
rows of the group are then left out with that line.
"""

from __future__ import annotations

import ctypes
import gc
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

STATUS: Final = Path("/proc/self/status")
Way = Callable[[], object]


class MissingPeerError(Exception):
    """What a step is compared with is not installed; the text says how to install it."""


@dataclass(frozen=True)
class Settings:
    """How a group is measured. busy: another process keeps a core working meanwhile."""

    repeat: int = 5
    quick: bool = False
    busy: bool = False


@dataclass(frozen=True)
class Cost:
    """What one way took: medians over the rounds.

    seconds: by the clock. processor: seconds of all threads (and child processes, where the way
    starts some). memory: bytes of the peak over what was held before, None where not measured.
    """

    seconds: float
    processor: float
    memory: int | None = None


@dataclass(frozen=True)
class Target:
    """What a row should reach.

    quantity "ratio": the peer takes at least `bound` times as long by the clock. "seconds": ours
    takes at most `bound` seconds. "share": ours takes at most `bound` times the peer's seconds.
    "memory": ours peaks at no more than `bound` times the peer's memory. Any other quantity is a
    key of `Row.measured`, which is to be at least `bound`.
    """

    quantity: str
    bound: float


def faster(times: float) -> Target:
    """Ask that the peer takes so many times as long."""
    return Target("ratio", times)


@dataclass(frozen=True)
class Curve:
    """How the cost of a row grows; the row's own cost is that of the largest size.

    over: what the sizes count, such as "slices". sizes: growing. seconds: medians, one for each
    size. memory: bytes of the peak at each size; empty where not measured.
    """

    over: str
    sizes: tuple[float, ...]
    seconds: tuple[float, ...]
    memory: tuple[float, ...] = ()


@dataclass(frozen=True)
class Row:
    """One step beside its peer.

    Parameters
    ----------
    step
        What is done, with its size and threads; unique in the table.
    peer
        What it is compared with, with its version; empty without a peer.
    ours, theirs
        What each takes; `theirs` is None without a peer.
    targets
        What is asked of the row; may be empty.
    counts
        Whole numbers that are the same on every machine: passes, tokens, files read, bytes.
        They are compared exactly with the committed ones, those of the peer included (name them
        so, for instance "encoder passes, peer").
    measured
        Further figures, such as "share of bandwidth" or "acceptance".
    note
        What a reader of the table must know; one sentence.
    curve
        The same step at several sizes, for the table of growth.
    """

    step: str
    peer: str
    ours: Cost
    theirs: Cost | None = None
    targets: tuple[Target, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    measured: Mapping[str, float] = field(default_factory=dict)
    note: str = ""
    curve: Curve | None = None

    @property
    def ratio(self) -> float | None:
        """How many times as long the peer takes, by the clock."""
        return None if self.theirs is None else self.theirs.seconds / self.ours.seconds

    @property
    def processor_ratio(self) -> float | None:
        """How many times as much processor time the peer takes."""
        if self.theirs is None or not self.ours.processor:
            return None
        return self.theirs.processor / self.ours.processor

    @property
    def memory_share(self) -> float | None:
        """Our peak as a share of the peer's."""
        if self.theirs is None or self.ours.memory is None or not self.theirs.memory:
            return None
        return self.ours.memory / self.theirs.memory

    def reached(self, target: Target) -> bool | None:
        """Say whether a target is reached; None where its quantity was not measured."""
        bound, ratio = target.bound, self.ratio
        if target.quantity == "seconds":
            return self.ours.seconds <= bound
        if target.quantity == "ratio":
            return None if ratio is None else ratio >= bound
        if target.quantity == "share":
            return None if ratio is None else 1 / ratio <= bound
        if target.quantity == "memory":
            share = self.memory_share
            return None if share is None else share <= bound
        value = self.measured.get(target.quantity)
        return None if value is None else value >= bound

    def to_json(self) -> dict[str, Any]:
        """Return the row as JSON values."""
        return {**asdict(self), "counts": dict(self.counts), "measured": dict(self.measured)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Row:
        """Return the row that `to_json` gave."""
        given = dict(value)
        for name in ("ours", "theirs"):
            given[name] = None if given[name] is None else Cost(**given[name])
        if given.get("curve") is not None:
            curve = given["curve"]
            given["curve"] = Curve(
                curve["over"], *(tuple(curve[name]) for name in ("sizes", "seconds", "memory"))
            )
        given["targets"] = tuple(Target(**each) for each in given["targets"])
        return cls(**given)


Measure = Callable[[Settings], Iterable[Row]]
Groups = Mapping[str, Measure]


def race(
    ours: Way, theirs: Way, settings: Settings, *, memory: bool = False, factor: int = 1
) -> tuple[Cost, Cost]:
    """Run two ways in turn, so that whatever else the machine does meets both.

    Parameters
    ----------
    ours, theirs
        The two ways. What they return is dropped before the next is run.
    settings
        `repeat` rounds count, after one that does not.
    memory
        Also measure the peak of each, in the round that does not count for time.
    factor
        The peer is run once and would have to be run so many times: its time is multiplied.
    """
    ways = (ours, theirs)
    taken: tuple[list[tuple[float, float]], ...] = ([], [])
    peaks: list[int | None] = []
    for number in range(1 if settings.quick else 0, settings.repeat + 1):
        for way, times in zip(ways, taken, strict=True):
            if number:
                times.append(clock(way))
            else:
                peaks.append(peak_memory(way) if memory else _drop(way))
    first, second = (_median(times) for times in taken)
    own, other = peaks or (None, None)
    return Cost(*first, own), Cost(second[0] * factor, second[1] * factor, other)


def cost(way: Way, settings: Settings, *, memory: bool = False) -> Cost:
    """Run one way that has no peer."""
    peak = peak_memory(way) if memory else _drop(way)
    return Cost(*_median([clock(way) for _ in range(settings.repeat)]), peak)


def clock(way: Way) -> tuple[float, float]:
    """Return the seconds and the processor seconds of one run."""
    gc.collect()
    start, work = time.perf_counter(), time.process_time()
    result = way()
    taken = time.perf_counter() - start, time.process_time() - work
    del result
    return taken


def peak_memory(way: Way) -> int | None:
    """Return the bytes that one run takes at its peak over what is held before; Linux only."""
    gc.collect()
    if not STATUS.exists():
        return _drop(way)
    # Freed memory that the allocator keeps would be used again unseen.
    ctypes.CDLL(None).malloc_trim(0)
    # Sets the peak, VmHWM, to the present size: man 5 proc.
    Path("/proc/self/clear_refs").write_text("5")
    before = _kilobytes("VmRSS")
    result = way()
    peak = (_kilobytes("VmHWM") - before) * 1024
    del result
    return peak


def _drop(way: Way) -> None:
    way()


def _kilobytes(name: Literal["VmRSS", "VmHWM"]) -> int:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1])


def _median(times: list[tuple[float, float]]) -> tuple[float, float]:
    seconds, processor = zip(*times, strict=True)
    return statistics.median(seconds), statistics.median(processor)
