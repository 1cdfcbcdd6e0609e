"""The 18 findings of the screen, with their probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QModelIndex, Qt, Signal
from qtpy.QtGui import QPainter
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

if TYPE_CHECKING:
    from napari_ct_assistant.assistant import FindingProbability

UNJUDGED = "The model was measured not to recognise this finding; its probability says nothing."


class _Bar(QStyledItemDelegate):
    """Draws a probability as a bar."""

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
        frame.setWidth(round(frame.width() * probability))
        colour.setAlpha(255)
        painter.fillRect(frame, colour)


class _Number(QTableWidgetItem):
    """A cell that sorts by its number."""

    def __lt__(self, other: QTableWidgetItem) -> bool:
        role = Qt.ItemDataRole.UserRole
        return bool(self.data(role) < other.data(role))


class FindingsTable(QTableWidget):
    """Finding, probability as a number and as a bar; a double click asks about the finding.

    Signals
    -------
    asked : str
        The finding that was double-clicked.
    """

    asked = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, 3, parent)
        self.setAccessibleName("Findings")
        self.setHorizontalHeaderLabels(["Finding", "Probability", ""])
        self.verticalHeader().hide()
        self.setShowGrid(False)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        header = self.horizontalHeader()
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        self.setColumnWidth(2, 64)
        self.verticalHeader().setDefaultSectionSize(22)
        self.setItemDelegateForColumn(2, _Bar(self))
        self.doubleClicked.connect(self._on_double_click)
        self.setToolTip("Double-click a finding to ask about it; click a header to sort.")

    def show_findings(self, findings: Sequence[FindingProbability]) -> None:
        """Fill the table, in the order given until a header is clicked."""
        self.setSortingEnabled(False)
        self.setRowCount(len(findings))
        for row, finding in enumerate(findings):
            name = QTableWidgetItem(finding.name)
            name.setToolTip(finding.name)
            self.setItem(row, 0, name)
            number = _Number(f"{finding.probability:.0%}" if finding.judged else "not judged")
            number.setData(
                Qt.ItemDataRole.UserRole, finding.probability if finding.judged else -1.0
            )
            if not finding.judged:
                number.setToolTip(UNJUDGED)
            number.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            self.setItem(row, 1, number)
            bar = _Number()
            bar.setData(Qt.ItemDataRole.UserRole, finding.probability if finding.judged else 0.0)
            self.setItem(row, 2, bar)
        self.horizontalHeader().setSortIndicator(-1, Qt.SortOrder.DescendingOrder)
        self.setSortingEnabled(True)

    def _on_double_click(self, index: Any) -> None:
        self.asked.emit(self.item(index.row(), 0).text())
