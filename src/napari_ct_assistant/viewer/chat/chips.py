"""Suggested questions as a row of small buttons; a click sends the question."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from qtpy.QtCore import QEvent, QObject, QSize, Qt, Signal
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QWidget,
)

from napari_ct_assistant.support.translation import _, shown
from napari_ct_assistant.viewer.texts import TIPS
from napari_ct_assistant.viewer.widgets import SPACING, button, row


class Chips(QWidget):
    """Up to four questions in one row, which scrolls; Alt+1 to Alt+4 send them.

    Signals
    -------
    chosen : str
    """

    chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(_("Suggested questions"))
        self.area = _Row()
        self.more_button = QToolButton()
        self.more_button.setArrowType(Qt.ArrowType.RightArrow)
        self.more_button.setToolTip(TIPS["more_chips"])
        self.more_button.setAccessibleName(TIPS["more_chips"])
        self.more_button.setEnabled(False)
        self.more_button.clicked.connect(self.area.page)
        self.area.horizontalScrollBar().rangeChanged.connect(self._on_range)
        line = row(self.area, self.more_button)
        line.setStretchFactor(self.area, 1)
        self.setLayout(line)
        self.buttons: list[QPushButton] = []
        self._questions: list[str] = []

    def offer(self, questions: Sequence[str]) -> None:
        """Show these questions."""
        if self._questions == list(questions):
            return
        self._questions = list(questions)
        for chip in self.buttons:
            self.area.line.removeWidget(chip)
            chip.hide()
            chip.deleteLater()
        self.buttons = []
        for number, question in enumerate(questions, start=1):
            tip, text = TIPS["chip"].format(number=number), shown(question)
            if text != question:  # what the model is asked
                tip = f"{question}\n{tip}"
            chip = button(text, tip, accessible_name=_("Ask: {question}").format(question=text))
            chip.setObjectName("chip")
            chip.setShortcut(f"Alt+{number}")
            chip.clicked.connect(partial(self._choose, str(question)))
            self.area.line.insertWidget(number - 1, chip)
            self.buttons.append(chip)
        self.area.horizontalScrollBar().setValue(0)
        self.area.updateGeometry()

    def _on_range(self, _low: int, high: int) -> None:
        self.more_button.setEnabled(high > 0)

    def _choose(self, question: str, _checked: bool = False) -> None:
        self.chosen.emit(question)


class _Row(QScrollArea):
    """A row of widgets that the wheel scrolls sideways."""

    def __init__(self) -> None:
        super().__init__()
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        inner = QWidget()
        inner.setObjectName("chips")
        self.line = QHBoxLayout(inner)
        self.line.setContentsMargins(0, 0, 0, 0)
        self.line.setSpacing(SPACING)
        self.line.addStretch(1)
        self.setWidget(inner)
        inner.installEventFilter(self)

    def page(self) -> None:
        """Scroll on by a page; after the end, go back to the start."""
        bar = self.horizontalScrollBar()
        at_end = bar.value() >= bar.maximum()
        bar.setValue(0 if at_end else bar.value() + self.viewport().width() * 3 // 4)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Follow the height of the row."""
        if event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return bool(super().eventFilter(watched, event))

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802 - Qt's name
        """Scroll sideways."""
        turned = event.angleDelta()
        self.horizontalScrollBar().setValue(
            self.horizontalScrollBar().value() - (turned.y() or turned.x())
        )
        event.accept()

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the height of the row; any width will do."""
        height = max(self.widget().sizeHint().height(), self.fontMetrics().height() + 8)
        # napari's theme gives every scroll area a border.
        return QSize(120, height + 2 * self.frameWidth())

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the same size."""
        return self.sizeHint()
