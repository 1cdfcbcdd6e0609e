"""One message of the transcript: a title, and a text that can be streamed and has links."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtGui import (
    QColor,
    QGuiApplication,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
)
from qtpy.QtWidgets import QFrame, QVBoxLayout, QWidget

from napari_ct_assistant.support.plain_text import plain
from napari_ct_assistant.support.translation import _
from napari_ct_assistant.viewer.chat.growing_text import GrowingText
from napari_ct_assistant.viewer.chat.links import NO_BREAK, UNSUPPORTED, part_of_href
from napari_ct_assistant.viewer.chat.message_head import MessageHead, Speaker
from napari_ct_assistant.viewer.chat.reasoning import FoldedReasoning
from napari_ct_assistant.viewer.widgets import label as plain_label

if TYPE_CHECKING:
    from napari_ct_assistant.backends.heat_map import HeatMap
    from napari_ct_assistant.viewer.session.jobs import TurnJob
    from napari_ct_assistant.viewer.session.scan_session import ScanSession


class Message(QFrame):
    """A message that is written piece by piece, and set as markdown once it is complete.

    Parameters
    ----------
    speaker : {"you", "model", "note"}
    title : str
        The line above the text.
    scan : ScanSession, optional
        The scan that the text is about, for link clicks.

    Signals
    -------
    linkClicked : Message, str
    againAsked, editAsked : Message
        The reader wants another answer, or wants to edit the question.

    Attributes
    ----------
    job : TurnJob or None
        What the message answers or asks; None for a note.
    heat : sequence of (HeatMap or None, str)
        The heat map of each sentence, where it has one, and the sentence.
    """

    linkClicked = Signal(object, str)  # noqa: N815 - Qt's naming of signals
    againAsked = Signal(object)  # noqa: N815 - Qt's naming of signals
    editAsked = Signal(object)  # noqa: N815 - Qt's naming of signals

    def __init__(
        self,
        speaker: Speaker,
        title: str,
        scan: ScanSession | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.speaker, self.title, self.scan = speaker, title, scan
        # The final text; empty while the message is being written.
        self.markdown = ""
        self.setObjectName(f"message_{speaker}")
        self.job: TurnJob | None = None
        self.heat: Sequence[tuple[HeatMap | None, str]] = ()
        self._link_colour = self._warning_colour = self.palette().link().color()
        self.head = MessageHead(speaker, title)
        self.head.copied.connect(self._copy)
        self.head.again.connect(lambda: self.againAsked.emit(self))
        self.head.edited.connect(lambda: self.editAsked.emit(self))
        self.body = GrowingText()
        self.body.pressed.connect(self._on_pressed)
        self._foot = plain_label()
        self._foot.setObjectName("quiet")
        self._foot.setWordWrap(True)
        self._foot.hide()
        self.body.setAccessibleName(title)
        self.body.anchorClicked.connect(lambda url: self.linkClicked.emit(self, url.toString()))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(*((10, 6, 10, 8) if speaker == "you" else (2, 2, 2, 2)))
        layout.setSpacing(2)
        self.reasoning = FoldedReasoning()
        layout.addWidget(self.head)
        layout.addWidget(self.reasoning)
        layout.addWidget(self.body)
        layout.addWidget(self._foot)

    @property
    def is_being_written(self) -> bool:
        """Whether the text comes from a job and has no final form yet."""
        return self.job is not None and not self.markdown

    @property
    def document(self) -> QTextDocument:
        """The text's document."""
        return self.body.document()

    def set_link_colour(self, colour: str | QColor, warning: str | QColor | None = None) -> None:
        """Set the colour of links and of warnings, which a style sheet cannot set."""
        self._link_colour = QColor(colour)
        self._warning_colour = QColor(warning or self._warning_colour)
        document = self.body.document()
        style = QTextCharFormat()
        style.setForeground(self._link_colour)
        for start, end in self._link_spans():
            cursor = QTextCursor(document)
            cursor.setPosition(start)
            cursor.setPosition(end, QTextCursor.MoveMode.KeepAnchor)
            cursor.mergeCharFormat(style)
        style.setForeground(self._warning_colour)
        # Qt finds a no-break space as a space.
        mark = _(UNSUPPORTED).replace(NO_BREAK, " ")
        found = document.find(mark)
        while not found.isNull():
            found.mergeCharFormat(style)
            found = document.find(mark, found)

    def part_of_block(self, number: int) -> str | None:
        """Return the link in a paragraph that shows the evidence of its sentence, if any."""
        document = self.body.document()
        block = document.findBlockByNumber(number)
        for start, end in self._link_spans():
            if block.contains(start):
                cursor = QTextCursor(document)
                cursor.setPosition(start)
                cursor.setPosition(end, QTextCursor.MoveMode.KeepAnchor)
                href = str(cursor.charFormat().anchorHref())
                if part_of_href(href) is not None:
                    return href
        return None

    def _on_pressed(self, block: int) -> None:
        href = self.part_of_block(block)
        if href is not None:
            self.linkClicked.emit(self, href)

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self.plain_text())

    def _link_spans(self) -> list[tuple[int, int]]:
        """Return the start and end position of each link in the document."""
        spans = []
        block = self.body.document().begin()
        while block.isValid():
            part = block.begin()
            # PyQt6 cannot iterate over a block with `for`; this works with every binding.
            while not part.atEnd():
                fragment = part.fragment()
                if fragment.charFormat().isAnchor():
                    spans.append((fragment.position(), fragment.position() + fragment.length()))
                part += 1
            block = block.next()
        return spans

    def append(self, text: str) -> None:
        """Append plain text."""
        cursor = QTextCursor(self.body.document())
        cursor.movePosition(QTextCursor.MoveOperation.End)
        cursor.insertText(plain(text))

    def append_reasoning(self, text: str) -> None:
        """Append to what the model wrote before its answer; it is no part of the text."""
        self.reasoning.append(text)

    def finish(self, markdown: str) -> None:
        """Replace the text by its final form, in markdown."""
        self.markdown = markdown
        self.body.setMarkdown(markdown)
        self.set_link_colour(self._link_colour)

    def set_title(self, title: str) -> None:
        """Change the line above the text."""
        self.title = title
        self.head.set_title(title)

    def set_foot(self, text: str) -> None:
        """Set the line under the text: the speed, and what the model could not use."""
        self._foot.setText(text)
        self._foot.setVisible(bool(text))

    @property
    def foot(self) -> str:
        """The line under the text."""
        return str(self._foot.text())

    def plain_text(self) -> str:
        """Return the text without markup."""
        return self.body.toPlainText().strip()
