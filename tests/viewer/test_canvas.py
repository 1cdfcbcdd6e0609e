"""The canvas is drawn when the scan on it is complete."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from qtpy.QtOpenGLWidgets import QOpenGLWidget

from napari_ct_assistant.viewer.canvas import undrawn
from napari_ct_assistant.viewer.scan.layers import add_volume

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from napari_ct_assistant.viewer.panel import CTAssistantPanel
    from napari_ct_assistant.volume import CTVolume


@pytest.fixture
def panel(make_panel: Callable[..., CTAssistantPanel]) -> CTAssistantPanel:
    panel = make_panel(show=True)
    panel.viewer.window._qt_viewer.show_welcome_screen = True
    return panel


def test_the_first_scan_is_drawn_once_it_is_complete(
    panel: CTAssistantPanel, ct: CTVolume, qtbot: QtBot
) -> None:
    drawings: list[int] = []
    canvas = panel.viewer.window._qt_viewer.canvas._scene_canvas
    canvas.events.draw.connect(lambda _event: drawings.append(len(panel.viewer.layers)))
    with undrawn(panel.window()):
        add_volume(panel.viewer, ct)
        assert drawings == []
    qtbot.waitUntil(lambda: bool(drawings))
    assert set(drawings) == {1}


def test_canvases_are_drawn_again_where_opening_fails(
    panel: CTAssistantPanel, qtbot: QtBot
) -> None:
    window = panel.window()
    with pytest.raises(ValueError, match="no memory"), undrawn(window), undrawn(window):
        raise ValueError("no memory")
    canvases = window.findChildren(QOpenGLWidget)
    assert canvases
    qtbot.waitUntil(lambda: all(canvas.updatesEnabled() for canvas in canvases))
