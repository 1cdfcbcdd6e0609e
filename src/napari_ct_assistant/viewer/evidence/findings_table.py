"""The table of a model's findings and their probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QModelIndex, Qt, QTimer, Signal
from qtpy.QtGui import QKeyEvent, QPainter
from qtpy.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QHeaderView,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from napari_ct_assistant.viewer.texts import TIPS
from napari_ct_assistant.viewer.widgets import tip as plain_tip

if TYPE_CHECKING:
    from napari_ct_assistant.assistant import FindingProbability

FINDING, PROBABILITY, BAR, BASELINE, THRESHOLD = range(5)
HEADERS = ("Finding", "Probability", "", "No scan", "Threshold")

THRESHOLD_ROLE = Qt.ItemDataRole.UserRole + 1


class _Bar(QStyledItemDelegate):
    """Draws a probability as a bar and its threshold as a tick."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        """Draw the cell, then the bar."""
        super().paint(painter, option, index)
        probability = index.data(Qt.ItemDataRole.UserRole) or 0.0
        frame = option.rect.adjusted(4, 0, -8, 0)
        frame.setTop(frame.center().y() - 3)
        frame.setHeight(6)
        palette = option.palette
        colour = palette.color(palette.ColorRole.Text)
        colour.setAlpha(50)
        painter.fillRect(frame, colour)
        whole = frame.width()
        frame.setWidth(round(whole * probability))
        colour.setAlpha(255)
        painter.fillRect(frame, colour)
        threshold = index.data(THRESHOLD_ROLE)
        if threshold is not None:
            tick = frame.adjusted(0, -3, 0, 3)
            tick.setLeft(frame.left() + round(whole * threshold))
            tick.setWidth(1)
            painter.fillRect(tick, colour)


class _Number(QTableWidgetItem):
    """A cell that sorts by its number."""

    def __lt__(self, other: QTableWidgetItem) -> bool:
        role = Qt.ItemDataRole.UserRole
        return bool(self.data(role) < other.data(role))


class FindingsTable(QTableWidget):
    """A row for each finding: probability, probability without a scan, and threshold.

    Signals
    -------
    chosen : str
        The reader wants to see where a finding comes from (a click or Enter).
    asked : str
        The reader wants to ask about a finding (a double click or Ctrl+Enter).
    """

    chosen = Signal(str)
    asked = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, len(HEADERS), parent)
        self.setAccessibleName("Findings")
        self.setHorizontalHeaderLabels(list(HEADERS))
        for column, tip in ((1, "probability"), (3, "baseline"), (4, "threshold")):
            self.horizontalHeaderItem(column).setToolTip(TIPS[f"finding_{tip}"])
        self.verticalHeader().hide()
        self.setShowGrid(False)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        header = self.horizontalHeader()
        header.setSectionResizeMode(FINDING, QHeaderView.ResizeMode.Stretch)
        header.setTextElideMode(Qt.TextElideMode.ElideRight)
        for column in (PROBABILITY, BASELINE, THRESHOLD):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        self.setColumnWidth(BAR, 44)
        header.setMinimumSectionSize(30)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.verticalHeader().setDefaultSectionSize(22)
        self.setItemDelegateForColumn(BAR, _Bar(self))
        self.doubleClicked.connect(self._on_double_click)
        self.setToolTip(TIPS["findings_table"])
        # A click counts once it cannot be the first half of a double click any more.
        self._click = QTimer(self)
        self._click.setSingleShot(True)
        self._click.setInterval(QApplication.doubleClickInterval())
        self._click.timeout.connect(lambda: self._tell(self.chosen))
        self.clicked.connect(lambda _index: self._click.start())

    def show_findings(self, findings: Sequence[FindingProbability], scan: str = "") -> None:
        """Fill the table with a scan's findings in the given order; a click on a header sorts it.

        The first header names the scan.
        """
        self._click.stop()
        header = HEADERS[FINDING] if not findings else f"{HEADERS[FINDING]}  ·  {scan}"
        self.horizontalHeaderItem(FINDING).setText(header)
        self.horizontalHeaderItem(FINDING).setToolTip(plain_tip(scan))
        self.setAccessibleName(f"Findings of {scan}" if scan and findings else "Findings")
        self.clearSelection()
        self.setSortingEnabled(False)
        self.setRowCount(len(findings))
        for row, finding in enumerate(findings):
            name = QTableWidgetItem(finding.name)
            name.setToolTip(plain_tip(finding.name))
            self.setItem(row, FINDING, name)
            number = _Number(
                f"{finding.probability:.0%}" if finding.assessable else "not assessable"
            )
            number.setData(
                Qt.ItemDataRole.UserRole, finding.probability if finding.assessable else -1.0
            )
            if not finding.assessable:
                number.setToolTip(TIPS["finding_not_assessable"])
            number.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            self.setItem(row, PROBABILITY, number)
            bar = _Number()
            bar.setData(
                Qt.ItemDataRole.UserRole, finding.probability if finding.assessable else 0.0
            )
            bar.setData(THRESHOLD_ROLE, finding.threshold if finding.assessable else None)
            self.setItem(row, BAR, bar)
            without = finding.baseline
            self._put(row, BASELINE, "" if without is None else f"{without:.0%}", without or 0.0)
            self._put(row, THRESHOLD, f"{finding.threshold or 0.0:.0%}", finding.threshold or 0.0)
            if finding.positive:
                font = name.font()
                font.setBold(True)
                name.setFont(font)
                number.setFont(font)
        self.horizontalHeader().setSortIndicator(-1, Qt.SortOrder.DescendingOrder)
        self.setSortingEnabled(True)

    def _put(self, row: int, column: int, text: str, value: float) -> None:
        cell = _Number(text)
        cell.setData(Qt.ItemDataRole.UserRole, value)
        cell.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.setItem(row, column, cell)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Show where the finding comes from on Enter, ask about it on Ctrl+Enter."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            ctrl = event.modifiers() & Qt.KeyboardModifier.ControlModifier
            self._tell(self.asked if ctrl else self.chosen)
        else:
            super().keyPressEvent(event)

    def _tell(self, signal: Any) -> None:
        if self.currentRow() >= 0:
            signal.emit(self.item(self.currentRow(), FINDING).text())

    def _on_double_click(self, index: Any) -> None:
        self._click.stop()
        self.asked.emit(self.item(index.row(), FINDING).text())
