"""Progress on stderr: how much is done and how long the rest takes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer

Progress = Callable[[int, int], None]
"""Called with (done, total)."""


class _Clock:
    """Time since the start and since the last line."""

    def __init__(self) -> None:
        self.start = time.monotonic()
        self.last: float | None = None

    def due(self, seconds: float) -> bool:
        """Return whether the last line is at least `seconds` old, and restart that count if so."""
        now = time.monotonic()
        if self.last is not None and now - self.last < seconds:
            return False
        self.last = now
        return True

    @property
    def elapsed(self) -> float:
        """Seconds since the start; never zero."""
        return max(time.monotonic() - self.start, 1e-3)


@contextmanager
def count_progress(what: str) -> Iterator[Progress]:
    """Yield a function that shows "what: 3 of 10" and the minutes left.

    A terminal line is redrawn every second; elsewhere a line is written every 30 seconds.
    """
    clock, first, terminal = _Clock(), -1, sys.stderr.isatty()

    def show(done: int, total: int) -> None:
        nonlocal first
        first = done if first < 0 else first
        if not clock.due(1 if terminal else 30) and done < total:
            return
        rate = (done - first) / clock.elapsed
        left = f", {(total - done) / rate / 60:.0f} min left" if rate and done < total else ""
        text = f"{what}: {done} of {total}{left}"
        typer.echo(f"\r{text}   " if terminal else text, nl=not terminal, err=True)

    yield show
    if terminal:
        typer.echo("", err=True)


@contextmanager
def byte_progress() -> Iterator[Progress]:
    """Yield a function that shows per cent, GB and MB/s in a terminal, and nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    clock = _Clock()

    def show(done: int, total: int) -> None:
        if not clock.due(0.2) and done < total:
            return
        share = done / total if total else 1.0
        typer.echo(
            f"\r{share:4.0%}  {done / 1e9:.2f} of {total / 1e9:.2f} GB  "
            f"{done / clock.elapsed / 1e6:.0f} MB/s   ",
            nl=False,
            err=True,
        )

    try:
        yield show
    finally:
        if clock.last is not None:
            typer.echo("", err=True)
