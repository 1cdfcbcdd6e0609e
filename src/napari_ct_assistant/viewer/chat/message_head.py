"""The line above a message: who speaks, and what can be done with the text."""

from __future__ import annotations

from typing import Literal

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QToolButton, QWidget

from napari_ct_assistant.viewer.texts import TIPS

Speaker = Literal["you", "model", "note"]


class MessageHead(QWidget):
    """Title, and buttons: Copy; Again for what the model said; Edit for a question.

    Signals
    -------
    copied, again, edited
    """

    copied = Signal()
    again = Signal()
    edited = Signal()

    def __init__(self, speaker: Speaker, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._label = QLabel()
        self._label.setObjectName("who")
        self.copy_button = _button("Copy", TIPS["message_copy"])
        self.again_button = _button("Again", TIPS["again"])
        self.edit_button = _button("Edit", TIPS["edit"])
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self._label, 1)
        for button in (self.edit_button, self.again_button, self.copy_button):
            layout.addWidget(button)
        self.copy_button.setVisible(speaker != "note")
        # They need what the message answers; see `offer`.
        self.again_button.hide()
        self.edit_button.hide()
        self.copy_button.clicked.connect(lambda: self.copied.emit())
        self.again_button.clicked.connect(lambda: self.again.emit())
        self.edit_button.clicked.connect(lambda: self.edited.emit())
        self.set_title(title)

    def set_title(self, title: str) -> None:
        """Change who speaks."""
        self._label.setText(title)
        self._label.setVisible(bool(title))

    def offer(self, *, again: bool = False, edit: bool = False) -> None:
        """Show the buttons that make sense for this message."""
        self.again_button.setVisible(again)
        self.edit_button.setVisible(edit)


def _button(text: str, tip: str) -> QToolButton:
    button = QToolButton()
    button.setText(text)
    button.setToolTip(tip)
    button.setAccessibleName(f"{text} this message")
    button.setAutoRaise(True)
    return button
