"""Garbage collection is postponed during large imports, and nothing escapes it afterwards."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from napari_ct_assistant.support.collector import (
    _exempt_the_rest,
    _waiting,
    collect_anywhere,
    collect_everything,
    collect_here_only,
    collect_if_due,
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


@pytest.fixture
def only_here() -> Iterator[None]:
    collect_here_only()
    yield
    collect_anywhere()


def test_only_one_thread_collects(only_here: None) -> None:
    threads: set[int] = set()

    def note(_phase: str, _info: dict[str, int]) -> None:
        threads.add(threading.get_ident())

    def make() -> weakref.ref[Node]:
        references = [weakref.ref(Node()) for _ in range(20_000)]
        return references[0]

    gc.callbacks.append(note)
    try:
        with ThreadPoolExecutor(1) as pool:
            gone = pool.submit(make).result()
            pool.submit(collect_if_due).result()
            assert threads == set()
            assert gone() is not None
            while gone() is not None:
                collect_if_due()
                pool.submit(make).result()
        assert threads == {threading.get_ident()}
    finally:
        gc.callbacks.remove(note)


def test_another_thread_waits_for_everything(only_here: None) -> None:
    gone = weakref.ref(Node())
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(collect_everything)
        while not asked.done():
            collect_if_due()
    assert gone() is None


def test_another_thread_goes_on_where_nobody_collects(
    only_here: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{collect_everything.__module__}.WAIT_SECONDS", 0.01)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(collect_everything).result(timeout=30)


def test_full_collections_wait_for_a_quarter_more(only_here: None) -> None:
    kept = [Node() for _ in range(400_000)]
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(collect_everything)
        while not asked.done():
            collect_if_due()
    full: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start" and info["generation"] == 2:
            full.append(info["generation"])

    gc.callbacks.append(note)
    try:
        for _ in range(60):  # below a quarter
            kept += [Node() for _ in range(1_000)]
            collect_if_due()
        assert full == []
        for _ in range(2_000):
            kept += [Node() for _ in range(1_000)]
            collect_if_due()
        assert 0 < len(full) < 20
    finally:
        gc.callbacks.remove(note)


def test_a_library_that_turns_it_on_does_not_matter(only_here: None) -> None:
    gc.enable()
    collect_if_due()
    assert not gc.isenabled()
    collect_anywhere()
    assert gc.isenabled()


def test_an_import_leaves_it_to_one_thread(only_here: None) -> None:
    with collection_postponed():
        pass
    assert not gc.isenabled()


def test_python_collects_again_while_the_window_is_away(
    only_here: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a notebook, where a cell may run for an hour without an event."""
    monkeypatch.setattr(f"{collect_everything.__module__}.AWAY_SECONDS", 0.05)
    collect_anywhere()
    collect_here_only()
    collect_if_due()
    assert not gc.isenabled()
    end = time.monotonic() + 30
    while not gc.isenabled() and time.monotonic() < end:
        time.sleep(0.01)
    assert gc.isenabled()
    collect_if_due()
    assert not gc.isenabled()


def test_what_was_exempt_meanwhile_is_freed_when_everything_is_asked_for(only_here: None) -> None:
    window = Window()
    keep_collections_short(window)
    try:
        gone = weakref.ref(Node())
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(collect_everything)
            while not _waiting:
                time.sleep(0.001)
            gc.freeze()  # as an import does that ends now
            collect_if_due()
            asked.result(timeout=30)
        assert gone() is None
    finally:
        stop_keeping_short(window)
