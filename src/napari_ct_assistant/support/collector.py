"""Keeps Python's garbage collector from standing in the way: of large imports, and of a window.

A full collection looks at every object that a program has. With napari and torch these are more
than a million, and while it looks, for a quarter of a second or more, a window stands still.
Nearly all of them are modules, classes and widgets, which stay.
"""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_depth = 0
_was_on = False
# The windows that are open. Once one is forgotten, nothing is exempt for it any more.
_windows: weakref.WeakSet[object] = weakref.WeakSet()


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


def _exempt_the_rest(phase: str, info: dict[str, int]) -> None:
    if phase == "stop" and info["generation"] == 2 and _windows:
        gc.freeze()


@contextmanager
def collection_postponed() -> Iterator[None]:
    """Collect no garbage meanwhile; for imports of libraries such as torch and transformers.

    They make some hundred thousand objects that stay. Each time their number has grown by a
    quarter, the collector looks at all of them, and while it does, no thread of the program runs:
    a window stands still for a quarter of a second or more, several times during one import.
    Afterwards, what was made counts as old without a search. Without a window, nothing is exempt
    for good: the next full collection looks at everything.
    """
    global _depth, _was_on
    with _lock:
        if _depth == 0:
            _was_on = gc.isenabled()
            gc.disable()
        _depth += 1
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if _depth == 0:
                if _windows:
                    gc.freeze()
                elif gc.get_freeze_count() == 0:
                    # Objects that somebody else has exempted would become ordinary ones again.
                    gc.freeze()
                    gc.unfreeze()
                if _was_on:
                    gc.enable()
