"""Completes what is typed into the report from the template's phrases, without being in the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject, QPoint, Qt
from qtpy.QtGui import QInputMethodEvent, QKeyEvent, QTextCursor
from qtpy.QtWidgets import QFrame, QListWidget, QWidget

from napari_ct_assistant.assistant.report.completion import being_typed
from napari_ct_assistant.support.translation import _
from napari_ct_assistant.viewer.report.report_document import KEY

if TYPE_CHECKING:
    from napari_ct_assistant.viewer.report.editor import ReportEditor

ROWS = 6
_ENTER = (Qt.Key.Key_Return, Qt.Key.Key_Enter)
_NONE = (Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.KeypadModifier)


class PhraseList(QListWidget):
    """The phrases under the line that is typed; it never takes the focus."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("phrases")
        self.setAccessibleName(_("Phrases that continue the line"))
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setFrameShape(QFrame.Shape.Box)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.hide()


class Completion(QObject):
    """Offers phrases while the reader types at the end of a line.

    Tab takes the first phrase, or the one that the arrow keys chose. Enter takes a phrase only
    if the arrow keys chose one, and otherwise begins a new line as always. Esc closes the list.

    Parameters
    ----------
    editor : ReportEditor
    find : callable
        Returns the phrases that continue a line: called with the text of the line up to the
        cursor and the key of its section.
    """

    def __init__(self, editor: ReportEditor, find: Callable[[str, str], Sequence[str]]) -> None:
        super().__init__(editor)
        self._editor, self._find = editor, find
        self._typed = False
        self.list = PhraseList(editor)
        self.list.itemClicked.connect(lambda item: self._take(item.text()))
        editor.installEventFilter(self)
        editor.textChanged.connect(self._on_changed)
        editor.cursorPositionChanged.connect(self._on_moved)
        editor.verticalScrollBar().valueChanged.connect(lambda _value: self.list.hide())

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Take the keys of the list while it is shown, and note what was typed."""
        kind = event.type()
        if kind == QEvent.Type.FocusOut:
            self.list.hide()
        elif kind == QEvent.Type.InputMethod and isinstance(event, QInputMethodEvent):
            self._typed = bool(event.commitString())
        elif kind in (QEvent.Type.KeyPress, QEvent.Type.ShortcutOverride) and isinstance(
            event, QKeyEvent
        ):
            if self.list.isVisible() and event.modifiers() in _NONE and self._takes(event):
                event.accept()
                if kind == QEvent.Type.KeyPress:
                    self._act(event.key())
                return True
            if kind == QEvent.Type.KeyPress:
                self._typed = bool(event.text()) and event.key() not in _ENTER
        return bool(super().eventFilter(watched, event))

    def _takes(self, event: QKeyEvent) -> bool:
        key = event.key()
        if key in _ENTER:
            return self.list.currentRow() >= 0
        return key in (Qt.Key.Key_Tab, Qt.Key.Key_Down, Qt.Key.Key_Up, Qt.Key.Key_Escape)

    def _act(self, key: int) -> None:
        row = self.list.currentRow()
        if key == Qt.Key.Key_Escape:
            self.list.hide()
        elif key == Qt.Key.Key_Down:
            self.list.setCurrentRow(min(row + 1, self.list.count() - 1))
        elif key == Qt.Key.Key_Up:
            # Above the first one, no phrase is chosen and Enter is a new line again.
            self.list.setCurrentRow(max(row - 1, -1))
        else:
            self._take(self.list.item(max(row, 0)).text())

    # -- offering

    def _on_changed(self) -> None:
        typed, self._typed = self._typed, False
        if typed:
            self._offer()
        else:
            self.list.hide()

    def _on_moved(self) -> None:
        if self.list.isVisible() and not self._editor.textCursor().atBlockEnd():
            self.list.hide()

    def _offer(self) -> None:
        editor = self._editor
        cursor = editor.textCursor()
        block = cursor.block()
        heading = block.blockFormat().hasProperty(KEY)
        if cursor.hasSelection() or not cursor.atBlockEnd() or heading or editor.isReadOnly():
            self.list.hide()
            return
        phrases = self._find(block.text(), editor.text.section_at(cursor.position()))
        self.list.clear()
        self.list.addItems(list(phrases))
        self.list.setCurrentRow(-1)
        if not phrases:
            self.list.hide()
            return
        self._place()
        self.list.show()
        self.list.raise_()

    def _place(self) -> None:
        """Put the list below the line or, where there is no room, above it."""
        editor, view = self._editor, self._editor.viewport()
        rect = editor.cursorRect()
        height = min(self.list.count(), ROWS) * self.list.sizeHintForRow(0) + 4
        left = view.geometry().left()
        top = view.mapTo(editor, QPoint(0, rect.bottom() + 3)).y()
        if top + height > editor.height():
            top = max(view.mapTo(editor, QPoint(0, rect.top() - 3)).y() - height, 0)
        self.list.setGeometry(left, top, view.width(), height)

    def _take(self, phrase: str) -> None:
        """Replace the sentence that is being typed by a phrase."""
        editor = self._editor
        cursor = editor.textCursor()
        typed = being_typed(cursor.block().text())
        cursor.movePosition(
            QTextCursor.MoveOperation.Left, QTextCursor.MoveMode.KeepAnchor, len(typed)
        )
        cursor.insertText(phrase)
        editor.setTextCursor(cursor)
        editor.ensureCursorVisible()
        self.list.hide()
