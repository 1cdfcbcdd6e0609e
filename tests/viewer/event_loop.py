"""Watches the event loop: how long the Qt thread works without letting it run."""

from __future__ import annotations

import time

from qtpy.QtCore import QTimer


class EventLoopMonitor:
    """Measures each pause of the event loop in wall time and in processor time of the Qt thread.

    Tests limit the processor time: it is the code's own work, whatever else the machine does.
    The wall time, which a user feels, is only printed.

    Attributes
    ----------
    wall, work : list of float
        Milliseconds from one beat of a 2 ms timer to the next.
    """

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.work: list[float] = []
        self._timer = QTimer()
        self._timer.timeout.connect(self._beat)

    def __enter__(self) -> EventLoopMonitor:
        self._last = time.perf_counter(), time.thread_time()
        self._timer.start(2)
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.stop()

    def _beat(self) -> None:
        now = time.perf_counter(), time.thread_time()
        self.wall.append(1000 * (now[0] - self._last[0]))
        self.work.append(1000 * (now[1] - self._last[1]))
        self._last = now

    def work_percentile(self, percent: float) -> float:
        """Return the processor time (ms) that `percent` % of the pauses stay below."""
        return sorted(self.work)[min(len(self.work) - 1, int(percent / 100 * len(self.work)))]

    def summary(self, what: str) -> str:
        """Return the figures as one line."""
        return (
            f"{what}: longest stall {max(self.wall):.0f} ms of wall time, {max(self.work):.0f} ms "
            f"of processor time (95th percentile {self.work_percentile(95):.0f}, "
            f"{len(self.work)} beats)"
        )
