"""One quiet line under the question box: what is being done, and how fast the last text came."""

from __future__ import annotations

from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QWidget
from superqt import QElidingLabel

from napari_ct_assistant.viewer.room import Outcome


class StatusLine(QWidget):
    """A line of text, with a moving bar while the model works."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.label = QElidingLabel()
        self.label.setObjectName("quiet")
        self.bar = QProgressBar()
        self.bar.setRange(0, 0)
        self.bar.setTextVisible(False)
        self.bar.setFixedSize(64, 8)
        self.bar.hide()
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.label, 1)
        layout.addWidget(self.bar)
        self.say("Ready")

    def say(self, text: str, *, busy: bool | None = None) -> None:
        """Show `text`; `busy` shows or hides the bar."""
        self.label.setText(text)
        self.label.setToolTip(text)
        if busy is not None:
            self.bar.setVisible(busy)


def summary(outcome: Outcome) -> str:
    """Return model, device, time to the first text and speed as one line."""
    parts = [outcome.info.name]
    if outcome.device:
        parts.append(outcome.device)
    if outcome.first_text_s is not None:
        parts.append(f"first text after {outcome.first_text_s:.2f} s")
    if outcome.tokens_per_second is not None:
        parts.append(f"{outcome.tokens_per_second:.0f} tokens/s")
    return "  ·  ".join(parts)
