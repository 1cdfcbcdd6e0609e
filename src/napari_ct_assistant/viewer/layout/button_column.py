"""A column of small buttons that becomes two or three columns where the height is short."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil
from typing import Final

from qtpy.QtWidgets import QGridLayout, QToolButton, QWidget

GAP: Final = 2
# Between two groups of buttons.
GROUP_GAP: Final = 8


class ButtonColumn(QWidget):
    """Groups of buttons, one below the other.

    Parameters
    ----------
    groups : sequence of sequences of QToolButton
        A gap separates two groups.
    """

    def __init__(
        self, groups: Sequence[Sequence[QToolButton]], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._groups = [list(group) for group in groups]
        self._columns = 0
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(GAP)
        self.set_columns(1)

    @property
    def buttons(self) -> Iterable[QToolButton]:
        """Every button."""
        return (button for group in self._groups for button in group)

    def set_columns(self, columns: int) -> None:
        """Lay the buttons out in this many columns."""
        if columns == self._columns:
            return
        self._columns = columns
        for button in self.buttons:
            self._grid.removeWidget(button)
        for row in range(self._grid.rowCount()):
            self._grid.setRowMinimumHeight(row, 0)
        row = 0
        for group in self._groups:
            if row:
                self._grid.setRowMinimumHeight(row, GROUP_GAP - 2 * GAP)
                row += 1
            for number, button in enumerate(group):
                self._grid.addWidget(button, row + number // columns, number % columns)
            row += ceil(len(group) / columns)

    def height_for(self, columns: int, each: int) -> int:
        """Return the height in that many columns of buttons of height `each`."""
        height = -GROUP_GAP
        for group in self._groups:
            rows = ceil(len(group) / columns)
            height += rows * (each + GAP) - GAP + GROUP_GAP
        return height
