"""How long the Qt thread does not return to its event loop, and where it is meanwhile.

A timer beats every 2 ms. A stall is the time between two beats: in wall time, as a person feels
it, and in processor time of the Qt thread, which other work on the machine does not change.
Meanwhile a second thread reads the stack of the Qt thread and weighs each reading by the processor
time that the Qt thread has used since the last one.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

TARGET_MS = 50
SAMPLE_S = 0.004
BEAT_MS = 2
# Marks the calls of this package.
OWN = "* "
PACKAGE = "napari_ct_assistant"
# Frames of the driver itself, below which the work of an event begins.
DRIVERS = ("benchmarks/", "qtpy", "QtTest")

# Functions from the outermost to the innermost, each as "file:function".
Stack = tuple[str, ...]


@dataclass
class Stall:
    """One time between two beats, in milliseconds, and where it went.

    Attributes
    ----------
    wall, work : float
        Wall time, and processor time of the Qt thread.
    during : str
        What the driver was doing, such as "key F8".
    where : Counter of Stack
        Processor time in milliseconds by stack.
    """

    wall: float
    work: float
    during: str
    where: Counter[Stack] = field(default_factory=Counter)

    def hottest(self, least: float = 0.2) -> list[str]:
        """Return the calls with at least that share of the stall, as an indented tree.

        Of a chain of calls that take the same time, only those of the package, the first and the
        last are named.
        """
        total = sum(self.where.values())
        lines: list[str] = []

        def descend(stacks: Counter[Stack], depth: int, indent: int, named: float) -> None:
            heads: dict[str, Counter[Stack]] = {}
            for stack, weight in stacks.items():
                if len(stack) > depth:
                    heads.setdefault(stack[depth], Counter())[stack] += weight
            large = {head: part for head, part in heads.items() if part.total() >= least * total}
            for head, part in sorted(large.items(), key=lambda one: -one[1].total()):
                weight = part.total()
                deeper = Counter(stack[depth + 1] for stack in part if len(stack) > depth + 1)
                last = not deeper or all(
                    sum(w for s, w in part.items() if s[depth + 1 : depth + 2] == (one,))
                    < 0.9 * weight
                    for one in deeper
                )
                shown = last or weight < 0.9 * named or head.startswith(OWN)
                if shown:
                    lines.append(f"{weight:6.0f} ms {'  ' * indent}{head.removeprefix(OWN)}")
                descend(part, depth + 1, indent + shown, weight if shown else named)

        descend(self.where, 0, 0, float("inf"))
        return lines


class StallWatch:
    """Notes each stall of the thread that makes it, which must be the Qt thread."""

    def __init__(self) -> None:
        from qtpy.QtCore import QTimer

        self.during = ""
        self.stalls: list[Stall] = []
        self._thread = threading.get_ident()
        self._clock = time.pthread_getcpuclockid(self._thread)
        self._where: Counter[Stack] = Counter()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._last = time.perf_counter(), time.thread_time()
        self._timer = QTimer()
        self._timer.timeout.connect(self._beat)
        self._timer.start(BEAT_MS)
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self._sampler.start()

    def take(self) -> list[Stall]:
        """Return the times between beats since the last call, the longest first."""
        self._beat()
        found, self.stalls = self.stalls, []
        return sorted(found, key=lambda each: -each.work)

    def stop(self) -> None:
        """Stop watching."""
        self._timer.stop()
        self._stop.set()
        self._sampler.join()

    def _beat(self) -> None:
        now = time.perf_counter(), time.thread_time()
        wall, work = (1000 * (new - old) for new, old in zip(now, self._last, strict=True))
        self._last = now
        with self._lock:
            where, self._where = self._where, Counter()
        self.stalls.append(Stall(wall, work, self.during, where))

    def _sample(self) -> None:
        used = time.clock_gettime(self._clock)
        while not self._stop.wait(SAMPLE_S):
            now = time.clock_gettime(self._clock)
            frame = sys._current_frames().get(self._thread)
            if frame is None:
                return
            stack = stack_of(frame)
            del frame
            with self._lock:
                self._where[stack] += 1000 * (now - used)  # type: ignore[assignment]
            used = now


def stack_of(frame: FrameType | None) -> Stack:
    """Return the calls of a frame inside the driver, outermost first."""
    calls: list[str] = []
    while frame is not None:
        code: Any = frame.f_code
        parts = Path(code.co_filename).parts
        name = (OWN if PACKAGE in parts else "") + "/".join(parts[-2:])
        if any(driver in name for driver in DRIVERS):
            break
        calls.append(f"{name}:{frame.f_lineno} {code.co_name}")
        frame = frame.f_back
    return tuple(reversed(calls))
