"""The report's editor: one line per sentence, with its state and its slice in the margin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import QEvent, QMimeData, QPoint, QRect, QSize, Qt, QUrl, Signal
from qtpy.QtGui import (
    QColor,
    QHelpEvent,
    QImage,
    QInputMethodEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QTextBlock,
    QTextCursor,
    QTextFormat,
)
from qtpy.QtWidgets import QFrame, QTextEdit, QToolTip, QWidget

from napari_ct_assistant.support.translation import _
from napari_ct_assistant.viewer.chat.links import UNSUPPORTED, ScanPosition, position_of
from napari_ct_assistant.viewer.report.report_document import DocumentLine, ReportText
from napari_ct_assistant.viewer.scan.image_numbers import image_of_sentence
from napari_ct_assistant.viewer.texts import REPORT_STATES, TIPS
from napari_ct_assistant.viewer.widgets import no_resource
from napari_ct_assistant.viewer.widgets import tip as plain_tip

SIGNS = {"draft": "○", "accepted": "✓", "edited": "✎", "rejected": "✗", "template": "", "own": ""}
CHECK_SIGN = "\u26a0"
MARGIN = 84
# The colour of the measurements on the picture.
MEASURED = "#ffd34d"


class ReportEditor(QTextEdit):
    """Shows a `ReportText`, which has its own undo and redo.

    Signals
    -------
    followed : str
        The link of a sentence's slice was clicked, such as ``slice:84``.
    measured : Measurement
        A sentence that states a measurement was clicked or followed.
    moved
        The cursor moved to another line, or the line changed.
    rejected : int
        A line was taken out of the report: its number, counted from 0.
    """

    followed = Signal(str)
    measured = Signal(object)
    moved = Signal()
    rejected = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        # What contradicts itself, by the number of its line.
        self.checks: dict[int, list[str]] = {}
        # The blocks that are underlaid, by what for.
        self._underlaid: dict[str, QTextBlock] = {}
        self.setObjectName("report_editor")
        self.setAccessibleName(_("Report"))
        self.setAcceptRichText(False)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setTabChangesFocus(True)
        self.link_colour = QColor("#7ab8ff")
        self.warning_colour = QColor("#e3b617")
        self.margin = Margin(self)
        self.setViewportMargins(MARGIN, 0, 0, 0)
        self.set_text(ReportText(parent=self))
        self.cursorPositionChanged.connect(self.moved)
        self.moved.connect(self._mark_current)
        self.verticalScrollBar().valueChanged.connect(lambda _value: self.margin.update())
        self.textChanged.connect(self.margin.update)

    @property
    def text(self) -> ReportText:
        """The text being edited."""
        return self._text

    def set_text(self, text: ReportText) -> None:
        """Edit another text; the old one keeps its undo history."""
        self._text = text
        text.setDefaultFont(self.font())
        self.setDocument(text)
        self.margin.update()
        self.moved.emit()

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802 - Qt's name
        """Pass a font that changed (with the theme) on to the text."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange and hasattr(self, "_text"):
            self._text.setDefaultFont(self.font())

    def current_line(self) -> DocumentLine | None:
        """Return the line at the cursor, None on headings and blank lines."""
        return self._text.line_at(self.textCursor().position())

    def select_line(self, line: DocumentLine) -> None:
        """Put the cursor at the end of a line, and scroll there."""
        cursor = self.textCursor()
        cursor.setPosition(line.block.position() + line.block.length() - 1)
        self.setTextCursor(cursor)
        self.ensureCursorVisible()

    # -- the line at the cursor

    def accept(self) -> None:
        """Accept the sentence, go to the next one and show where it comes from."""
        line = self.current_line()
        if line is not None and line.sentence is not None:
            self._text.set_mark(line.block, "accepted", line.source)
            self._go_on()

    def reject(self) -> None:
        """Take the line out of the report, or put it back."""
        line = self.current_line()
        if line is not None:
            back = line.state == "rejected"
            self._text.set_mark(line.block, "" if back else "rejected", line.source)
            if not back:
                number = self._text.line_number(line.block)
                self._go_on()
                self.rejected.emit(number)

    def _go_on(self) -> None:
        self.next_unreviewed()
        self.follow(always=True)

    def next_unreviewed(self) -> None:
        """Go to the next sentence that is not reviewed; after the last one, to the first."""
        here = self.textCursor().block().blockNumber()
        left = [line for line in self._text.document_lines() if line.state == "draft"]
        after = [line for line in left if line.block.blockNumber() > here]
        if left:
            self.select_line((after or left)[0])

    def go_to_line(self, number: int) -> None:
        """Put the cursor into a line and show where in the scan it comes from."""
        lines = self._text.document_lines()
        if number < len(lines):
            self.select_line(lines[number])
            self.setFocus(Qt.FocusReason.OtherFocusReason)
            self.follow()

    def show_block(self, block: QTextBlock) -> None:
        """Scroll to a line; the cursor stays where it is."""
        rect = self.cursorRect(QTextCursor(block))
        bar = self.verticalScrollBar()
        if not self.viewport().rect().contains(rect):
            bar.setValue(bar.value() + rect.center().y() - self.viewport().height() // 2)

    def underlay(self, what: str, block: QTextBlock | None) -> None:
        """Underlay the whole line of a block; None takes it away."""
        if self._underlaid.pop(what, None) is None and block is None:
            return
        if block is not None:
            self._underlaid[what] = block
        marks = []
        for name, one in self._underlaid.items():
            mark: Any = QTextEdit.ExtraSelection()
            # A shade of the text's colour: napari's themes do not set the palette's other ones.
            shade = QColor(MEASURED if name == "measurement" else self.palette().text().color())
            shade.setAlpha(20 if name == "current" else 40)
            mark.format.setBackground(shade)
            mark.format.setProperty(QTextFormat.Property.FullWidthSelection, True)
            mark.cursor = QTextCursor(one)
            # Without a selection only the first row of a sentence that is wrapped is underlaid.
            mark.cursor.movePosition(
                QTextCursor.MoveOperation.EndOfBlock, QTextCursor.MoveMode.KeepAnchor
            )
            marks.append(mark)
        self.setExtraSelections(marks)

    def _mark_current(self) -> None:
        """Underlay the sentence that the buttons below are about."""
        line = self.current_line()
        self.underlay("current", None if line is None else line.block)

    def checks_of(self, line: DocumentLine) -> list[str]:
        """Return what there is to check in a line."""
        return self.checks.get(self._text.line_number(line.block), [])

    def follow(self, *, always: bool = False) -> None:
        """Show where in the scan the sentence comes from.

        With `always`, a sentence that comes from nowhere hides the heat map of another one.
        """
        line = self.current_line()
        where = None if line is None else position_in(line)
        if line is not None and line.measurement is not None:
            # No heat map of the model belongs to what the reader measured.
            self.followed.emit("")
            self.measured.emit(line.measurement)
        elif where is not None:
            self.followed.emit(where.href)
        elif always:
            self.followed.emit("")

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Show the measurement whose sentence was clicked."""
        super().mouseReleaseEvent(event)
        line = self.current_line()
        clicked = event.button() == Qt.MouseButton.LeftButton
        if clicked and not self.textCursor().hasSelection() and line and line.measurement:
            self.follow()

    # -- typing

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Start a line of the reader's own on Enter; leave other keys to QTextEdit."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and event.modifiers() in (
            Qt.KeyboardModifier.NoModifier,
            Qt.KeyboardModifier.KeypadModifier,
        ):
            cursor = self.textCursor()
            cursor.removeSelectedText()
            self._text.new_block(cursor)
            self.setTextCursor(cursor)
            self.ensureCursorVisible()
            return
        super().keyPressEvent(event)

    def inputMethodEvent(self, event: QInputMethodEvent) -> None:  # noqa: N802 - Qt's name
        """Take what an input method or dictation commits; each line is one of the report."""
        text = event.commitString()
        if "\n" not in text and "\u2029" not in text:
            super().inputMethodEvent(event)
            return
        super().inputMethodEvent(QInputMethodEvent())  # what was composed goes
        source = QMimeData()
        source.setText(text.replace("\u2029", "\n"))
        self.insertFromMimeData(source)

    def loadResource(self, kind: int, url: QUrl) -> QImage:  # noqa: N802, ARG002 - Qt's name
        """Load nothing: text must not make the panel read files or use the network."""
        return no_resource()

    def insertFromMimeData(self, source: QMimeData) -> None:  # noqa: N802 - Qt's name
        """Paste plain text; each further line becomes a line of the reader's own."""
        cursor = self.textCursor()
        cursor.beginEditBlock()
        cursor.removeSelectedText()
        for number, line in enumerate(source.text().splitlines() or [""]):
            if number:
                self._text.new_block(cursor)
            cursor.insertText(line)
        cursor.endEditBlock()
        self.setTextCursor(cursor)
        self.ensureCursorVisible()

    def resizeEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Keep the margin beside the text."""
        super().resizeEvent(event)
        inside = self.contentsRect()
        self.margin.setGeometry(QRect(inside.left(), inside.top(), MARGIN, inside.height()))

    def top_of(self, line: DocumentLine) -> QRect:
        """Return the place of a line's first row, in the margin's coordinates."""
        layout = self._text.documentLayout()
        box = layout.blockBoundingRect(line.block)
        row = line.block.layout().lineAt(0)
        top = int(box.top()) - self.verticalScrollBar().value()
        height = int(row.height()) if row.isValid() else self.fontMetrics().height()
        offset = int(line.block.layout().position().y() - box.top()) if row.isValid() else 0
        return QRect(0, top + offset, MARGIN, height)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the height of three lines, which leaves room on low screens with large text."""
        lines = 3 * self.fontMetrics().lineSpacing() + 2 * int(self.document().documentMargin())
        return QSize(super().minimumSizeHint().width(), lines)


class Margin(QWidget):
    """The margin beside the text: each sentence's state as a sign, and its slice as a link."""

    def __init__(self, editor: ReportEditor) -> None:
        super().__init__(editor)
        self._editor = editor
        self.setAccessibleName(_("Sentences"))
        self.setAccessibleDescription(TIPS["report_margin"])
        self.setMouseTracking(True)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the width of a sign and a slice number."""
        return QSize(MARGIN, 0)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802, ARG002 - Qt's name
        """Draw the signs of the visible lines."""
        painter = QPainter(self)
        font = self._editor.font()
        for number, line in enumerate(self._editor.text.document_lines()):
            row = self._editor.top_of(line)
            if row.bottom() < 0 or row.top() > self.height():
                continue
            painter.setFont(font)
            painter.setPen(self._editor.palette().text().color())
            left = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
            painter.drawText(row.adjusted(6, 0, 0, 0), left, SIGNS[line.state])
            if self._editor.checks.get(number):
                painter.setPen(self._editor.warning_colour)
                painter.drawText(row.adjusted(22, 0, 0, 0), left, CHECK_SIGN)
            where = position_in(line)
            if where is None or line.state == "rejected":
                continue
            linked = self._editor.font()
            linked.setUnderline(True)
            painter.setFont(linked)
            weak = unsupported(line)
            painter.setPen(self._editor.warning_colour if weak else self._editor.link_colour)
            right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
            painter.drawText(
                row.adjusted(20, 0, -8, 0), right, f"{where.slice + 1}{' ?' if weak else ''}"
            )
        painter.end()

    def _at(self, point: QPoint) -> DocumentLine | None:
        lines = self._editor.text.document_lines()
        return next((line for line in lines if self._editor.top_of(line).contains(point)), None)

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Follow a clicked slice number; select the line in either case."""
        line = self._at(event.position().toPoint())
        if line is None:
            return
        self._editor.select_line(line)
        if position_in(line) is not None and event.position().x() > MARGIN / 3:
            self._editor.follow()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Show a pointing hand over links."""
        line = self._at(event.position().toPoint())
        link = line is not None and position_in(line) is not None
        over = link and event.position().x() > MARGIN / 3
        self.setCursor(Qt.CursorShape.PointingHandCursor if over else Qt.CursorShape.ArrowCursor)

    def event(self, event: QEvent) -> bool:
        """Explain a line's signs in a tooltip."""
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            line = self._at(event.pos())
            text = "" if line is None else describe(line, self._editor.checks_of(line))
            QToolTip.showText(event.globalPos(), plain_tip(text), self)
            return True
        return bool(super().event(event))


def position_in(line: DocumentLine) -> ScanPosition | None:
    """Return where a line was measured or where its evidence lies, None if it names no place."""
    if line.measurement is not None:
        return ScanPosition(line.measurement.slice, line.measurement.ras)
    return None if line.sentence is None else position_of(line.sentence)


def unsupported(line: DocumentLine) -> bool:
    """Return whether the image does not make a sentence more likely."""
    return line.sentence is not None and line.sentence.unsupported


def describe(line: DocumentLine, checks: Sequence[str] = ()) -> str:
    """Return a line's state, slice and support in words, and what there is to check."""
    parts = [REPORT_STATES[line.state]]
    if line.measurement is not None:
        parts.append(_("measured: {figures}").format(figures=line.measurement.figures))
    elif line.sentence is not None and line.sentence.slice is not None:
        parts.append(image_of_sentence(line.sentence))
    if unsupported(line):
        parts.append(_(UNSUPPORTED))
    return "  ·  ".join([*parts, *checks])
