"""The texts of the canvas are drawn once before the first scan, and nothing of it stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_ct_assistant.viewer.views import warm_up
from napari_ct_assistant.viewer.views.letters import AnatomicalLetters
from napari_ct_assistant.viewer.views.warm_up import KEY, CanvasWarmUp

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot


@pytest.fixture
def viewer(monkeypatch: pytest.MonkeyPatch) -> ViewerModel:
    monkeypatch.setattr(warm_up, "BEFORE_MS", 1)
    monkeypatch.setattr(warm_up, "BETWEEN_MS", 1)
    viewer = ViewerModel()
    AnatomicalLetters(viewer)
    return viewer


def state(viewer: ViewerModel) -> dict[str, tuple[Any, ...]]:
    overlays = dict(viewer.canvas.overlays)
    return {name: (one.visible, one.opacity) for name, one in overlays.items()}


def test_every_text_is_drawn_and_the_canvas_is_as_before(viewer: ViewerModel, qtbot: QtBot) -> None:
    before, drawn = state(viewer), set()
    for name, overlay in viewer.canvas.overlays.items():
        overlay.events.visible.connect(lambda _event, name=name: drawn.add(name))
    warming = CanvasWarmUp(viewer)
    warming.start()
    assert KEY not in viewer.canvas.overlays
    qtbot.waitUntil(lambda: KEY in viewer.canvas.overlays, timeout=5000)
    assert viewer.canvas.overlays[KEY].opacity == 0
    qtbot.waitUntil(lambda: not warming.busy, timeout=10_000)
    assert drawn == {"ct_top", "ct_bottom", "ct_left", "ct_right", "scale_bar"}
    assert state(viewer) == before


@pytest.mark.parametrize("wait", [KEY, "ct_left"])
def test_a_scan_ends_it(
    viewer: ViewerModel, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch, wait: str
) -> None:
    monkeypatch.setattr(warm_up, "BETWEEN_MS", 25)
    before = state(viewer)
    warming = CanvasWarmUp(viewer)
    warming.start()
    overlays = viewer.canvas.overlays
    qtbot.waitUntil(lambda: wait in overlays and overlays[wait].visible, timeout=10_000)
    viewer.add_image(np.zeros((3, 4, 4)))
    qtbot.waitUntil(lambda: not warming.busy, timeout=5000)
    assert KEY not in overlays
    assert {name: one[1] for name, one in state(viewer).items()} == {
        name: one[1] for name, one in before.items()
    }


def test_it_never_starts_beside_a_layer(viewer: ViewerModel) -> None:
    viewer.add_image(np.zeros((3, 4, 4)))
    warming = CanvasWarmUp(viewer)
    warming.start()
    assert not warming.busy
