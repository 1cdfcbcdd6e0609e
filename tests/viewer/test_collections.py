"""Garbage is collected in the window's thread, briefly, and nothing is forgotten for good."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from napari_ct_assistant.support.collector import keep_collections_short
from tests.viewer.conftest import PANEL

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from napari_ct_assistant.viewer.panel import CTAssistantPanel


def test_a_docked_panel_keeps_full_collections_short(
    make_panel: Callable[..., CTAssistantPanel], monkeypatch: pytest.MonkeyPatch
) -> None:
    def collection() -> float:
        begin = time.process_time()
        gc.collect()
        return time.process_time() - begin

    gc.collect()
    whole = collection()
    monkeypatch.setattr(f"{PANEL}.keep_collections_short", keep_collections_short)
    panel = make_panel()
    try:
        assert gc.get_freeze_count() > 100_000
        assert collection() < whole / 2
    finally:
        window = panel.viewer.window
        window.remove_dock_widget(panel)
    assert gc.get_freeze_count() == 0
    # The fixture wants its panel back.
    monkeypatch.undo()
    monkeypatch.setattr(f"{PANEL}.keep_collections_short", lambda _: None)
    window.add_dock_widget(panel)


def test_threads_that_work_free_no_widgets(
    make_panel: Callable[..., CTAssistantPanel], qtbot: QtBot
) -> None:
    """Qt would destroy them there while the window still sends them events."""
    make_panel()
    threads: set[int] = set()

    def note(_phase: str, _info: dict[str, int]) -> None:
        threads.add(threading.get_ident())

    def make() -> weakref.ref[type]:
        references = [weakref.ref(type("Cycle", (), {})) for _ in range(5_000)]
        return references[0]

    gc.callbacks.append(note)
    try:
        with ThreadPoolExecutor(1) as pool:
            gone = pool.submit(make).result()
        assert threads == set()
        qtbot.waitUntil(lambda: bool(threads), timeout=10_000)
        assert threads == {threading.get_ident()}
        gc.collect()
        assert gone() is None
    finally:
        gc.callbacks.remove(note)
