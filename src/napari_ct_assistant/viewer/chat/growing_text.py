"""A read-only text that is as high as its content."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QSize, Qt, QUrl, Signal
from qtpy.QtGui import QImage, QMouseEvent
from qtpy.QtWidgets import QFrame, QSizePolicy, QTextBrowser, QWidget

from napari_ct_assistant.viewer.widgets import no_resource


class GrowingText(QTextBrowser):
    """A read-only text that is as high as its content, and that never loads or opens anything.

    Signals
    -------
    pressed : int
        The block (paragraph) that was clicked; not for links, nor for a drag that selects text.
    """

    pressed = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setOpenLinks(False)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.document().setDocumentMargin(3)
        self.document().documentLayout().documentSizeChanged.connect(self._fit)

    def loadResource(self, kind: int, url: QUrl) -> QImage:  # noqa: N802, ARG002 - Qt's name
        """Load nothing: text must not make the panel read files or use the network."""
        return no_resource()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Emit which paragraph was clicked."""
        super().mouseReleaseEvent(event)
        at = event.position().toPoint()
        left = event.button() == Qt.MouseButton.LeftButton
        if left and not self.textCursor().hasSelection() and not self.anchorAt(at):
            self.pressed.emit(self.cursorForPosition(at).blockNumber())

    def _fit(self, *_: Any) -> None:
        height = int(self.document().size().height() + 0.5)
        if height != self.height():
            self.setFixedHeight(height)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the height of the text."""
        return QSize(200, int(self.document().size().height() + 0.5))
