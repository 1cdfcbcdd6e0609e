"""The report as a text document: one line per sentence; undo covers every change to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal
from qtpy.QtGui import (
    QFont,
    QTextBlock,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
    QTextFormat,
)

from napari_ct_assistant.assistant.report.document import ReportDocument
from napari_ct_assistant.assistant.report.measurement import Measurement
from napari_ct_assistant.assistant.report.parts import Line, Mark, Section, State, relink

if TYPE_CHECKING:
    from napari_ct_assistant.assistant import Sentence

_USER = int(QTextFormat.Property.UserProperty.value)
# What a block is. It is kept in the block's format, so that undo and redo restore it.
KEY, LEVEL, SOURCE, MARK, MEASUREMENT = (_USER + n for n in range(1, 6))


@dataclass(frozen=True)
class DocumentLine:
    """A line of the document: its text block, content and state, its evidence or measurement."""

    block: QTextBlock
    content: Line
    state: State
    sentence: Sentence | None
    measurement: Measurement | None = None

    @property
    def text(self) -> str:
        """The text of the line."""
        return self.content.text

    @property
    def source(self) -> int | None:
        """The number of the drafted sentence that the line came from, None for other lines."""
        return self.content.source


class ReportText(QTextDocument):
    """A `ReportDocument` that can be edited.

    Headings and lines are blocks. A block's format says which section it is the heading of, or
    which drafted sentence it holds and whether the sentence was accepted or rejected. Thus the
    document's own undo and redo restore these, too.

    Signals
    -------
    edited
        Text or marks changed.
    """

    edited = Signal()

    def __init__(self, report: ReportDocument | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.setDocumentMargin(6)
        # What is not in the text: the drafted sentences with their evidence, the models that
        # drafted them, the signature. Sentences are only added, so that undo finds them again.
        self._frame = ReportDocument()
        if report is not None:
            self.fill(report)
            self.clearUndoRedoStacks()
        self.contentsChanged.connect(self.edited)

    # -- to and from the report

    def fill(self, report: ReportDocument) -> None:
        """Replace the whole text by `report`; one undo restores the old text."""
        self._frame = replace(report, sections=())
        with self._editing() as cursor:
            cursor.select(QTextCursor.SelectionType.Document)
            cursor.removeSelectedText()
            first = True
            for section in report.sections:
                for text, block_format in self._blocks(section):
                    if first:
                        cursor.setBlockFormat(block_format)
                        cursor.setBlockCharFormat(_char_format(block_format))
                    else:
                        cursor.insertBlock(block_format, _char_format(block_format))
                    cursor.insertText(text, _char_format(block_format))
                    first = False

    def set_frame(self, report: ReportDocument) -> None:
        """Take evidence, provenance and signature from `report`; the text stays."""
        self._frame = replace(report, sections=())
        self.edited.emit()

    def _blocks(self, section: Section) -> Iterator[tuple[str, QTextBlockFormat]]:
        yield section.heading, _heading_format(section.key, section.level)
        for line in section.lines or (Line(""),):
            yield line.text, _line_format(line)

    def report(self) -> ReportDocument:
        """Return the report as it is now."""
        frame = self._frame
        read = [section for section, _ in self._read()]
        sections = relink(read, frame.sources, len(frame.measurements))
        return replace(self._frame, sections=sections)

    def _read(self) -> Iterator[tuple[Section, list[QTextBlock]]]:
        """Yield each section with the blocks of its lines."""
        section = Section("", "", 1)
        blocks: list[QTextBlock] = []
        lines: list[Line] = []
        block = self.begin()
        while block.isValid():
            block_format = block.blockFormat()
            if block_format.hasProperty(KEY):
                if lines or section.heading:
                    yield replace(section, lines=tuple(lines)), blocks
                key, level = str(block_format.property(KEY)), int(block_format.property(LEVEL))
                section, blocks, lines = Section(key, block.text(), level), [], []
            else:
                blocks.append(block)
                lines.append(_line_of(block))
            block = block.next()
        yield replace(section, lines=tuple(lines)), blocks

    def document_lines(self) -> list[DocumentLine]:
        """Return the lines that are not blank, in order."""
        report = self.report()
        found = []
        blocks = [block for _, blocks in self._read() for block in blocks]
        lines = [line for section in report.sections for line in section.lines]
        for block, line in zip(blocks, lines, strict=True):
            if line.text.strip():
                source = None if line.source is None else report.sources[line.source]
                sentence = source.sentence if source is not None and source.draft >= 0 else None
                number = line.measurement
                measured = None if number is None else report.measurements[number]
                found.append(DocumentLine(block, line, report.state(line), sentence, measured))
        return found

    def line_at(self, position: int) -> DocumentLine | None:
        """Return the line at a position of the text, None on headings and blank lines."""
        number = self.findBlock(position).blockNumber()
        return next(
            (line for line in self.document_lines() if line.block.blockNumber() == number), None
        )

    def line_number(self, block: QTextBlock) -> int:
        """Return the number of a line among those that are not blank, -1 for other blocks."""
        wanted = block.blockNumber()
        numbers = [line.block.blockNumber() for line in self.document_lines()]
        return numbers.index(wanted) if wanted in numbers else -1

    def section_at(self, position: int) -> str:
        """Return the key of the section at a position."""
        block = self.findBlock(position)
        while block.isValid():
            if block.blockFormat().hasProperty(KEY):
                return str(block.blockFormat().property(KEY))
            block = block.previous()
        return ""

    def findings(self) -> str:
        """Return the text of the report's findings, without rejected lines."""
        return " ".join(
            line.text
            for section in self.report().body()
            if section.key.split("/")[0] == "findings"
            for line in section.lines
        )

    def select_section(self, key: str) -> QTextCursor | None:
        """Return a cursor that selects a section's lines, None if there is no such section."""
        for section, blocks in self._read():
            if section.key == key and blocks:
                cursor = QTextCursor(blocks[0])
                cursor.setPosition(
                    blocks[-1].position() + blocks[-1].length() - 1,
                    QTextCursor.MoveMode.KeepAnchor,
                )
                return cursor
        return None

    # -- changes to lines

    def add_measurement(self, measurement: Measurement) -> int:
        """Keep a measurement beside the text, and return its number for `insert_line`."""
        known = self._frame.measurements
        self._frame = replace(self._frame, measurements=(*known, measurement))
        return len(known)

    def restate(self, block: QTextBlock, text: str, measurement: int) -> None:
        """Replace the text of a line by that of another measurement; this can be undone."""
        with self._editing() as cursor:
            cursor.setPosition(block.position())
            cursor.movePosition(
                QTextCursor.MoveOperation.EndOfBlock, QTextCursor.MoveMode.KeepAnchor
            )
            block_format = _line_format(replace(_line_of(block), measurement=measurement))
            cursor.insertText(text, _char_format(block_format))
            cursor.setBlockFormat(block_format)

    def set_mark(self, block: QTextBlock, mark: Mark, source: int | None = None) -> None:
        """Accept or reject a line, or clear its mark; this can be undone."""
        with self._editing() as cursor:
            cursor.setPosition(block.position())
            line = _line_of(block)
            source = line.source if source is None else source
            block_format = _line_format(replace(line, source=source, mark=mark))
            cursor.setBlockFormat(block_format)
            cursor.setBlockCharFormat(_char_format(block_format))
            cursor.movePosition(
                QTextCursor.MoveOperation.EndOfBlock, QTextCursor.MoveMode.KeepAnchor
            )
            cursor.setCharFormat(_char_format(block_format))

    def insert_line(self, position: int, text: str, measurement: int | None = None) -> int:
        """Insert a line of the reader's own after the one at `position`; return its end.

        `measurement` is the number of the measurement that the line states.
        """
        with self._editing() as cursor:
            cursor.setPosition(position)
            cursor.movePosition(QTextCursor.MoveOperation.EndOfBlock)
            block_format = _line_format(Line(text, measurement=measurement))
            if cursor.block().text().strip() or cursor.blockFormat().hasProperty(KEY):
                nxt = cursor.block().next()
                blank = nxt.isValid() and not nxt.text() and not nxt.blockFormat().hasProperty(KEY)
                if cursor.blockFormat().hasProperty(KEY) and blank:
                    cursor.setPosition(nxt.position())
                else:
                    cursor.insertBlock(block_format, _char_format(block_format))
            cursor.setBlockFormat(block_format)
            cursor.insertText(text, _char_format(block_format))
            return int(cursor.position())

    def replace_lines(self, cursor: QTextCursor, lines: Sequence[Line]) -> None:
        """Replace the selected lines by others."""
        cursor.beginEditBlock()
        cursor.removeSelectedText()
        for number, line in enumerate(lines):
            block_format = _line_format(line)
            if number:
                cursor.insertBlock(block_format, _char_format(block_format))
            else:
                cursor.setBlockFormat(block_format)
            cursor.insertText(line.text, _char_format(block_format))
        cursor.endEditBlock()

    def new_block(self, cursor: QTextCursor) -> None:
        """Break the line at the cursor; the rest becomes a line of the reader's own."""
        block_format = _line_format(Line(""))
        cursor.beginEditBlock()
        cursor.insertBlock(block_format, _char_format(block_format))
        cursor.endEditBlock()

    def add_draft(self, report: ReportDocument) -> None:
        """Show `report`, which is this report with the sentences of a draft added.

        Only the new lines are written, so that the reader's cursor and undo history stay.
        """
        known = len(self._frame.sources)
        self._frame = replace(report, sections=())
        with self._editing() as cursor:
            for section in report.sections:
                new = [line for line in section.lines if (line.source or 0) >= known]
                if not new:
                    continue
                end = self._end_of(section.key)
                if end is None:
                    cursor.movePosition(QTextCursor.MoveOperation.End)
                    block_format = _heading_format(section.key, section.level)
                    cursor.insertBlock(block_format, _char_format(block_format))
                    cursor.insertText(section.heading, _char_format(block_format))
                else:
                    cursor.setPosition(end)
                for line in new:
                    block_format = _line_format(line)
                    if cursor.block().text() or cursor.blockFormat().hasProperty(KEY):
                        cursor.insertBlock(block_format, _char_format(block_format))
                    else:
                        cursor.setBlockFormat(block_format)
                    cursor.insertText(line.text, _char_format(block_format))

    def _end_of(self, key: str) -> int | None:
        """Return the end of a section's last line, None if there is no such section."""
        found: int | None = None
        inside = False
        block = self.begin()
        while block.isValid():
            if block.blockFormat().hasProperty(KEY):
                inside = str(block.blockFormat().property(KEY)) == key
            if inside:
                found = block.position() + block.length() - 1
            block = block.next()
        return found

    @contextmanager
    def _editing(self) -> Iterator[QTextCursor]:
        """Yield a cursor whose changes are a single undo step."""
        cursor = QTextCursor(self)
        cursor.beginEditBlock()
        try:
            yield cursor
        finally:
            cursor.endEditBlock()


