"""The report as a text document: one line a sentence, whose undo covers everything done to it."""

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
from napari_ct_assistant.assistant.report.parts import Line, Mark, Section, State, relink

if TYPE_CHECKING:
    from napari_ct_assistant.assistant import Sentence

_USER = int(QTextFormat.Property.UserProperty.value)
# What a block is, kept in its format so that undo and redo carry it along.
KEY, LEVEL, SOURCE, MARK = _USER + 1, _USER + 2, _USER + 3, _USER + 4


@dataclass(frozen=True)
class DocumentLine:
    """A line of the document: where it stands, what it is, and its evidence."""

    block: QTextBlock
    content: Line
    state: State
    sentence: Sentence | None

    @property
    def text(self) -> str:
        """The words of the line."""
        return self.content.text

    @property
    def source(self) -> int | None:
        """The number of the drafted sentence that the line came from, None for other lines."""
        return self.content.source


class ReportText(QTextDocument):
    """A `ReportDocument` that can be typed into.

    Headings and lines are blocks. A block's format says which section it heads or which drafted
    sentence it holds and whether that was accepted or rejected, so the document's own undo and
    redo bring those back too.

    Signals
    -------
    edited
        Text or marks changed.
    """

    edited = Signal()

    def __init__(self, report: ReportDocument | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.setDocumentMargin(6)
        # What does not live in the text: evidence of every sentence ever put in, who drafted,
        # who signed. Sources are only ever added, so an undo finds its own again.
        self._frame = ReportDocument()
        if report is not None:
            self.fill(report)
            self.clearUndoRedoStacks()
        self.contentsChanged.connect(self.edited)

    # -- to and from the report

    def fill(self, report: ReportDocument) -> None:
        """Put `report` in the place of all there is; one undo brings the old text back."""
        self._frame = replace(report, sections=())
        with self._editing() as cursor:
            cursor.select(QTextCursor.SelectionType.Document)
            cursor.removeSelectedText()
            first = True
            for section in report.sections:
                for text, shape in self._blocks(section):
                    if first:
                        cursor.setBlockFormat(shape)
                        cursor.setBlockCharFormat(_letters(shape))
                    else:
                        cursor.insertBlock(shape, _letters(shape))
                    cursor.insertText(text, _letters(shape))
                    first = False

    def set_frame(self, report: ReportDocument) -> None:
        """Take evidence, provenance and signature from `report`, leaving the text alone."""
        self._frame = replace(report, sections=())
        self.edited.emit()

    def _blocks(self, section: Section) -> Iterator[tuple[str, QTextBlockFormat]]:
        yield section.heading, _heading_shape(section.key, section.level)
        for line in section.lines or (Line(""),):
            yield line.text, _line_shape(line.source, line.mark)

    def report(self) -> ReportDocument:
        """Return the report as it stands."""
        sections = relink([section for section, _ in self._read()], self._frame.sources)
        return replace(self._frame, sections=sections)

    def _read(self) -> Iterator[tuple[Section, list[QTextBlock]]]:
        """Yield each section with the blocks of its lines."""
        section = Section("", "", 1)
        blocks: list[QTextBlock] = []
        lines: list[Line] = []
        block = self.begin()
        while block.isValid():
            shape = block.blockFormat()
            if shape.hasProperty(KEY):
                if lines or section.heading:
                    yield replace(section, lines=tuple(lines)), blocks
                key, level = str(shape.property(KEY)), int(shape.property(LEVEL))
                section, blocks, lines = Section(key, block.text(), level), [], []
            else:
                blocks.append(block)
                lines.append(Line(block.text(), _source_of(shape), _mark_of(shape)))
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
                found.append(DocumentLine(block, line, report.state(line), sentence))
        return found

    def line_at(self, position: int) -> DocumentLine | None:
        """Return the line at a position of the text, None on headings and blank lines."""
        number = self.findBlock(position).blockNumber()
        return next(
            (line for line in self.document_lines() if line.block.blockNumber() == number), None
        )

    def section_at(self, position: int) -> str:
        """Return the key of the section at a position."""
        block = self.findBlock(position)
        while block.isValid():
            if block.blockFormat().hasProperty(KEY):
                return str(block.blockFormat().property(KEY))
            block = block.previous()
        return ""

    def findings(self) -> str:
        """Return what the report's findings say, rejected lines left out."""
        return " ".join(
            line.text
            for section in self.report().body()
            if section.key.split("/")[0] == "findings"
            for line in section.lines
        )

    def select_section(self, key: str) -> QTextCursor | None:
        """Return a cursor over a section's lines, None where there is no such section."""
        for section, blocks in self._read():
            if section.key == key and blocks:
                cursor = QTextCursor(blocks[0])
                cursor.setPosition(
                    blocks[-1].position() + blocks[-1].length() - 1,
                    QTextCursor.MoveMode.KeepAnchor,
                )
                return cursor
        return None

    # -- what the reader does to a line

    def set_mark(self, block: QTextBlock, mark: Mark, source: int | None = None) -> None:
        """Accept or reject a line, or take that back; undo undoes it."""
        with self._editing() as cursor:
            cursor.setPosition(block.position())
            shape = _line_shape(_source_of(block.blockFormat()) if source is None else source, mark)
            cursor.setBlockFormat(shape)
            cursor.setBlockCharFormat(_letters(shape))
            cursor.movePosition(
                QTextCursor.MoveOperation.EndOfBlock, QTextCursor.MoveMode.KeepAnchor
            )
            cursor.setCharFormat(_letters(shape))

    def insert_line(self, position: int, text: str) -> int:
        """Put a line of the reader's own after the one at `position`; return its end."""
        with self._editing() as cursor:
            cursor.setPosition(position)
            cursor.movePosition(QTextCursor.MoveOperation.EndOfBlock)
            shape = _line_shape(None, "")
            if cursor.block().text().strip() or cursor.blockFormat().hasProperty(KEY):
                nxt = cursor.block().next()
                blank = nxt.isValid() and not nxt.text() and not nxt.blockFormat().hasProperty(KEY)
                if cursor.blockFormat().hasProperty(KEY) and blank:
                    cursor.setPosition(nxt.position())
                else:
                    cursor.insertBlock(shape, _letters(shape))
            cursor.setBlockFormat(shape)
            cursor.insertText(text, _letters(shape))
            return int(cursor.position())

    def replace_lines(self, cursor: QTextCursor, lines: Sequence[str]) -> None:
        """Put lines of the reader's own in the place of the selected ones."""
        cursor.beginEditBlock()
        cursor.removeSelectedText()
        shape = _line_shape(None, "")
        for number, text in enumerate(lines):
            if number:
                cursor.insertBlock(shape, _letters(shape))
            else:
                cursor.setBlockFormat(shape)
            cursor.insertText(text, _letters(shape))
        cursor.endEditBlock()

    def new_block(self, cursor: QTextCursor) -> None:
        """Break the line at the cursor; what follows is a line of the reader's own."""
        shape = _line_shape(None, "")
        cursor.beginEditBlock()
        cursor.insertBlock(shape, _letters(shape))
        cursor.endEditBlock()

    def add_draft(self, report: ReportDocument) -> None:
        """Show `report`, which is this one with a draft's sentences added.

        Only what is new is written, so that the reader's cursor and undo stay.
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
                    shape = _heading_shape(section.key, section.level)
                    cursor.insertBlock(shape, _letters(shape))
                    cursor.insertText(section.heading, _letters(shape))
                else:
                    cursor.setPosition(end)
                for line in new:
                    shape = _line_shape(line.source, line.mark)
                    if cursor.block().text() or cursor.blockFormat().hasProperty(KEY):
                        cursor.insertBlock(shape, _letters(shape))
                    else:
                        cursor.setBlockFormat(shape)
                    cursor.insertText(line.text, _letters(shape))

    def _end_of(self, key: str) -> int | None:
        """Return the end of a section's last line, None where there is no such section."""
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
        """Give a cursor whose changes are one step of undo."""
        cursor = QTextCursor(self)
        cursor.beginEditBlock()
        try:
            yield cursor
        finally:
            cursor.endEditBlock()


def _heading_shape(key: str, level: int) -> QTextBlockFormat:
    shape = QTextBlockFormat()
    shape.setProperty(KEY, key)
    shape.setProperty(LEVEL, level)
    shape.setHeadingLevel(level + 1)
    shape.setTopMargin(10 if level == 1 else 5)
    return shape


def _line_shape(source: int | None, mark: Mark) -> QTextBlockFormat:
    shape = QTextBlockFormat()
    if source is not None:
        shape.setProperty(SOURCE, source)
    if mark:
        shape.setProperty(MARK, mark)
    shape.setTopMargin(2)
    return shape


def _letters(shape: QTextBlockFormat) -> QTextCharFormat:
    """Return the letters of a block: headings bold, rejected lines struck out."""
    letters = QTextCharFormat()
    if shape.hasProperty(KEY):
        letters.setFontWeight(QFont.Weight.Bold)
        if int(shape.property(LEVEL)) == 1:
            letters.setFontCapitalization(QFont.Capitalization.AllUppercase)
    if shape.property(MARK) == "rejected":
        letters.setFontStrikeOut(True)
    return letters


def _source_of(shape: QTextBlockFormat) -> int | None:
    return int(shape.property(SOURCE)) if shape.hasProperty(SOURCE) else None


def _mark_of(shape: QTextBlockFormat) -> Mark:
    mark: Any = shape.property(MARK)
    return "accepted" if mark == "accepted" else "rejected" if mark == "rejected" else ""
