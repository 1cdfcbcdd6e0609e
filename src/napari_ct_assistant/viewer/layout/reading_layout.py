"""The reading layout: the canvas and the panel fill the window, napari's layer docks are folded."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Final

from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QObject, Qt, QTimer, Signal
from qtpy.QtWidgets import (
    QBoxLayout,
    QDockWidget,
    QMainWindow,
    QShortcut,
    QToolBar,
    QToolButton,
    QWidget,
)

from napari_ct_assistant.support.translation import _
from napari_ct_assistant.viewer.layout.position_strip import PositionStrip
from napari_ct_assistant.viewer.layout.text_columns import TextColumns
from napari_ct_assistant.viewer.layout.tool_strip import ToolStrip
from napari_ct_assistant.viewer.widgets import add_shortcuts, remove_shortcuts

LAYOUT_KEY: Final = "F6"
# The least share of the window that is left to the canvas.
CANVAS_SHARE: Final = 0.515
# The names that napari gives to the numbers beside its sliders.
SLIDER_NUMBERS: Final = ("slice_label", "slice_label_sep")
# The height of napari's slider below the canvas, in lines of text.
SLIDER_LINES: Final = 2
# A main window sets the sizes of its docks some time after it was resized.
SETTLE_MS: Final = 150
# The least share of the window's width for the canvas beside a panel as wide as the reader made it.
LEAST_CANVAS: Final = 0.2


class ReadingLayout(QObject):
    """Puts the strips of tools at the canvas, and switches between two layouts of the window.

    In the reading layout, the docks to the left of the canvas and the status bar are hidden, and
    the panel is as wide as its texts need while the canvas keeps half of the window.

    Parameters
    ----------
    panel : QWidget
        The docked panel.
    columns : TextColumns
        The columns of text in it.
    tools : ToolStrip
        Placed to the left of the canvas.
    position : PositionStrip
        Placed below the canvas.
    button : QToolButton
        Switches the layout, as `LAYOUT_KEY` does.
    widths : mapping of bool to int
        The panel's width in the reading layout (True) and in napari's, as the reader dragged it;
        0 where nobody has.

    Signals
    -------
    changed : bool
        The reader switched to the reading layout (True) or back to napari's.
    dragged : bool, int
        The reader gave the panel another width in this layout.
    """

    changed = Signal(bool)
    dragged = Signal(bool, int)

    def __init__(
        self,
        panel: QWidget,
        columns: TextColumns,
        tools: ToolStrip,
        position: PositionStrip,
        button: QToolButton,
        widths: Mapping[bool, int] | None = None,
    ) -> None:
        super().__init__(panel)
        self._panel, self._columns = panel, columns
        self._tools, self._position, self._button = tools, position, button
        self._window_ref: weakref.ref[QMainWindow] | None = None
        self._bar: QToolBar | None = None
        self._shortcuts: list[QShortcut] = []
        self._folded: list[QDockWidget] = []
        # Napari's docks that stand beside the canvas again, and those that a tab hides.
        self._beside: list[QDockWidget] = []
        self._tabbed: list[QDockWidget] = []
        self._width = 0  # of the dock when the mouse was pressed
        self._widths = {True: 0, False: 0} | dict(widths or {})
        self.reading = self._wanted = False
        self._released = QTimer(self)
        self._released.setSingleShot(True)
        self._released.timeout.connect(self._keep_width)
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(SETTLE_MS)
        self._settle.timeout.connect(self._set_width)
        button.clicked.connect(self.toggle)

    @property
    def _window(self) -> QMainWindow | None:
        """The panel's window; a strong reference would keep it alive after it was closed."""
        window = None if self._window_ref is None else self._window_ref()
        return window if window is not None and isalive(window) else None

    def attach(self, window: QMainWindow) -> None:
        """Place the strips in the panel's window, once."""
        if self._window is not None:
            return
        self._window_ref = weakref.ref(window)
        centre = window.centralWidget()
        frame = None if centre is None else centre.layout()
        if isinstance(frame, QBoxLayout):
            frame.insertWidget(0, self._tools)
            self._tools.show()
        self._bar = QToolBar(_("Position"))
        self._bar.setObjectName("ct_position")
        self._bar.setMovable(False)
        self._bar.addWidget(self._position).setVisible(True)
        window.addToolBar(Qt.ToolBarArea.BottomToolBarArea, self._bar)
        window.installEventFilter(self)
        self._shortcuts = add_shortcuts(window, [(LAYOUT_KEY, self.toggle)], whole_window=True)
        if self._wanted:
            self.set_reading(True)
        else:
            self._settle.start()

    def detach(self) -> None:
        """Take the strips out of the window, and show napari's layout."""
        window, self._window_ref = self._window, None
        if window is None:
            return
        self._settle.stop()
        self._released.stop()
        window.removeEventFilter(self)
        remove_shortcuts(self._shortcuts)
        self._unfold(window)
        for strip in (self._tools, self._position):
            strip.hide()
            strip.setParent(self._panel)
        if self._bar is not None:
            window.removeToolBar(self._bar)
            self._bar.deleteLater()
            self._bar = None

    def set_style(self, style: str) -> None:
        """Use the panel's style sheet in the strips, which are outside the panel."""
        for strip in (self._tools, self._position):
            strip.setStyleSheet(style)

    def toggle(self) -> None:
        """Switch to the reading layout, or back to napari's."""
        self.set_reading(not self.reading)
        self.changed.emit(self.reading)

    def set_reading(self, on: bool) -> None:
        """Show the reading layout or napari's, as soon as the panel is in a window."""
        self._wanted = on
        self._button.setChecked(on)
        window = self._window
        if on == self.reading or window is None:
            return
        if on:
            self.reading = True
            for dock in self._tabbed:
                if isalive(dock):
                    window.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, dock)
            self._tabbed, self._beside = [], []
            self._folded = [
                dock for dock in window.findChildren(QDockWidget) if _left(window, dock)
            ]
            for dock in self._folded:
                dock.hide()
            window.statusBar().hide()
            self.show_slider_numbers()
            self._set_width()
            # Sizes are final only after the window's own layout.
            self._settle.start()
        else:
            self._unfold(window)

    def _unfold(self, window: QMainWindow) -> None:
        if not self.reading:
            return
        self.reading = False
        self._button.setChecked(False)
        for dock in self._folded:
            if isalive(dock):
                dock.show()
        self._beside, self._folded = self._folded, []
        window.statusBar().show()
        self.show_slider_numbers()
        self._settle.start()

    def _tab_docks(self, window: QMainWindow, panel: QDockWidget) -> None:
        """Put napari's docks behind tabs at the panel if the window is wider than its screen."""
        if window.minimumSizeHint().width() <= window.screen().availableSize().width():
            return
        for dock in self._beside:
            if isalive(dock):
                window.tabifyDockWidget(panel, dock)
                self._tabbed.append(dock)
        self._beside = []
        panel.raise_()
        window.resize(window.screen().availableSize().width(), window.height())

    def show_slider_numbers(self, event: object = None) -> None:  # noqa: ARG002 - napari passes it
        """Show the numbers beside napari's sliders in napari's layout only.

        They count images from 0, and the number on the picture counts from 1.
        """
        window = self._window
        if window is not None:
            for name in SLIDER_NUMBERS:
                for label in window.findChildren(QWidget, name):
                    label.setVisible(not self.reading)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Set the panel's width when the window has another size; keep the one that is dragged."""
        kind = event.type()
        if kind == QEvent.Type.Resize:
            self._settle.start()
        # The window itself gets the mouse only between its docks.
        elif kind in (QEvent.Type.MouseButtonPress, QEvent.Type.MouseButtonRelease):
            dock = _dock_of(self._panel) if isalive(self._panel) else None
            if dock is not None and kind == QEvent.Type.MouseButtonPress:
                self._width = dock.width()
            elif dock is not None:
                # The window moves its docks after this event.
                self._released.start()
        return bool(super().eventFilter(watched, event))

    def _keep_width(self) -> None:
        """Keep the width that the reader gave the panel."""
        dock = _dock_of(self._panel)
        if dock is None or dock.isFloating() or dock.width() == self._width:
            return
        self._widths[self.reading] = dock.width()
        self.dragged.emit(self.reading, dock.width())

    def _set_width(self) -> None:
        """Give the panel the width for this window."""
        window, dock = self._window, _dock_of(self._panel)
        if window is None or dock is None or dock.isFloating():
            return
        if not self.reading:
            self._tab_docks(window, dock)
        if not (self.reading or self._widths[False]):
            return  # napari's own
        if window.dockWidgetArea(dock) not in (
            Qt.DockWidgetArea.LeftDockWidgetArea,
            Qt.DockWidgetArea.RightDockWidgetArea,
        ):
            return
        kept = self._widths[self.reading]
        width = self._within(window, kept) if kept else self.panel_width(window)
        window.resizeDocks([dock], [width], Qt.Orientation.Horizontal)

    def _within(self, window: QMainWindow, width: int) -> int:
        """Return a width that leaves room for the canvas in a window of this size."""
        most = int(window.width() * (1 - LEAST_CANVAS)) - self._tools.width()
        return max(self._panel.minimumSizeHint().width(), min(width, most))

    def panel_width(self, window: QMainWindow) -> int:
        """Return the width of the panel in a window of this size."""
        slider = SLIDER_LINES * self._panel.fontMetrics().height()
        height = max(window.centralWidget().height() - slider, 1)
        canvas = CANVAS_SHARE * window.width() * window.height() / height
        most = int(window.width() - self._tools.width() - canvas)
        margins = self._panel.contentsMargins()
        two = self._columns.beside_width + margins.left() + margins.right() + 24
        if most >= two:
            return min(most, two * 5 // 4)
        one = self._columns.sizeHint().width() + margins.left() + margins.right()
        return max(self._panel.minimumSizeHint().width(), min(most, one))


def _left(window: QMainWindow, dock: QDockWidget) -> bool:
    """Return whether a dock stands to the left of the canvas."""
    return (
        not dock.isHidden()
        and not dock.isFloating()
        and window.dockWidgetArea(dock) == Qt.DockWidgetArea.LeftDockWidgetArea
    )


def _dock_of(widget: QWidget) -> QDockWidget | None:
    """Return the dock that contains `widget`."""
    parent = widget.parentWidget()
    while parent is not None and not isinstance(parent, QDockWidget):
        parent = parent.parentWidget()
    return parent
