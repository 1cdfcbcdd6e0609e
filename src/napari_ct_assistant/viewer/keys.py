"""The keys that work wherever the focus is: on the canvas, in a dock, in the report's window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from napari_ct_assistant.viewer.widgets import add_shortcuts, remove_shortcuts

if TYPE_CHECKING:
    from qtpy.QtWidgets import QMainWindow, QShortcut

    from napari_ct_assistant.viewer.report.tab import ReportTab

Action = tuple[str, Callable[[], Any]]


class WindowKeys(QObject):
    """Gives the main window and the report's own window the same keys.

    A floating dock is a tool window of the main window, whose keys Qt passes on.

    Parameters
    ----------
    actions : sequence of (str, callable)
        The keys of the panel.
    report : ReportTab
        Whose keys bring the report to the front first.
    review, show_report : callable
        What F8 does, and how the report comes to the front.
    stop : callable
        What Esc does while something runs.
    """

    def __init__(
        self,
        actions: Sequence[Action],
        report: ReportTab,
        review: Callable[[], None],
        show_report: Callable[[], None],
        stop: Callable[[], None],
    ) -> None:
        super().__init__(report)
        self._stop, self._show_report = stop, show_report
        self._made: list[QShortcut] = []
        self._stopping: list[QShortcut] = []
        self._busy = False
        own: list[Action] = [
            (key, partial(self._in_report, action)) for key, action in report.keys if key != "F7"
        ]
        own += [(key, action) for key, action in report.keys if key == "F7"]
        self._actions = [
            *((key, review if key == "F8" else action) for key, action in own),
            *actions,
        ]
        report.add_keys([*actions, ("Esc", stop)])

    def _in_report(self, action: Callable[[], Any]) -> None:
        self._show_report()
        action()

    def attach(self, window: QMainWindow) -> None:
        """Let the keys work in the main window; called when the panel is shown."""
        if not self._made:
            self._made = add_shortcuts(window, self._actions, whole_window=True)
            self._stopping = add_shortcuts(window, [("Esc", self._stop)], whole_window=True)
            self.set_busy(self._busy)

    def detach(self) -> None:
        """Give the keys back; called when the panel is closed."""
        remove_shortcuts(self._made)
        remove_shortcuts(self._stopping)

    def set_busy(self, busy: bool) -> None:
        """Let Esc stop what runs; otherwise the key is left to whoever has the focus."""
        self._busy = busy
        for shortcut in self._stopping:
            shortcut.setEnabled(busy)
