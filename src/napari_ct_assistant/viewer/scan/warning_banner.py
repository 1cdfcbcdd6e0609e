"""Warnings about the scan on screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QHBoxLayout, QSizePolicy, QStyle, QWidget

from napari_ct_assistant.viewer.scan.layers import is_oblique
from napari_ct_assistant.viewer.widgets import label as plain_label
from napari_ct_assistant.viewer.widgets import tip as plain_tip

if TYPE_CHECKING:
    from napari_ct_assistant.volume import CTVolume

OBLIQUE = "Oblique scan: shown along its own axes, so the letters and planes are approximate."


class WarningBanner(QWidget):
    """The scan's warnings, hidden while there are none."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        style = self.style()
        icon = plain_label()
        sign = style.standardIcon(QStyle.StandardPixmap.SP_MessageBoxWarning)
        icon.setPixmap(sign.pixmap(16, 16))
        icon.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.label = plain_label()
        self.label.setWordWrap(True)
        self.label.setAccessibleName("Warnings about the scan")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 2, 0, 2)
        layout.addWidget(icon)
        layout.addWidget(self.label, 1)
        self.hide()

    def show_scan(self, volume: CTVolume | None) -> None:
        """Show the warnings about a scan, if there are any."""
        texts = [] if volume is None else list(volume.warnings)
        if volume is not None and is_oblique(volume):
            texts.append(OBLIQUE)
        self.show_texts(texts)

    def show_texts(self, texts: Sequence[str]) -> None:
        """Show these warnings; without any, the banner is hidden."""
        shown = list(texts[:3])
        if len(texts) > len(shown):
            shown.append(f"and {len(texts) - len(shown)} more (hover here to see them)")
        self.label.setText("\n".join(shown))
        self.label.setToolTip(plain_tip("\n".join(texts)))
        self.setVisible(bool(texts))
