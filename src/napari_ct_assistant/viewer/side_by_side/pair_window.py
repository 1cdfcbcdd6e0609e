"""Shows two reports side by side, and takes the reader's choice."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from qtpy.QtCore import QElapsedTimer, QEvent, QObject, Qt, Signal
from qtpy.QtGui import QCloseEvent, QKeyEvent
from qtpy.QtWidgets import (
    QDialog,
    QLineEdit,
    QSplitter,
    QTextBrowser,
    QVBoxLayout,
    QWidget,
)

from napari_ct_assistant.assistant.choices.saved_drafts import SavedDraft
from napari_ct_assistant.assistant.choices.table import Preference, model_key
from napari_ct_assistant.support.translation import _
from napari_ct_assistant.viewer.texts import PAIR_DONE, PAIR_QUESTION, TIPS
from napari_ct_assistant.viewer.widgets import add_shortcuts, button, row
from napari_ct_assistant.viewer.widgets import label as plain_label


class PairWindow(QDialog):
    """Report A on the left, report B on the right; 1, 2 and 3 choose.

    Parameters
    ----------
    drafts : two SavedDraft
        The left one first.
    blind : bool
        Show the models' names only after the choice.

    Signals
    -------
    chosen : str, float, str
        "left", "right" or "equal", the seconds since the reports were shown, and the note.
    left
        The window was closed without a choice.
    """

    chosen = Signal(str, float, str)
    left = Signal()

    def __init__(
        self, drafts: Sequence[SavedDraft], *, blind: bool, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(_("Which report is better?"))
        self.setModal(False)
        self._drafts, self._blind, self._done = drafts, blind, False
        self._clock = QElapsedTimer()
        self.heads = [plain_label() for _draft in drafts]
        self.texts = [QTextBrowser() for _draft in drafts]
        columns = QSplitter(Qt.Orientation.Horizontal)
        columns.setChildrenCollapsible(False)
        for number, (head, text, draft) in enumerate(
            zip(self.heads, self.texts, drafts, strict=True)
        ):
            text.setOpenLinks(False)
            text.setAccessibleName(_("Report {letter}").format(letter="AB"[number]))
            text.setHtml(_html(draft))
            head.setObjectName("title")
            column = QWidget()
            inside = QVBoxLayout(column)
            inside.setContentsMargins(0, 0, 0, 0)
            inside.addWidget(head)
            inside.addWidget(text, 1)
            columns.addWidget(column)
        self.question = plain_label(_(PAIR_QUESTION))
        self.question.setWordWrap(True)
        self.note = QLineEdit()
        self.note.setPlaceholderText(_("Why (optional)"))
        self.note.setAccessibleName(_("Why"))
        self.left_button = button(_("A is better (1)"), TIPS["pair_left"])
        self.equal_button = button(_("Equal (2)"), TIPS["pair_equal"])
        self.right_button = button(_("B is better (3)"), TIPS["pair_right"])
        layout = QVBoxLayout(self)
        layout.addWidget(columns, 1)
        layout.addWidget(self.question)
        layout.addWidget(self.note)
        layout.addLayout(row(self.left_button, self.equal_button, self.right_button))
        self.resize(1100, 720)
        self._choices: tuple[tuple[Preference, Any], ...] = (
            ("left", self.left_button),
            ("equal", self.equal_button),
            ("right", self.right_button),
        )
        actions = []
        for number, (choice, widget) in enumerate(self._choices, 1):
            widget.clicked.connect(lambda _on=False, choice=choice: self._choose(choice))
            actions.append((f"Ctrl+{number}", widget.click))
        add_shortcuts(self, actions, whole_window=True)
        for text in self.texts:
            text.installEventFilter(self)
        self._name(named=not blind)
        self.texts[0].setFocus(Qt.FocusReason.OtherFocusReason)
        self._clock.start()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Choose with a digit while a report has the focus; the note takes it as text."""
        if event.type() == QEvent.Type.KeyPress and isinstance(event, QKeyEvent):
            number = "123".find(event.text() or "-")
            if number >= 0:
                self._choices[number][1].click()
                return True
        return bool(super().eventFilter(watched, event))

    def _name(self, *, named: bool) -> None:
        for number, (head, draft) in enumerate(zip(self.heads, self._drafts, strict=True)):
            name = f"  ·  {model_key(draft.model, draft.weights)}" if named else ""
            head.setText(_("Report {letter}").format(letter="AB"[number]) + name)

    def _choose(self, choice: Preference) -> None:
        if self._done:
            return
        self._done = True
        for _choice, widget in self._choices:
            widget.setEnabled(False)
        self.note.setReadOnly(True)
        self._name(named=True)
        self.question.setText(_(PAIR_DONE))
        self.chosen.emit(choice, self._clock.elapsed() / 1000, self.note.text().strip())

    def show_summary(self, text: str) -> None:
        """Show what all choices of the table add up to."""
        self.question.setText(text)

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802 - Qt's name
        """Tell that nothing was chosen."""
        super().closeEvent(event)
        self._leave()

    def reject(self) -> None:
        """Close the window on Esc."""
        self._leave()
        super().reject()

    def _leave(self) -> None:
        if not self._done:
            self._done = True
            self.left.emit()


def _html(draft: SavedDraft) -> str:
    parts = [f"<p><b>{escape(draft.incomplete)}</b></p>"] if draft.incomplete else []
    for name, text in draft.sections:
        body = "<br>".join(escape(text).splitlines())
        parts.append(f"<h4>{escape(name)}</h4><p>{body}</p>" if name else f"<p>{body}</p>")
    return "".join(parts)
