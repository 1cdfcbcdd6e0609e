"""Reviewing the report sentence by sentence with single keys; picture and heat map follow."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtGui import QKeyEvent

from napari_ct_assistant.support.translation import _, ngettext
from napari_ct_assistant.viewer.texts import ALL_REVIEWED

if TYPE_CHECKING:
    from napari_ct_assistant.viewer.report.editor import ReportEditor

# With Ctrl these accept and reject while editing: the reader has gone back to the editor's keys.
_EDITORS_OWN = (Qt.Key.Key_Return, Qt.Key.Key_Enter)
_KEYBOARD = Qt.KeyboardModifier.KeypadModifier


class Review(QObject):
    """The review mode of the editor: A accepts, X rejects, E edits, N goes on.

    E, Esc, Ctrl+Enter and a click into the text end it, and the keys type letters again.

    Signals
    -------
    changed
        The mode began or ended.
    taken_along
        Y was pressed: the impression line of the rejected finding goes, too.
    status_message : str
        How many sentences are left.
    """

    changed = Signal()
    taken_along = Signal()
    status_message = Signal(str)

    def __init__(self, editor: ReportEditor) -> None:
        super().__init__(editor)
        self._editor = editor
        self.active = False
        self._actions: dict[int, Callable[[], None]] = {
            Qt.Key.Key_A: self._accept,
            Qt.Key.Key_X: self._reject,
            Qt.Key.Key_N: self._next,
            Qt.Key.Key_E: self.stop,
            Qt.Key.Key_Escape: self.stop,
            Qt.Key.Key_Y: self.taken_along.emit,
            Qt.Key.Key_Down: lambda: self._step(1),
            Qt.Key.Key_Up: lambda: self._step(-1),
        }
        editor.installEventFilter(self)
        editor.viewport().installEventFilter(self)

    def start(self) -> None:
        """Begin at the sentence at the cursor if it is not reviewed, else at the next one."""
        if self._editor.isReadOnly() or not self._editor.text.report().unreviewed:
            self._tell()
            return
        line = self._editor.current_line()
        if line is None or line.state != "draft":
            self._editor.next_unreviewed()
        self._editor.setFocus(Qt.FocusReason.OtherFocusReason)
        self.active = True
        # An input method would compose a word from A, X and N.
        self._editor.setAttribute(Qt.WidgetAttribute.WA_InputMethodEnabled, False)
        self._show()
        self.changed.emit()

    def stop(self) -> None:
        """Let the keys type letters again."""
        if self.active:
            self.active = False
            self._editor.setAttribute(Qt.WidgetAttribute.WA_InputMethodEnabled, True)
            self._mark()
            self.changed.emit()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Take the keys of the mode before the editor and the window's shortcuts get them."""
        if not self.active:
            return False
        if watched is not self._editor:
            if event.type() == QEvent.Type.MouseButtonPress:
                self.stop()
            return False
        if event.type() == QEvent.Type.InputMethod:
            # What was dictated would be typed into the sentence.
            return True
        if event.type() not in (QEvent.Type.KeyPress, QEvent.Type.ShortcutOverride):
            return False
        if not isinstance(event, QKeyEvent) or event.modifiers() & ~_KEYBOARD:
            if isinstance(event, QKeyEvent) and event.key() in _EDITORS_OWN:
                self.stop()
            return False
        action = self._actions.get(event.key())
        if action is None:
            # Other letters would be typed into the sentence.
            typed = bool(event.text()) and event.text().isprintable()
            return typed and event.type() == QEvent.Type.KeyPress
        event.accept()
        if event.type() == QEvent.Type.KeyPress:
            action()
        return True

    def _accept(self) -> None:
        self._editor.accept()
        self._after()

    def _reject(self) -> None:
        self._editor.reject()
        self._after()

    def _next(self) -> None:
        self._editor.next_unreviewed()
        self._show()

    def _step(self, by: int) -> None:
        lines = self._editor.text.document_lines()
        here = self._editor.textCursor().blockNumber()
        beyond = [line for line in lines if (line.block.blockNumber() - here) * by > 0]
        if beyond:
            self._editor.select_line(beyond[0] if by > 0 else beyond[-1])
            self._show()

    def _show(self) -> None:
        """Show where the sentence at the cursor comes from, and say how many are left."""
        self._editor.follow(always=True)
        self._after()

    def _after(self) -> None:
        self._mark()
        self._tell()

    def _tell(self) -> None:
        left = self._editor.text.report().unreviewed
        text = ngettext("{n} sentence left to review", "{n} sentences left to review", left)
        self.status_message.emit(text.format(n=left) if left else _(ALL_REVIEWED))

    def _mark(self) -> None:
        """Underlay the whole line of the sentence while the mode lasts."""
        here = self._editor.textCursor().block() if self.active else None
        self._editor.underlay("review", here)
