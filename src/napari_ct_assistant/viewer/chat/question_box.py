"""The question box: Enter sends, arrow keys recall earlier questions, and no text is lost.

Text and earlier questions belong to a scan and change with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QKeyEvent, QTextCursor
from qtpy.QtWidgets import QPlainTextEdit, QSizePolicy, QWidget

from napari_ct_assistant.support.translation import _
from napari_ct_assistant.viewer.texts import ASK_PLACEHOLDER

if TYPE_CHECKING:
    from napari_ct_assistant.viewer.session.scan_session import ScanSession


class QuestionBox(QPlainTextEdit):
    """A text box of one to five lines that keeps its text until `taken` is called.

    Signals
    -------
    submitted : str
        The text, when Enter is pressed; it may be empty.
    """

    submitted = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setPlaceholderText(_(ASK_PLACEHOLDER))
        self.setAccessibleName(_("Question"))
        self.setTabChangesFocus(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.history: list[str] = []
        self._at = 0  # position in the history; len(history) stands for the text being typed
        self._draft = ""
        self._scan: ScanSession | None = None
        self.textChanged.connect(self._on_text)
        self._fit()

    def show_scan(self, scan: ScanSession | None) -> None:
        """Show what was typed about another scan; what was typed without a scan is taken along."""
        before, self._scan = self._scan, scan
        if scan is before:
            return
        text = "" if scan is None else scan.typed
        if before is None:
            text = text or self.toPlainText()
        self.history = [] if scan is None else scan.asked
        self._at, self._draft = len(self.history), ""
        # Not `replace`: undo must not bring back what was typed about another scan.
        self.setPlainText(text)
        self.moveCursor(QTextCursor.MoveOperation.End)

    def submit(self) -> None:
        """Send the text."""
        self.submitted.emit(self.toPlainText().strip())

    def taken(self) -> None:
        """Move the text, which has been sent, into the history."""
        text = self.toPlainText().strip()
        if text and (not self.history or self.history[-1] != text):
            self.history.append(text)
        self._at, self._draft = len(self.history), ""
        self.clear()

    def give_back(self, text: str, scan: ScanSession | None = None) -> None:
        """Put back a text that could not be answered, unless something new has been typed.

        A text about another scan than the one on screen waits for that scan.
        """
        if scan is not None and scan is not self._scan:
            scan.typed = scan.typed if scan.typed.strip() else text
        elif not self.toPlainText().strip():
            self.replace(text)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Send on Enter; recall the history with arrow keys from the first or last line."""
        key, shift = event.key(), event.modifiers() & Qt.KeyboardModifier.ShiftModifier
        cursor = self.textCursor()
        if key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and not shift:
            self.submit()
        elif key == Qt.Key.Key_Up and not shift and cursor.blockNumber() == 0 and self._at > 0:
            self._walk(-1)
        elif (
            key == Qt.Key.Key_Down
            and not shift
            and cursor.blockNumber() == self.blockCount() - 1
            and self._at < len(self.history)
        ):
            self._walk(1)
        else:
            super().keyPressEvent(event)

    def _walk(self, step: int) -> None:
        if self._at == len(self.history):
            self._draft = self.toPlainText()
        self._at += step
        self.replace(self._draft if self._at == len(self.history) else self.history[self._at])

    def replace(self, text: str) -> None:
        """Set the text; undo restores the old one."""
        cursor = self.textCursor()
        cursor.select(QTextCursor.SelectionType.Document)
        cursor.insertText(text)
        self.setTextCursor(cursor)

    def _on_text(self) -> None:
        if self._scan is not None:
            self._scan.typed = self.toPlainText()
        self._fit()

    def _fit(self) -> None:
        lines = min(max(int(self.document().size().height()), 1), 5)
        margins = self.contentsMargins().top() + self.contentsMargins().bottom()
        spare = 2 * self.document().documentMargin() + 10
        self.setFixedHeight(int(lines * self.fontMetrics().lineSpacing() + margins + spare))

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the size of the box, which is as high as its text."""
        return QSize(240, self.height())
