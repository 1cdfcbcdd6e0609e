"""Keeps Python's garbage collector from standing in the way of large imports."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_depth = 0
_was_on = False


@contextmanager
def collection_postponed() -> Iterator[None]:
    """Collect no garbage meanwhile; for imports of libraries such as torch and transformers.

    They make some hundred thousand objects that stay. Each time their number has grown by a
    quarter, the collector looks at all of them, and while it does, no thread of the program runs:
    a window stands still for a quarter of a second or more, several times during one import.
    Afterwards, what was made counts as old without a search. Nothing is exempt for good: the next
    full collection looks at everything.
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
                if gc.get_freeze_count() == 0:
                    # Objects that somebody else has exempted would become ordinary ones again.
                    gc.freeze()
                    gc.unfreeze()
                if _was_on:
                    gc.enable()
