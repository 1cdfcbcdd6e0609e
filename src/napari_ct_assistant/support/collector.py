"""Keeps Python's garbage collector out of the way: of large imports, of a window, of its widgets.

A full collection looks at every object that a program has. With napari and torch these are more
than a million, and while it looks, for a quarter of a second or more, a window stands still.
Nearly all of them are modules, classes and widgets, which stay.

A collection runs in whichever thread happens to make the next object. Widgets that it frees in
another thread than the window's take the program down with them: Qt destroys them there while the
window still sends them events, and functions connected to them are called half cleared.
"""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

WAIT_SECONDS = 2.0
"""How long another thread waits for the window's thread to collect; it goes on without it then."""
AWAY_SECONDS = 10.0
"""How long a window's thread may do something else before Python collects again."""

_lock = threading.Lock()
_postponed = 0
_was_on: bool | None = None  # before it was turned off here; None while it was not
_thread: int | None = None  # the only one that collects
_waiting: deque[threading.Event] = deque()
_looked = 0.0  # when the window's thread was here last
_left = threading.Event()
_kept = 0  # objects left by the last full collection
# The windows that are open. Once one is forgotten, nothing is exempt for it any more.
_windows: weakref.WeakSet[object] = weakref.WeakSet()


def collect_here_only() -> None:
    """Collect in the calling thread alone, when it calls `collect_if_due`; a window's thread.

    If it does not for some seconds, Python collects as usual until it comes back: a window may
    have no events for a long time, as in a notebook.
    """
    global _thread, _looked, _left
    with _lock:
        if _thread is None:
            _left = threading.Event()
            threading.Thread(target=_watch, args=(_left,), daemon=True).start()
        _thread, _looked = threading.get_ident(), time.monotonic()
        _switch()


def collect_anywhere() -> None:
    """Leave collections to Python again."""
    global _thread
    with _lock:
        _thread = None
        _left.set()
        _switch()
        while _waiting:
            _waiting.popleft().set()


def collect_if_due() -> None:
    """Collect what Python would have collected by now; called again and again by a window."""
    global _kept, _looked
    if _thread != threading.get_ident() or _postponed:
        return
    _looked = time.monotonic()
    gc.disable()  # a library may have turned it on
    young, middle, old = gc.get_count()
    small, medium, large = gc.get_threshold()
    # Python's own rule: a quarter more than the last full collection left.
    if _waiting or (old > large and old * small * max(medium, 1) > _kept / 4):
        asked = [_waiting.popleft() for _ in range(len(_waiting))]
        if asked:
            look_at_everything()
        gc.collect()
        _kept = len(gc.get_objects())
        for each in asked:
            each.set()
    elif middle > medium:
        gc.collect(1)
    elif young > small:
        gc.collect(0)


def collect_everything() -> None:
    """Free all garbage now; from another thread than a window's, wait until that has done it."""
    look_at_everything()
    if _thread in (None, threading.get_ident()):
        gc.collect()
        return
    done = threading.Event()
    _waiting.append(done)
    done.wait(WAIT_SECONDS)


def keep_collections_short(window: object) -> None:
    """Exempt what exists from collection for as long as a window is open.

    What is left by a full collection is exempt from the next one, too. `look_at_everything` ends
    that where something large was let go.
    """
    _windows.add(window)
    if _exempt_the_rest not in gc.callbacks:
        gc.callbacks.append(_exempt_the_rest)
    gc.freeze()


def stop_keeping_short(window: object) -> None:
    """Let the next full collection look at everything again; called when a window is closed."""
    _windows.discard(window)
    if not _windows:
        if _exempt_the_rest in gc.callbacks:
            gc.callbacks.remove(_exempt_the_rest)
        gc.unfreeze()


def look_at_everything() -> None:
    """Let the next full collection look at everything; called when something large is let go."""
    if _windows:
        gc.unfreeze()


def _watch(left: threading.Event) -> None:
    while not left.wait(AWAY_SECONDS):
        with _lock:
            away = time.monotonic() - _looked > AWAY_SECONDS
            if away and _was_on and not _postponed and not left.is_set():
                gc.enable()


def _exempt_the_rest(phase: str, info: dict[str, int]) -> None:
    if phase == "stop" and info["generation"] == 2 and _windows:
        gc.freeze()


def _switch() -> None:
    """Turn the collector off while it is postponed or left to one thread; then as it was."""
    global _was_on
    if _postponed or _thread is not None:
        if _was_on is None:
            _was_on = gc.isenabled()
        gc.disable()
    elif _was_on is not None:
        if _was_on:
            gc.enable()
        _was_on = None


@contextmanager
def collection_postponed() -> Iterator[None]:
    """Collect no garbage meanwhile; for imports of libraries such as torch and transformers.

    They make some hundred thousand objects that stay. Each time their number has grown by a
    quarter, the collector looks at all of them, and while it does, no thread of the program runs:
    a window stands still for a quarter of a second or more, several times during one import.
    Afterwards, what was made counts as old without a search. Without a window, nothing is exempt
    for good: the next full collection looks at everything.
    """
    global _postponed
    with _lock:
        _postponed += 1
        _switch()
    try:
        yield
    finally:
        with _lock:
            _postponed -= 1
            if _postponed == 0:
                if _windows:
                    gc.freeze()
                elif gc.get_freeze_count() == 0:
                    # Objects that somebody else has exempted would become ordinary ones again.
                    gc.freeze()
                    gc.unfreeze()
            _switch()
