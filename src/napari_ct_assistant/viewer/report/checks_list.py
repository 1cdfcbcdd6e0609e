"""The contradictions in a report, as a list; a click goes to the line."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtWidgets import QListWidget, QListWidgetItem, QWidget

from napari_ct_assistant.assistant.report.checks import Check
from napari_ct_assistant.support.translation import _, ngettext, shown
from napari_ct_assistant.viewer.texts import TIPS

ROWS = 4


class ChecksList(QListWidget):
    """One row for each check; nothing in it blocks anything.

    Signals
    -------
    jumped : int
        A check was clicked, or Enter was pressed on it: the number of its line, counted from 0.
    """

    jumped = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(_("To check in the report"))
        self.setToolTip(TIPS["checks_list"])
        self.setWordWrap(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setTabKeyNavigation(False)
        self._shown: list[Check] = []
        self.itemClicked.connect(self._jump)
        self.itemActivated.connect(self._jump)

    def show_checks(self, checks: Sequence[Check]) -> None:
        """List these checks; sentences that nobody has reviewed are one row."""
        if list(checks) == self._shown:
            return
        self._shown = list(checks)
        self.clear()
        left = [check for check in checks if check.kind == "not reviewed"]
        for check in checks:
            if check.kind != "not reviewed":
                self._add(shown(check.text), check.line)
        if left:
            text = ngettext(
                "{n} sentence has not been accepted, edited or rejected.",
                "{n} sentences have not been accepted, edited or rejected.",
                len(left),
            )
            self._add(text.format(n=len(left)), left[0].line)

    def _add(self, text: str, line: int | None) -> None:
        item = QListWidgetItem(text)
        item.setData(Qt.ItemDataRole.UserRole, -1 if line is None else line)
        self.addItem(item)

    def _jump(self, item: QListWidgetItem) -> None:
        line = int(item.data(Qt.ItemDataRole.UserRole))
        if line >= 0:
            self.jumped.emit(line)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the height of a few rows; longer lists scroll."""
        rows = min(max(self.count(), 1), ROWS)
        return QSize(200, rows * (self.fontMetrics().lineSpacing() + 4) + 6)
