"""The line under the canvas: window, image, HU, heat map and the selected measurement."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QSize
from qtpy.QtWidgets import QHBoxLayout, QSizePolicy, QWidget


class PositionStrip(QWidget):
    """Widgets in one line. Each has its place also while it has nothing to show.

    Parameters
    ----------
    parts : sequence of (QWidget, int)
        The widgets, and the share of the width that each of them gets; 0 for the width that it
        asks for.
    """

    def __init__(self, parts: Sequence[tuple[QWidget, int]], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("position_strip")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(8, 2, 8, 2)
        layout.setSpacing(16)
        for part, share in parts:
            policy = part.sizePolicy()
            policy.setRetainSizeWhenHidden(True)
            if share:
                policy.setHorizontalPolicy(QSizePolicy.Policy.Ignored)
            part.setSizePolicy(policy)
            layout.addWidget(part, share)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.hide()

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return a narrow size: the line takes the width that there is."""
        return QSize(200, super().sizeHint().height())

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the same size: the texts in it are shortened."""
        return self.sizeHint()
