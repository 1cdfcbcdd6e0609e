"""The form for a multiple-choice question with up to five choices."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QFormLayout, QLineEdit, QWidget

from napari_ct_assistant.support.translation import _
from napari_ct_assistant.viewer.texts import CHOICES_HINT, TITLE_SEPARATOR
from napari_ct_assistant.viewer.widgets import dialog_buttons
from napari_ct_assistant.viewer.widgets import label as plain_label

MOST = 5


class ChoicesDialog(QDialog):
    """A form that stays open until its question is accepted, so that nothing typed is lost.

    Signals
    -------
    asked : str, tuple of str
        The question and its choices, at least two.
    """

    asked = Signal(str, object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(_("Multiple choice"))
        self.question = QLineEdit()
        self.question.setAccessibleName(_("Multiple-choice question"))
        self.question.setPlaceholderText(_("On which side is the pleural effusion?"))
        self.choices = [QLineEdit() for _number in range(MOST)]
        hint = plain_label(_(CHOICES_HINT))
        hint.setObjectName("quiet")
        hint.setWordWrap(True)
        form = QFormLayout(self)
        form.addRow(_("Question"), self.question)
        for number, line in enumerate(self.choices):
            letter = chr(ord("A") + number)
            line.setAccessibleName(_("Choice {letter}").format(letter=letter))
            form.addRow(letter, line)
            line.textChanged.connect(self._refresh)
        form.addRow(hint)
        self.buttons = dialog_buttons(QDialogButtonBox.StandardButton.Close)
        self.ask_button = self.buttons.addButton(_("Ask"), QDialogButtonBox.ButtonRole.AcceptRole)
        self.ask_button.setDefault(True)
        form.addRow(self.buttons)
        self.question.textChanged.connect(self._refresh)
        self.ask_button.clicked.connect(self._ask)
        self.buttons.rejected.connect(self.reject)
        self.resize(420, self.sizeHint().height())
        self._refresh()

    @property
    def filled(self) -> tuple[str, ...]:
        """The choices that are not blank."""
        return tuple(line.text().strip() for line in self.choices if line.text().strip())

    @property
    def form(self) -> tuple[str, ...]:
        """Everything that stands in the form: the question, then the choices."""
        return tuple(line.text() for line in (self.question, *self.choices))

    def fill(self, form: tuple[str, ...], scan: str = "") -> None:
        """Put `form` into the form; undo cannot bring back what stood there."""
        self.setWindowTitle(TITLE_SEPARATOR.join(filter(None, (_("Multiple choice"), scan))))
        lines = (self.question, *self.choices)
        for line, text in zip(lines, (*form, *("",) * len(lines)), strict=False):
            line.setText(text)

    def _refresh(self) -> None:
        self.ask_button.setEnabled(bool(self.question.text().strip()) and len(self.filled) >= 2)

    def _ask(self) -> None:
        self.asked.emit(self.question.text().strip(), self.filled)
