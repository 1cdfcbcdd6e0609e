"""The keyboard alone: keys that work wherever the focus is, and a whole reading by real keys."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from benchmarks.keyboard_reading import Hands, read, table
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QDockWidget, QWidget

from napari_ct_assistant.viewer.scan import scan_picker
from napari_ct_assistant.viewer.scan.layers import add_volume
from napari_ct_assistant.volume import CTVolume
from tests.viewer.scripted import ScriptedModel
from tests.volume.samples import save_series

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from napari_ct_assistant.viewer.panel import CTAssistantPanel

Maker = Callable[..., "CTAssistantPanel"]
CTRL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


def activate(window: QWidget, qtbot: QtBot) -> None:
    with qtbot.waitActive(window, timeout=20_000):
        window.activateWindow()


def press(key: Qt.Key, modifiers: Any = Qt.KeyboardModifier.NoModifier) -> None:
    """Press a key in the active window, as the window system does."""
    window = QApplication.activeWindow()
    assert window is not None
    QTest.keyClick(window.windowHandle(), key, modifiers)


def focus_canvas(panel: CTAssistantPanel, _qtbot: QtBot) -> None:
    panel.viewer.window._qt_viewer.canvas.native.setFocus()


def focus_question(panel: CTAssistantPanel, _qtbot: QtBot) -> None:
    panel.ask_row.box.setFocus()


def focus_layer_list(panel: CTAssistantPanel, _qtbot: QtBot) -> None:
    panel.viewer.window._qt_viewer.layers.setFocus()


def focus_report(panel: CTAssistantPanel, _qtbot: QtBot) -> None:
    tab = panel.report_controller.tab
    panel.tabs.setCurrentWidget(tab)
    tab.editor.setFocus()


def focus_floating_panel(panel: CTAssistantPanel, qtbot: QtBot) -> None:
    dock: Any = panel.parentWidget()
    while not isinstance(dock, QDockWidget):
        dock = dock.parentWidget()
    dock.setFloating(True)
    activate(dock.window(), qtbot)
    panel.ask_row.box.setFocus()


def focus_own_window(panel: CTAssistantPanel, qtbot: QtBot) -> None:
    tab = panel.report_controller.tab
    tab.tools.window_button.setChecked(True)
    activate(tab.window(), qtbot)
    tab.editor.setFocus()


PLACES = (
    focus_canvas, focus_question, focus_layer_list, focus_report, focus_floating_panel,
    focus_own_window,
)  # fmt: skip


@pytest.mark.parametrize("focus", PLACES, ids=lambda place: place.__name__)
def test_the_keys_work_wherever_the_focus_is(
    make_panel: Maker,
    ct: CTVolume,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
    focus: Callable[[CTAssistantPanel, QtBot], None],
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(scan_picker, "choose_folder", lambda *_: asked.append("folder") or "")
    panel = make_panel(ScriptedModel(), show=True)
    add_volume(panel.viewer, ct)
    tab = panel.report_controller.tab
    qtbot.waitUntil(lambda: not tab.editor.isReadOnly(), timeout=20_000)
    activate(panel.viewer.window._qt_window, qtbot)
    focus(panel, qtbot)
    # Ctrl+Shift+D: once, not an ambiguous twice.
    press(Qt.Key.Key_D, CTRL | SHIFT)
    assert asked == ["folder"]
    press(Qt.Key.Key_R, CTRL | SHIFT)
    qtbot.waitUntil(lambda: tab.editor.text.report().unreviewed > 0, timeout=20_000)
    qtbot.waitUntil(lambda: not panel.conversation.jobs.busy, timeout=20_000)
    own = tab.isWindow()
    press(Qt.Key.Key_F7)
    assert tab.isWindow() is not own
    wanted = tab.window()

    def is_active() -> bool:
        if QApplication.activeWindow() is not wanted:
            wanted.activateWindow()
        return QApplication.activeWindow() is wanted

    qtbot.waitUntil(is_active, timeout=20_000)
    press(Qt.Key.Key_F8)
    assert tab.review.active
    qtbot.waitUntil(is_active, timeout=20_000)
    press(Qt.Key.Key_F7)
    qtbot.waitUntil(lambda: tab.isWindow() is own)
    wanted = tab.window()
    qtbot.waitUntil(is_active, timeout=20_000)
    press(Qt.Key.Key_F4)
    canvas = panel.viewer.window._qt_viewer.canvas.native
    qtbot.waitUntil(lambda: QApplication.focusWidget() is canvas, timeout=20_000)


def test_a_whole_reading_without_the_mouse(
    make_panel: Maker,
    qtbot: QtBot,
    tmp_path: Path,
    data_home: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # Qt's dialogs, not the system's, in which a test cannot type.
    QApplication.setAttribute(Qt.ApplicationAttribute.AA_DontUseNativeDialogs)
    folder = save_series(tmp_path / "scan", [(0, 0, 3.0 * k) for k in range(12)], shape=(48, 48))
    panel = make_panel(ScriptedModel(), show=True)
    activate(panel.viewer.window._qt_window, qtbot)
    hands, out = Hands(panel.window()), tmp_path / "report.txt"
    read(hands, panel, folder, out)
    with capsys.disabled():
        print(f"\n{table(hands.steps)}")
    written = out.read_text(encoding="utf-8")
    assert "Signed off by Ada Reader" in written
    assert "MEASUREMENTS\nNodule: length" in written
    assert [step.name for step in hands.steps][-1] == "export"
    assert all(step.keys > 0 for step in hands.steps)
    report = panel.report_controller.tab.editor.text.report()
    assert report.unreviewed == 0
    assert [measurement.kind for _, measurement in report.measured()] == ["length"]
