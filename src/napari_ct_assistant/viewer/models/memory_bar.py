"""A model that does not fit: what it needs, and a button for each way that would fit."""

from __future__ import annotations

from functools import partial

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget
from superqt import QFlowLayout

from napari_ct_assistant.assistant.models.options import NotEnoughMemoryError, Remedy

MOST_WAYS = 4
WORDS = {
    "dtype": "Load in {}",
    "quantize": "Load with {} weights",
    "device": "Load on {}",
    "device_map": "Spread over GPU and computer memory (slow)",
}


class MemoryBar(QWidget):
    """A line and some buttons; hidden while there is nothing to say.

    Signals
    -------
    chosen : Remedy
        What the reader wants to try instead.
    """

    chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.text = QLabel()
        self.text.setObjectName("notice")
        self.text.setWordWrap(True)
        self.text.setAccessibleName("Problem with the model")
        self._ways: tuple[Remedy, ...] = ()
        self.buttons = [QPushButton() for _ in range(MOST_WAYS)]
        row = QFlowLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.setHorizontalSpacing(4)
        row.setVerticalSpacing(4)
        for number, button in enumerate(self.buttons):
            row.addWidget(button)
            button.clicked.connect(partial(self._on_clicked, number))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.text)
        layout.addLayout(row)
        self.hide()

    def show_error(self, error: Exception, line: str) -> None:
        """Show why a model was not loaded; for one that does not fit, the ways that would."""
        self._ways = error.ways[:MOST_WAYS] if isinstance(error, NotEnoughMemoryError) else ()
        self.text.setText(error.line + "." if isinstance(error, NotEnoughMemoryError) else line)
        for button in self.buttons:
            button.hide()
        for button, way in zip(self.buttons, self._ways, strict=False):
            button.setText(remedy_text(way))
            button.show()
        self.show()

    def _on_clicked(self, number: int, _checked: bool = False) -> None:
        way = self._ways[number]
        self.hide()
        self.chosen.emit(way)


def remedy_text(way: Remedy) -> str:
    """Return the words of a way's button."""
    value = {"cpu": "the CPU", "8bit": "8-bit", "4bit": "4-bit"}.get(way.value, way.value)
    size = "" if way.bytes is None else f" ({way.bytes / 1e9:.1f} GB)"
    return WORDS[way.field].format(value) + size
