"""One message of the transcript: who speaks, and a text that can grow and carries links."""

from __future__ import annotations

from typing import Any, Literal

from qtpy.QtCore import QSize, Qt, QUrl, Signal
from qtpy.QtGui import QColor, QTextCharFormat, QTextCursor, QTextDocument
from qtpy.QtWidgets import QFrame, QLabel, QSizePolicy, QTextBrowser, QVBoxLayout, QWidget

Speaker = Literal["you", "model", "note"]


class GrowingText(QTextBrowser):
    """A read-only text as high as its content; it loads nothing and opens nothing."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setOpenLinks(False)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.document().setDocumentMargin(3)
        self.document().documentLayout().documentSizeChanged.connect(self._fit)

    def loadResource(self, kind: int, url: QUrl) -> Any:  # noqa: N802, ARG002 - Qt's name
        """Load nothing: a model's text must not make the panel read files or the network."""
        return None

    def _fit(self, *_: Any) -> None:
        height = int(self.document().size().height() + 0.5)
        if height != self.height():
            self.setFixedHeight(height)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """As high as the text."""
        return QSize(200, int(self.document().size().height() + 0.5))


class Message(QFrame):
    """A message, written piece by piece and set as markdown once it is complete.

    Parameters
    ----------
    speaker : {"you", "model", "note"}
    title : str
        The line above the text.
    source : object, optional
        Whatever the text is about (the scan), kept for link clicks.

    Signals
    -------
    linkClicked : Message, str
    """

    linkClicked = Signal(object, str)  # noqa: N815 - Qt's naming of signals

    def __init__(
        self, speaker: Speaker, title: str, source: Any = None, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.speaker, self.title, self.source = speaker, title, source
        self.setObjectName(f"message_{speaker}")
        self._link_colour = self.palette().link().color()
        self._head = QLabel(title)
        self._head.setObjectName("who")
        self.body = GrowingText()
        self.body.setAccessibleName(title)
        self.body.anchorClicked.connect(lambda url: self.linkClicked.emit(self, url.toString()))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(*((10, 6, 10, 8) if speaker == "you" else (2, 2, 2, 2)))
        layout.setSpacing(2)
        layout.addWidget(self._head)
        layout.addWidget(self.body)
        self._head.setVisible(bool(title))

    @property
    def document(self) -> QTextDocument:
        """The text's document, for searching and tests."""
        return self.body.document()

    def set_link_colour(self, colour: str | QColor) -> None:
        """Set the colour of links; a style sheet cannot reach them."""
        self._link_colour = QColor(colour)
        document = self.body.document()
        style = QTextCharFormat()
        style.setForeground(self._link_colour)
        for start, end in self._link_spans():
            cursor = QTextCursor(document)
            cursor.setPosition(start)
            cursor.setPosition(end, QTextCursor.MoveMode.KeepAnchor)
            cursor.mergeCharFormat(style)

    def _link_spans(self) -> list[tuple[int, int]]:
        """Return where each link begins and ends in the document."""
        spans = []
        block = self.body.document().begin()
        while block.isValid():
            part = block.begin()
            # PyQt6 has no iterator over a block's parts in a `for`; this runs on every binding.
            while not part.atEnd():
                fragment = part.fragment()
                if fragment.charFormat().isAnchor():
                    spans.append((fragment.position(), fragment.position() + fragment.length()))
                part += 1
            block = block.next()
        return spans

    def append(self, text: str) -> None:
        """Write `text` at the end, as it is."""
        cursor = QTextCursor(self.body.document())
        cursor.movePosition(QTextCursor.MoveOperation.End)
        cursor.insertText(text)

    def finish(self, markdown: str) -> None:
        """Replace the text by its final form."""
        self.body.setMarkdown(markdown)
        self.set_link_colour(self._link_colour)

    def set_title(self, title: str) -> None:
        """Change the line above the text."""
        self.title = title
        self._head.setText(title)
        self._head.setVisible(bool(title))

    def plain_text(self) -> str:
        """Return the text without markup."""
        return self.body.toPlainText().strip()
