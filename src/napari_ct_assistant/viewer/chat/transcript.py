"""The transcript: questions, texts of the model, and notes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget

from napari_ct_assistant.support.translation import _
from napari_ct_assistant.viewer.chat.message import Message
from napari_ct_assistant.viewer.chat.message_head import Speaker

if TYPE_CHECKING:
    from napari_ct_assistant.viewer.session.scan_session import ScanSession


class Transcript(QScrollArea):
    """A column of messages that scrolls to the newest text unless the reader has scrolled up.

    It shows the messages about one scan, and those about none. Messages about other scans are
    hidden, and are neither copied nor cleared.

    Signals
    -------
    linkClicked : Message, str
    againAsked, editAsked : Message
    """

    linkClicked = Signal(object, str)  # noqa: N815 - Qt's naming of signals
    againAsked = Signal(object)  # noqa: N815 - Qt's naming of signals
    editAsked = Signal(object)  # noqa: N815 - Qt's naming of signals

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("transcript")
        self.setAccessibleName(_("Transcript"))
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setMinimumHeight(100)
        self.messages: list[Message] = []
        self._link_colour = self._warning_colour = ""
        self._scan: ScanSession | None = None
        self._page = QWidget()
        self._page.setObjectName("transcript_page")
        self._column = QVBoxLayout(self._page)
        self._column.setContentsMargins(4, 4, 8, 4)
        self._column.setSpacing(10)
        self._column.addStretch(1)
        self.setWidget(self._page)
        self._follow = True
        bar = self.verticalScrollBar()
        bar.rangeChanged.connect(self._on_range)
        bar.valueChanged.connect(self._on_scrolled)

    def add(
        self,
        speaker: Speaker,
        title: str,
        text: str = "",
        scan: ScanSession | None = None,
        before: Message | None = None,
    ) -> Message:
        """Add a message at the end, or before another one; `text` is markdown."""
        message = Message(speaker, title, scan)
        if self._link_colour:
            message.set_link_colour(self._link_colour, self._warning_colour)
        if text:
            message.finish(text)
        message.linkClicked.connect(self.linkClicked)
        message.againAsked.connect(self.againAsked)
        message.editAsked.connect(self.editAsked)
        at = len(self.messages) if before is None else self.messages.index(before)
        self.messages.insert(at, message)
        self._column.insertWidget(at, message)
        message.setVisible(self.is_shown(message))
        self._follow = True
        QTimer.singleShot(0, self._to_end)
        return message

    def set_link_colour(self, colour: str, warning: str = "") -> None:
        """Set the colour of links and warnings, in present and future messages."""
        self._link_colour, self._warning_colour = colour, warning
        for message in self.messages:
            message.set_link_colour(colour, warning)

    def show_scan(self, scan: ScanSession | None) -> None:
        """Show the messages about this scan, and those about none."""
        self._scan = scan
        for message in self.messages:
            message.setVisible(self.is_shown(message))
        self._follow = True
        QTimer.singleShot(0, self._to_end)

    def is_shown(self, message: Message) -> bool:
        """Return whether a message is about the scan that is shown, or about none.

        While the reader reads a scan first, only the questions about it are shown.
        """
        scan = message.scan
        if scan is None:
            return True
        return scan is self._scan and (not scan.hidden or message.speaker == "you")

    def move_to(self, message: Message, scan: ScanSession) -> None:
        """Let a message belong to another session: its scan was closed and opened again."""
        message.scan = scan
        message.setVisible(self.is_shown(message))

    def clear(self) -> None:
        """Remove every message that is shown, except the text being written and its question."""
        running = {one.job for one in self.messages if one.is_being_written and one.job}
        for message in list(self.messages):
            kept = message.is_being_written or message.job in running
            if self.is_shown(message) and not kept:
                self.remove(message)

    def remove(self, message: Message) -> None:
        """Remove one message."""
        self.messages.remove(message)
        self._column.removeWidget(message)
        message.hide()
        message.deleteLater()

    def plain_text(self) -> str:
        """Return what is shown as text, with a blank line between messages."""
        blocks = []
        for message in filter(self.is_shown, self.messages):
            text = message.plain_text()
            if text:
                blocks.append(f"{message.title}\n{text}" if message.title else text)
        return "\n\n".join(blocks)

    def _on_range(self, _low: int, high: int) -> None:
        if self._follow:
            self.verticalScrollBar().setValue(high)

    def _on_scrolled(self, value: int) -> None:
        self._follow = value >= self.verticalScrollBar().maximum() - 4

    def _to_end(self) -> None:
        bar = self.verticalScrollBar()
        bar.setValue(bar.maximum())