def _heading_format(key: str, level: int) -> QTextBlockFormat:
    block_format = QTextBlockFormat()
    block_format.setProperty(KEY, key)
    block_format.setProperty(LEVEL, level)
    block_format.setHeadingLevel(level + 1)
    block_format.setTopMargin(10 if level == 1 else 5)
    return block_format


def _line_format(line: Line) -> QTextBlockFormat:
    block_format = QTextBlockFormat()
    if line.source is not None:
        block_format.setProperty(SOURCE, line.source)
    if line.mark:
        block_format.setProperty(MARK, line.mark)
    if line.measurement is not None:
        block_format.setProperty(MEASUREMENT, line.measurement)
    block_format.setTopMargin(2)
    return block_format


def _char_format(block_format: QTextBlockFormat) -> QTextCharFormat:
    """Return the character format of a block: headings bold, rejected lines struck out."""
    style = QTextCharFormat()
    if block_format.hasProperty(KEY):
        style.setFontWeight(QFont.Weight.Bold)
        if int(block_format.property(LEVEL)) == 1:
            style.setFontCapitalization(QFont.Capitalization.AllUppercase)
    if block_format.property(MARK) == "rejected":
        style.setFontStrikeOut(True)
    return style


def _line_of(block: QTextBlock) -> Line:
    block_format = block.blockFormat()
    mark: Any = block_format.property(MARK)

    def number(what: int) -> int | None:
        return int(block_format.property(what)) if block_format.hasProperty(what) else None

    kept: Mark = "accepted" if mark == "accepted" else "rejected" if mark == "rejected" else ""
    return Line(block.text(), number(SOURCE), kept, number(MEASUREMENT))
