"""The width of the panel, as the reader dragged it, and the tool strip when the theme changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from qtpy.QtCore import QEvent, QPoint, QPointF, QRect, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication, QDockWidget, QMainWindow, QToolButton

from napari_ct_assistant.viewer.layout.button_column import ButtonColumn
from napari_ct_assistant.viewer.layout.tool_strip import ToolStrip
from napari_ct_assistant.viewer.preferences import load_preferences
from tests.viewer.mouse import wait_for_layout

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from napari_ct_assistant.viewer.panel import CTAssistantPanel

LEFT = Qt.MouseButton.LeftButton
Maker = Callable[..., "CTAssistantPanel"]


@pytest.fixture(autouse=True)
def widths() -> Iterator[Any]:
    """Forget the widths that another test dragged, and those of this one."""
    from napari.settings import get_plugin_settings

    display = get_plugin_settings("napari-ct-assistant").display
    display.reading_width = display.napari_width = 0
    yield display
    display.reading_width = display.napari_width = 0


def at(panel: CTAssistantPanel, width: int, height: int, qtbot: QtBot) -> QMainWindow:
    """Give the panel's window this size, and wait until it is laid out."""
    window = panel.window()
    assert isinstance(window, QMainWindow)
    window.resize(width, height)
    wait_for_layout(panel.viewer, qtbot)
    return window


def dock_of(panel: CTAssistantPanel) -> QDockWidget:
    dock = panel.parentWidget()
    while not isinstance(dock, QDockWidget):
        assert dock is not None
        dock = dock.parentWidget()
    return dock


def drag(panel: CTAssistantPanel, by: int, qtbot: QtBot) -> int:
    """Drag the edge between canvas and panel; return the panel's new width."""
    window, dock = panel.window(), dock_of(panel)
    assert isinstance(window, QMainWindow)
    left, right = window.centralWidget().geometry().right(), dock.geometry().left()
    edge = QPoint((left + right + 1) // 2, dock.geometry().center().y())
    before = dock.width()
    qtbot.mouseMove(window, edge)
    qtbot.mousePress(window, LEFT, pos=edge)
    for part in (1, 2):
        where = QPointF(edge + QPoint(part * by // 2, 0))
        none = Qt.KeyboardModifier.NoModifier
        at_screen = QPointF(window.mapToGlobal(where.toPoint()))
        kind = QEvent.Type.MouseMove
        QApplication.sendEvent(window, QMouseEvent(kind, where, at_screen, LEFT, LEFT, none))
        qtbot.wait(50)
    qtbot.mouseRelease(window, LEFT, pos=edge + QPoint(by, 0))
    wait_for_layout(panel.viewer, qtbot)
    assert dock.width() != before
    return dock.width()


def test_a_dragged_width_is_kept_for_each_layout(make_panel: Maker, qtbot: QtBot) -> None:
    panel = make_panel(show=True)
    panel.reading_layout.set_reading(True)
    at(panel, 1600, 900, qtbot)
    reading = drag(panel, -120, qtbot)
    assert load_preferences().reading_width == reading
    assert load_preferences().napari_width == 0
    panel.reading_layout.toggle()
    wait_for_layout(panel.viewer, qtbot)
    own = drag(panel, -60, qtbot)
    assert (load_preferences().reading_width, load_preferences().napari_width) == (reading, own)
    panel.reading_layout.toggle()
    qtbot.waitUntil(lambda: dock_of(panel).width() == reading, timeout=20_000)
    # Another size of the window leaves it as it is.
    at(panel, 1500, 850, qtbot)
    assert dock_of(panel).width() == reading
    panel.reading_layout.toggle()
    qtbot.waitUntil(lambda: dock_of(panel).width() == own, timeout=20_000)


def test_the_width_comes_back_with_the_next_start_and_fits_the_screen(
    make_panel: Maker, qtbot: QtBot, widths: Any
) -> None:
    widths.reading_width = 1100
    panel = make_panel(show=True)
    panel.reading_layout.set_reading(True)
    at(panel, 1800, 900, qtbot)
    qtbot.waitUntil(lambda: dock_of(panel).width() == 1100, timeout=20_000)
    # On a smaller screen the canvas keeps some room.
    window = at(panel, 1100, 700, qtbot)
    canvas = panel.viewer.window._qt_viewer.canvas.native
    assert window.width() == 1100
    assert canvas.width() >= 0.15 * window.width()
    assert window.rect().contains(QRect(panel.mapTo(window, QPoint()), panel.size()))
    assert load_preferences().reading_width == 1100


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_tool_stays_in_view_when_the_theme_is_switched(
    make_panel: Maker, qtbot: QtBot, theme: str
) -> None:
    panel = make_panel(show=True)
    panel.viewer.theme = "dark" if theme == "light" else "light"
    panel.reading_layout.set_reading(True)
    # What a screen of 1364 x 768 has room for at 150 %.
    at(panel, 909, 499, qtbot)
    strip = panel.view_bar.parentWidget()
    assert isinstance(strip, ToolStrip)
    panel.viewer.theme = theme
    wait_for_layout(panel.viewer, qtbot)
    for button in strip.buttons:
        assert strip.rect().contains(QRect(button.mapTo(strip, QPoint()), button.size()))


def test_a_strip_that_is_resized_while_it_is_fitted_keeps_room_for_its_columns(
    qtbot: QtBot,
) -> None:
    buttons = [QToolButton() for _number in range(10)]
    for number, button in enumerate(buttons):
        button.setText(f"Tool {number}")
    column = ButtonColumn([buttons])

    class Pushed(ToolStrip):
        """A strip that a wider neighbour makes lower as soon as it is narrow."""

        def resizeEvent(self, event: object) -> None:  # noqa: N802 - Qt's name
            super().resizeEvent(event)  # type: ignore[arg-type]
            if self.pushing and self.width() < 100:
                self.pushing = False
                self.resize(self.width(), 130)

        def setFixedWidth(self, width: int) -> None:  # noqa: N802 - Qt's name
            self.inside += 1
            self.deepest = max(self.deepest, self.inside)
            super().setFixedWidth(width)
            self.inside -= 1

        pushing = False
        inside = deepest = 0

    strip = Pushed([column], [column], {})
    qtbot.addWidget(strip)
    strip.resize(60, 130)
    strip.show()
    assert column._columns > 1
    strip.pushing = True
    strip.resize(strip.width(), 900)
    # Inside another call, Qt ends up with a largest width below the smallest one.
    assert strip.deepest == 1
    for button in buttons:
        assert strip.rect().contains(QRect(button.mapTo(strip, QPoint()), button.size()))
    assert strip.minimumWidth() == strip.maximumWidth() == strip.width()
