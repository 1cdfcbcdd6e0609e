"""The end of the program while a call still runs in the background.

A thread that is in the middle of a long computation cannot be stopped from outside. If the
interpreter is taken down under it, the process aborts; if the interpreter waits for it, the
closed window leaves a process behind for minutes. So the calls are asked to end, are given a
moment, and then the process ends without them, after everything that was registered to run at
the end (the journal is written, temporary files are removed).
"""

from __future__ import annotations

import atexit
import concurrent.futures.thread  # noqa: F401 - registers its own hook, which must come after ours
import os
import sys
import threading
import time
from contextlib import suppress
from typing import Final, Protocol

from qtpy.QtCore import QCoreApplication

# How long calls have to end by themselves.
WAIT_SECONDS: Final = 0.7


class Running(Protocol):
    """A call in a thread."""

    def quit(self) -> None:
        """Ask it to end."""

    def is_alive(self) -> bool:
        """Return whether it runs."""

    def join(self, seconds: float) -> None:
        """Wait for its end, at most so long."""


_running: set[Running] = set()
_watched: set[int] = set()
_registered = False


def add(call: Running) -> None:
    """Remember a call that is about to start."""
    global _registered
    if not _registered:
        _registered = True
        # Before the interpreter waits for the threads of pools, which may take as long.
        register = getattr(threading, "_register_atexit", atexit.register)
        register(_leave)
    _running.add(call)


def discard(call: Running) -> None:
    """Forget a call that has ended."""
    _running.discard(call)


def watch(app: QCoreApplication | None) -> None:
    """Ask running calls to end when the application quits."""
    if app is not None and id(app) not in _watched:
        _watched.add(id(app))
        app.aboutToQuit.connect(stop_all)


def stop_all() -> None:
    """Ask every running call to end."""
    for call in list(_running):
        with suppress(Exception):
            call.quit()


def _leave() -> None:
    stop_all()
    end = time.monotonic() + WAIT_SECONDS
    for call in list(_running):
        call.join(max(0.0, end - time.monotonic()))
    if not any(call.is_alive() for call in list(_running)):
        return
    with suppress(Exception):
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    # The interpreter notes an exception that ended the program.
    os._exit(1 if getattr(sys, "last_type", None) is not None else 0)
