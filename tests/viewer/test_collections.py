"""The collector of garbage does not make the window stand still, and forgets nothing for good."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from napari_ct_assistant.support.collector import keep_collections_short
from tests.viewer.conftest import PANEL

if TYPE_CHECKING:
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
