"""What a model wrote before its answer, folded away above the answer."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtGui import QTextCursor
from qtpy.QtWidgets import QToolButton, QVBoxLayout, QWidget

from napari_ct_assistant.support.plain_text import plain
from napari_ct_assistant.support.translation import _, ngettext
from napari_ct_assistant.viewer.chat.growing_text import GrowingText
from napari_ct_assistant.viewer.texts import TIPS


class FoldedReasoning(QWidget):
    """A button, and under it the reasoning, hidden until the button is pressed.

    The whole is hidden while there is no reasoning.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.button = QToolButton()
        self.button.setText(_("Reasoning"))
        self.button.setCheckable(True)
        self.button.setAutoRaise(True)
        self.button.setArrowType(Qt.ArrowType.RightArrow)
        self.button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.button.setToolTip(TIPS["reasoning"])
        self.body = GrowingText()
        self.body.setObjectName("quiet")
        self.body.setAccessibleName(_("Reasoning of the model"))
        self.body.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.button)
        layout.addWidget(self.body)
        self.button.toggled.connect(self._on_toggled)
        self.hide()

    def append(self, text: str) -> None:
        """Append plain text."""
        cursor = QTextCursor(self.body.document())
        cursor.movePosition(QTextCursor.MoveOperation.End)
        cursor.insertText(plain(text))
        n = len(self.text().split())
        text = ngettext("Reasoning ({n} word)", "Reasoning ({n} words)", n)
        self.button.setText(text.format(n=n))
        self.show()

    def text(self) -> str:
        """Return the reasoning."""
        return str(self.body.toPlainText()).strip()

    def _on_toggled(self, open_: bool) -> None:
        arrow = Qt.ArrowType.DownArrow if open_ else Qt.ArrowType.RightArrow
        self.button.setArrowType(arrow)
        self.body.setVisible(open_)
