"""The line above a message: its title, and buttons for its text."""

from __future__ import annotations

from typing import Literal

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QToolButton, QWidget

from napari_ct_assistant.support.translation import _
from napari_ct_assistant.viewer.texts import TIPS
from napari_ct_assistant.viewer.widgets import button, eliding_label
from napari_ct_assistant.viewer.widgets import tip as plain_tip

Speaker = Literal["you", "model", "note"]


class MessageHead(QWidget):
    """The title, and the buttons Copy, Again (for texts of the model) and Edit (for questions).

    Signals
    -------
    copied, again, edited
    """

    copied = Signal()
    again = Signal()
    edited = Signal()

    def __init__(self, speaker: Speaker, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        # A title that is shortened never makes the transcript wider than its column.
        self._label = eliding_label()
        self._label.setObjectName("who")
        self.copy_button = _head_button(_("Copy"), _("Copy this message"), "message_copy")
        self.again_button = _head_button(_("Again"), _("Write this message again"), "again")
        self.edit_button = _head_button(_("Edit"), _("Edit this message"), "edit")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self._label, 1)
        for each in (self.edit_button, self.again_button, self.copy_button):
            layout.addWidget(each)
        self.copy_button.setVisible(speaker != "note")
        # These two need to know the message's job; see `offer`.
        self.again_button.hide()
        self.edit_button.hide()
        self.copy_button.clicked.connect(lambda: self.copied.emit())
        self.again_button.clicked.connect(lambda: self.again.emit())
        self.edit_button.clicked.connect(lambda: self.edited.emit())
        self.set_title(title)

    def set_title(self, title: str) -> None:
        """Change the title."""
        self._label.setText(title)
        self._label.setToolTip(plain_tip(title))
        self._label.setVisible(bool(title))

    def offer(self, *, again: bool = False, edit: bool = False) -> None:
        """Show the buttons that apply to this message."""
        self.again_button.setVisible(again)
        self.edit_button.setVisible(edit)


def _head_button(text: str, name: str, tip: str) -> QToolButton:
    made = button(text, TIPS[tip], accessible_name=name, small=True)
    made.setAutoRaise(True)
    return made
