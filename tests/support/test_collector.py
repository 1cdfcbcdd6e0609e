"""Garbage collection is postponed during large imports, and nothing escapes it afterwards."""

from __future__ import annotations

import gc
import weakref
from typing import Any

from napari_ct_assistant.support.collector import (
    _exempt_the_rest,
    collection_postponed,
    keep_collections_short,
    look_at_everything,
    stop_keeping_short,
)


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


class Window:
    """What `keep_collections_short` refers to weakly."""


def test_while_a_window_is_open_what_stays_is_looked_at_once() -> None:
    window = Window()
    keep_collections_short(window)
    try:
        old = Node()
        gone = weakref.ref(old)
        gc.collect()
        del old
        gc.collect()
        assert gone() is not None  # it was exempt when it became garbage
        new = weakref.ref(Node())
        gc.collect()
        assert new() is None
        look_at_everything()
        gc.collect()
        assert gone() is None
    finally:
        stop_keeping_short(window)
    assert gc.get_freeze_count() == 0
    assert _exempt_the_rest not in gc.callbacks


def test_an_import_while_a_window_is_open_is_exempt() -> None:
    window = Window()
    keep_collections_short(window)
    try:
        before = gc.get_freeze_count()
        with collection_postponed():
            made = [Node() for _ in range(1000)]
        assert gc.get_freeze_count() >= before + len(made)
    finally:
        stop_keeping_short(window)


def test_a_window_that_was_forgotten_exempts_nothing() -> None:
    keep_collections_short(Window())
    gc.unfreeze()
    gc.collect()
    assert gc.get_freeze_count() == 0
