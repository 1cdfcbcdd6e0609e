"""The panel's texts: in one column of tabs or, where there is room, with the report beside it."""

from __future__ import annotations

from typing import Final

from qtpy.QtCore import QEvent, QObject, QSize, Qt, Signal
from qtpy.QtGui import QResizeEvent, QShowEvent
from qtpy.QtWidgets import QSizePolicy, QSplitter, QTabWidget, QVBoxLayout, QWidget

from napari_ct_assistant.support.translation import N_, _

# The least width of a column beside another one, in characters.
COLUMN: Final = 53
# The width of a single column, in characters.
ONE_COLUMN: Final = 82
REPORT: Final = N_("Report")
# Below this height, in lines of text, the rows around the report are folded.
LOW_LINES: Final = 24


class TextColumns(QSplitter):
    """Transcript, report and findings as tabs; the report stands beside them in a wide panel.

    The report can also have a window of its own.

    Parameters
    ----------
    transcript, report, findings : QWidget

    Signals
    -------
    report_closed
        The reader closed the report's own window.
    low : bool
        The height is low for the size of the text (True), or enough again.
    """

    report_closed = Signal()
    low = Signal(bool)

    def __init__(
        self,
        transcript: QWidget,
        report: QWidget,
        findings: QWidget,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(Qt.Orientation.Horizontal, parent)
        self.setChildrenCollapsible(False)
        # Otherwise napari adds a gap below the panel, which takes half of its height.
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self._report = report
        self._place = ""
        self.own_window = self._low = False
        self.tabs = QTabWidget()
        self.side = QTabWidget()
        self.tabs.addTab(transcript, _("Transcript"))
        self.tabs.addTab(findings, _("Findings"))
        left = QWidget()
        self._left = QVBoxLayout(left)
        self._left.setContentsMargins(0, 0, 0, 0)
        self._left.addWidget(self.tabs, 1)
        self._below = QWidget()
        below = QVBoxLayout(self._below)
        below.setContentsMargins(0, 0, 0, 0)
        self._left.addWidget(self._below)
        self.tabs.currentChanged.connect(lambda _index: self._fold())
        self.addWidget(left)
        self.addWidget(self.side)
        self.setStretchFactor(0, 1)
        self.setStretchFactor(1, 1)
        report.installEventFilter(self)
        self._settle()

    def add_below(self, widget: QWidget) -> None:
        """Add a widget below the tabs; on a low screen the report in front hides it."""
        self._below.layout().addWidget(widget)

    @property
    def beside_width(self) -> int:
        """The width from which on the report stands beside the tabs."""
        return 2 * COLUMN * self.fontMetrics().averageCharWidth() + self.handleWidth()

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the size with one column."""
        width = ONE_COLUMN * self.fontMetrics().averageCharWidth()
        return QSize(width, super().sizeHint().height())

    @property
    def report_is_beside(self) -> bool:
        """Whether the report stands beside the tabs."""
        return self._place == "side"

    def show_report(self) -> None:
        """Bring the report to the front."""
        if self._place == "tabs":
            self.tabs.setCurrentWidget(self._report)

    def set_own_window(self, own: bool) -> None:
        """Move the report into a window of its own, or back."""
        self.own_window = own
        self._settle()
        self.show_report()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """Put the report where there is room for it."""
        super().resizeEvent(event)
        self._settle()

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Put the report where there is room for it."""
        super().showEvent(event)
        self._settle()

    def _settle(self) -> None:
        # A widget that was never shown has Qt's default width.
        beside = self._place == "side"
        wide = self.width() >= self.beside_width if self.isVisible() else beside
        place = "window" if self.own_window else "side" if wide else "tabs"
        if place != self._place:
            self._move(place)
        low = self.isVisible() and self.height() < LOW_LINES * self.fontMetrics().lineSpacing()
        if low != self._low:
            self._low = low
            self.low.emit(low)
        self._fold()

    def _fold(self) -> None:
        """Leave the height of a low screen to the report while it is in front."""
        in_front = self._place == "tabs" and self.tabs.currentWidget() is self._report
        self._below.setVisible(not (self._low and in_front))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Put the report back into the panel when its window is closed."""
        if watched is self._report and event.type() == QEvent.Type.Close and self.own_window:
            event.ignore()
            self.report_closed.emit()
            return True
        return bool(super().eventFilter(watched, event))

    def _move(self, place: str) -> None:
        before, self._place = self._place, place
        report = self._report
        front = self.tabs.currentWidget() is report
        for tabs in (self.tabs, self.side):
            number = tabs.indexOf(report)
            if number >= 0:
                tabs.removeTab(number)
        self.side.setVisible(place == "side")
        if place == "window":
            # The panel stays its parent, so that it has the panel's style and is deleted with it.
            report.setParent(self.parentWidget() or self, Qt.WindowType.Window)
            report.resize(640, 860)
            report.show()
            return
        if before == "window":
            report.setParent(None)
        if place == "side":
            self.side.addTab(report, _(REPORT))
            self.setSizes([self.width() // 2, self.width() // 2])
        else:
            self.tabs.insertTab(1, report, _(REPORT))
            if before == "window" or front:
                self.tabs.setCurrentWidget(report)
