"""The table of a model's findings and their probabilities or ranks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from qtpy.QtCore import QEvent, QModelIndex, Qt, QTimer, Signal
from qtpy.QtGui import QKeyEvent, QPainter, QResizeEvent, QShowEvent
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

from napari_ct_assistant.support.translation import N_, _, decimal, percent, shown
from napari_ct_assistant.viewer.texts import TIPS, TITLE_SEPARATOR
from napari_ct_assistant.viewer.widgets import tip as plain_tip

if TYPE_CHECKING:
    from napari_ct_assistant.assistant import FindingProbability

FINDING, PROBABILITY, BAR, BASELINE, THRESHOLD = range(5)
HEADERS: Final = (N_("Finding"), N_("Probability"), "", N_("No scan"), N_("Threshold"))
# Of findings that are ranked: a margin is no share of anything, so it gets no bar.
RANKED_HEADERS: Final = (HEADERS[FINDING], N_("Rank"), "", N_("No scan"), N_("Margin"))
RANK_TIP: Final = N_("Place among the findings of this scan, by margin")
MARGIN_TIP: Final = N_(
    "How much closer the scan is to the finding than to its absence; no probability"
)
NO_SCAN_TIP: Final = N_("The margin without any scan: the same for every patient")

# The least width of the names.
NAME_LETTERS: Final = 18
NAME_MARGIN: Final = 8  # px
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

    Findings without a probability have their rank, and margins in place of the other two.

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
        # Before anything that changes the style.
        self._fit_later = QTimer(self)
        self._fit_later.setSingleShot(True)
        self._fit_later.timeout.connect(self._fit_names)
        self.setAccessibleName(_("Findings"))
        self._scored = self._ranked = self._fitting = False
        self._name_columns(ranked=False)
        self.verticalHeader().hide()
        self.setShowGrid(False)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        header = self.horizontalHeader()
        # `_fit_names` gives it what the other columns leave.
        header.setSectionResizeMode(FINDING, QHeaderView.ResizeMode.Fixed)
        header.sectionResized.connect(self._on_resized)
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

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """Use the whole width."""
        super().resizeEvent(event)
        self._fit_names()

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802 - Qt's name
        """Fit the columns to texts of another size, which a style sheet gives when it is shown."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._fit_later.start()

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Fit the columns once the scroll bars are there."""
        super().showEvent(event)
        self._fit_later.start()

    def _on_resized(self, column: int, _before: int, _now: int) -> None:
        if column != FINDING:
            self._fit_names()

    def _fit_names(self) -> None:
        """Let the names be read; columns for which that leaves no room are hidden.

        The threshold is also a tick in the bar, and both figures are in the tooltip of the name.
        """
        if self._fitting:
            return
        self._fitting = True
        figures = (PROBABILITY, BASELINE, THRESHOLD)
        for column in figures:
            # The header of a hidden column is taken to have no width.
            self.setColumnHidden(column, False)
        least = NAME_LETTERS * self.fontMetrics().averageCharWidth()
        wanted = max(least, self.sizeHintForColumn(FINDING) + NAME_MARGIN)
        widths = {
            column: max(
                self.sizeHintForColumn(column), self.horizontalHeader().sectionSizeHint(column)
            )
            for column in figures
        }
        # The last one goes first. A margin says more than the one without a scan.
        order = [PROBABILITY, THRESHOLD, BASELINE] if self._ranked else list(widths)
        kept = order if self._scored else []
        room = self.viewport().width() - (0 if self.isColumnHidden(BAR) else self.columnWidth(BAR))
        while len(kept) > 1 and room - sum(widths[column] for column in kept) < wanted:
            kept.pop()
        for column in widths:
            self.setColumnHidden(column, column not in kept)
        self.setColumnWidth(FINDING, max(least, room - sum(widths[column] for column in kept)))
        self._fitting = False

    def show_findings(self, findings: Sequence[FindingProbability], scan: str = "") -> None:
        """Fill the table with a scan's findings in the given order; a click on a header sorts it.

        The first header names the scan.
        """
        self._click.stop()
        ranked = any(one.rank is not None for one in findings)
        scored = ranked or any(one.probability is not None for one in findings)
        self._name_columns(ranked=ranked, scored=scored or not findings)
        header = _(HEADERS[FINDING])
        if findings:
            header += f"{TITLE_SEPARATOR}{scan}"
        self.horizontalHeaderItem(FINDING).setText(header)
        self.horizontalHeaderItem(FINDING).setToolTip(plain_tip(scan))
        named = _("Findings of {scan}").format(scan=scan)
        self.setAccessibleName(named if scan and findings else _("Findings"))
        self.clearSelection()
        self.setSortingEnabled(False)
        self.setRowCount(len(findings))
        for row, finding in enumerate(findings):
            name = QTableWidgetItem(shown(finding.name))
            # The model is asked by the English name.
            name.setData(Qt.ItemDataRole.UserRole, str(finding.name))
            self.setItem(row, FINDING, name)
            number = self._fill_ranked(row, finding) if ranked else self._fill(row, finding)
            figures = (self.item(row, column) for column in (BASELINE, THRESHOLD))
            lines = [
                f"{self.horizontalHeaderItem(cell.column()).text()}: {cell.text()}"
                for cell in figures
                if cell is not None and cell.text()
            ]
            names = dict.fromkeys((name.text(), finding.name))
            name.setToolTip(plain_tip("\n".join([*names, *lines])))
            if finding.positive:
                font = name.font()
                font.setBold(True)
                name.setFont(font)
                number.setFont(font)
        self.horizontalHeader().setSortIndicator(-1, Qt.SortOrder.DescendingOrder)
        self.setSortingEnabled(True)
        self._fit_names()

    def _name_columns(self, *, ranked: bool, scored: bool = True) -> None:
        """Name the columns for probabilities or for ranks; without scores there are names only."""
        tips = [TIPS[f"finding_{name}"] for name in ("probability", "baseline", "threshold")]
        if ranked:
            tips = [_(RANK_TIP), _(NO_SCAN_TIP), _(MARGIN_TIP)]
        headers = RANKED_HEADERS if ranked else HEADERS
        self.setHorizontalHeaderLabels([_(header) for header in headers])
        for column, tip in zip((PROBABILITY, BASELINE, THRESHOLD), tips, strict=True):
            self.horizontalHeaderItem(column).setToolTip(plain_tip(tip))
        self._scored, self._ranked = scored, ranked
        self.setColumnHidden(BAR, ranked or not scored)

    def _fill_ranked(self, row: int, finding: FindingProbability) -> QTableWidgetItem:
        """Fill a row with rank and margins; return the cell of the rank."""
        without = finding.baseline
        margin = finding.margin or 0.0
        self._put(
            row, BASELINE, "" if without is None else decimal(without, 3, "+"), without or 0.0
        )
        self._put(row, THRESHOLD, decimal(margin, 3, "+"), margin)
        return self._put(row, PROBABILITY, str(finding.rank), float(finding.rank or 0))

    def _fill(self, row: int, finding: FindingProbability) -> QTableWidgetItem:
        """Fill a row with probability, bar, baseline and threshold; return the probability's."""
        probability = finding.score if finding.assessable else -1.0
        text = percent(finding.score) if finding.assessable else _("not assessable")
        number = self._put(row, PROBABILITY, text, probability)
        if not finding.assessable:
            number.setToolTip(TIPS["finding_not_assessable"])
        bar = _Number()
        bar.setData(Qt.ItemDataRole.UserRole, max(probability, 0.0))
        bar.setData(THRESHOLD_ROLE, finding.threshold if finding.assessable else None)
        self.setItem(row, BAR, bar)
        without, limit = finding.baseline, finding.threshold
        self._put(row, BASELINE, "" if without is None else percent(without), without or 0.0)
        self._put(row, THRESHOLD, "" if limit is None else percent(limit), limit or 0.0)
        return number

    def _put(self, row: int, column: int, text: str, value: float) -> QTableWidgetItem:
        cell = _Number(text)
        cell.setData(Qt.ItemDataRole.UserRole, value)
        cell.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.setItem(row, column, cell)
        return cell

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Show where the finding comes from on Enter, ask about it on Ctrl+Enter."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            ctrl = event.modifiers() & Qt.KeyboardModifier.ControlModifier
            self._tell(self.asked if ctrl else self.chosen)
        else:
            super().keyPressEvent(event)

    def _tell(self, signal: Any) -> None:
        if self.currentRow() >= 0:
            signal.emit(self._finding(self.currentRow()))

    def _on_double_click(self, index: Any) -> None:
        self._click.stop()
        self.asked.emit(self._finding(index.row()))

    def _finding(self, row: int) -> str:
        """Return the English name in a row."""
        return str(self.item(row, FINDING).data(Qt.ItemDataRole.UserRole))
