"""A passage that the model explains, shortens or sums up, for the reader to accept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtGui import QHideEvent, QShowEvent, QTextCursor
from qtpy.QtWidgets import QFrame, QTextEdit, QVBoxLayout, QWidget

from napari_ct_assistant.assistant.reading.rewriting import Rewriting, prompt, rewriting_notes
from napari_ct_assistant.assistant.report.summary import add_summary, check_summary
from napari_ct_assistant.support.plain_text import plain
from napari_ct_assistant.support.translation import _, shown
from napari_ct_assistant.viewer.chat.growing_text import GrowingText
from napari_ct_assistant.viewer.session.background import one_line
from napari_ct_assistant.viewer.texts import TIPS
from napari_ct_assistant.viewer.widgets import button, row
from napari_ct_assistant.viewer.widgets import label as plain_label

if TYPE_CHECKING:
    from napari_ct_assistant.assistant import Answer
    from napari_ct_assistant.viewer.report.editor import ReportEditor
    from napari_ct_assistant.viewer.report.report_document import ReportText
    from napari_ct_assistant.viewer.session.jobs import RewriteResult


class Passage(QFrame):
    """The model's version of a passage, with warnings; only the reader puts it into the report.

    Signals
    -------
    asked : str, str
        The task ("explain", "shorten" or "impression") and the model's prompt.
    status_message : str
        One line that says why nothing was asked.
    replaced
        The reader replaced the old text by the model's.
    summed_up : ModelInfo
        The text that was put in is an impression by this model.
    shown : bool
        The passage was shown or hidden.
    """

    asked = Signal(str, str)
    status_message = Signal(str)
    replaced = Signal()
    summed_up = Signal(object)
    shown = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.kind: Rewriting = "explain"
        self._cursor: QTextCursor | None = None
        self._text: ReportText | None = None
        self._before = ""  # the text to be replaced
        self._answer: Answer | None = None
        self._source = ""  # the text that the model was given
        self.title = plain_label()
        self.title.setObjectName("who")
        self.body = GrowingText()
        self.body.setAccessibleName(_("The model's text"))
        self.doubts = plain_label()
        self.doubts.setObjectName("notice")
        self.doubts.setWordWrap(True)
        self.replace_button = button(_("Replace the selection"), TIPS["replace"])
        self.close_button = button(_("Close"))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2, 2, 2, 2)
        layout.setSpacing(4)
        for widget in (self.title, self.body, self.doubts):
            layout.addWidget(widget)
        layout.addLayout(row(self.replace_button, self.close_button, None))
        self.replace_button.clicked.connect(self._replace)
        self.close_button.clicked.connect(self.hide)
        self.hide()

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Emit that the passage is shown."""
        super().showEvent(event)
        self.shown.emit(True)

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802 - Qt's name
        """Emit that the passage is hidden."""
        super().hideEvent(event)
        self.shown.emit(False)

    def ask(self, kind: Rewriting, editor: QTextEdit) -> None:
        """Ask the model to explain or shorten the selected text, or the line at the cursor."""
        cursor = editor.textCursor()
        if not cursor.hasSelection():
            cursor.movePosition(QTextCursor.MoveOperation.StartOfBlock)
            cursor.movePosition(
                QTextCursor.MoveOperation.EndOfBlock, QTextCursor.MoveMode.KeepAnchor
            )
        try:
            question = prompt(kind, selected_text(cursor))
        except ValueError as error:
            self.status_message.emit(one_line(error).capitalize())
            return
        editor.setTextCursor(cursor)
        self.asked.emit(kind, question)

    def sum_up(self, text: ReportText) -> None:
        """Ask the model for an impression of the findings as they stand."""
        if text.select_section("impression") is None:
            self.status_message.emit(
                _("The report has no impression section; choose a template that has one")
            )
            return
        report = text.report()
        if report.incomplete and report.unreviewed:
            self.status_message.emit(
                _(
                    "The draft of these findings is incomplete: review every sentence, and add "
                    "what is missing, before you sum up"
                )
            )
            return
        try:
            self.asked.emit("impression", prompt("impression", text.findings()))
        except ValueError as error:
            self.status_message.emit(one_line(error).capitalize())

    def begin(self, kind: Rewriting, editor: ReportEditor) -> None:
        """Show that the model is working on the selection, or on the impression."""
        self.kind, self._text = kind, editor.text
        cursor = editor.textCursor()
        self._source = selected_text(cursor)
        if kind == "impression":
            cursor = editor.text.select_section("impression") or cursor
            self._source = editor.text.findings()
        # A cursor follows its text while the reader types elsewhere.
        self._cursor = QTextCursor(cursor)
        self._before = selected_text(cursor)
        self.title.setText(
            {
                "explain": _("Explanation"),
                "shorten": _("Shorter"),
                "impression": _("Impression"),
            }[kind]
        )
        self.replace_button.setText(
            _("Replace the impression") if kind == "impression" else _("Replace the selection")
        )
        self.body.setPlainText("")
        self.doubts.setText("")
        self.doubts.hide()
        self.replace_button.setVisible(kind != "explain")
        self.replace_button.setEnabled(False)
        self.show()

    def append(self, text: str) -> None:
        """Append a piece of the model's text."""
        cursor = QTextCursor(self.body.document())
        cursor.movePosition(QTextCursor.MoveOperation.End)
        cursor.insertText(plain(text))

    def finish(self, result: RewriteResult) -> None:
        """Show the whole text, with what the reader should check."""
        text = plain(result.answer.text).strip()
        self.body.setPlainText(text)
        incomplete = [result.answer.incomplete] if result.answer.incomplete else []
        found = incomplete + rewriting_notes(self.kind, self._source, text, result.answer.model)
        self._answer = result.answer
        if self.kind == "impression" and self._text is not None:
            found += [check.text for check in check_summary(self._text.report(), text)]
        self.doubts.setText("\n".join(shown(text) for text in found))
        self.doubts.setVisible(bool(found))
        self.replace_button.setEnabled(bool(text))

    def end(self) -> None:
        """Hide the passage if it is empty: the job failed or was stopped."""
        if not self.body.toPlainText().strip() and not self.doubts.text():
            self.hide()

    def _replace(self) -> None:
        cursor = self._cursor
        if cursor is None or selected_text(cursor) != self._before:
            self.doubts.setText(_("The text to be replaced has changed. Ask again."))
            self.doubts.show()
            return
        if self.kind == "impression" and self._text is not None and self._answer is not None:
            info = self._answer.model
            known = info.__dict__.get("weights_sha256", "")
            report, lines = add_summary(self._text.report(), self._answer, weights_sha256=known)
            self._text.set_frame(report)
            self._text.replace_lines(cursor, lines)
            self.summed_up.emit(info)
        else:
            cursor.insertText(self.body.toPlainText())
        self.hide()
        self.replaced.emit()


def selected_text(cursor: QTextCursor) -> str:
    """Return the selected text with ordinary line ends."""
    return str(cursor.selectedText()).replace("\u2029", "\n").replace("\u2028", "\n")
