"""Garbage collection is postponed during large imports, and nothing escapes it afterwards."""

from __future__ import annotations

import gc
import weakref
from typing import Any

from napari_ct_assistant.support.collector import collection_postponed


class Node:
    """Refers to itself: only the collector frees it."""

    def __init__(self) -> None:
        self.me: Any = self


def test_nothing_is_collected_meanwhile() -> None:
    collections: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        collections.append(info["generation"])

    gc.callbacks.append(note)
    try:
        with collection_postponed(), collection_postponed():
            made = [Node() for _ in range(20_000)]
        # What was made is old now: the next small collection does not look at it.
        assert collections == []
        assert gc.get_count()[0] < gc.get_threshold()[0]
    finally:
        gc.callbacks.remove(note)
    assert gc.isenabled()
    assert len(made) == 20_000


def test_what_was_made_meanwhile_is_freed_later() -> None:
    with collection_postponed():
        gone = weakref.ref(Node())
        assert gone() is not None
    assert gc.get_freeze_count() == 0
    gc.collect()
    assert gone() is None


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with collection_postponed():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_an_error_turns_it_on_again() -> None:
    try:
        with collection_postponed():
            raise ImportError
    except ImportError:
        pass
    assert gc.isenabled()
