"""Suggested questions as a row of small buttons; a click sends the question."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QPushButton, QWidget
from superqt import QFlowLayout

from napari_ct_assistant.viewer.texts import TIPS
from napari_ct_assistant.viewer.widgets import button


class Chips(QWidget):
    """Up to four questions; Alt+1 to Alt+4 send them.

    Signals
    -------
    chosen : str
    """

    chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Suggested questions")
        self._row = QFlowLayout(self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(4)
        self.buttons: list[QPushButton] = []

    def offer(self, questions: Sequence[str]) -> None:
        """Show these questions."""
        if [chip.text() for chip in self.buttons] == list(questions):
            return
        for chip in self.buttons:
            self._row.removeWidget(chip)
            chip.hide()
            chip.deleteLater()
        self.buttons = []
        for number, question in enumerate(questions, start=1):
            tip = TIPS["chip"].format(number=number)
            chip = button(question, tip, accessible_name=f"Ask: {question}")
            chip.setObjectName("chip")
            chip.setShortcut(f"Alt+{number}")
            chip.clicked.connect(partial(self._choose, question))
            self._row.addWidget(chip)
            self.buttons.append(chip)
        self.updateGeometry()

    def _choose(self, question: str, _checked: bool = False) -> None:
        self.chosen.emit(question)
