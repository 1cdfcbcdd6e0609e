"""Warnings about the scan on screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QSizePolicy, QStyle, QToolButton, QWidget

from napari_ct_assistant.support.translation import N_, _, shown
from napari_ct_assistant.viewer.scan.layers import is_oblique
from napari_ct_assistant.viewer.texts import TIPS
from napari_ct_assistant.viewer.widgets import eliding_label, row
from napari_ct_assistant.viewer.widgets import label as plain_label
from napari_ct_assistant.viewer.widgets import tip as plain_tip

if TYPE_CHECKING:
    from napari_ct_assistant.volume import CTVolume

OBLIQUE: Final = N_(
    "Oblique scan: shown along its own axes, so the letters and planes are approximate."
)


class WarningBanner(QWidget):
    """Warnings in one line, which unfolds; hidden while there are none."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        style = self.style()
        icon = plain_label()
        sign = style.standardIcon(QStyle.StandardPixmap.SP_MessageBoxWarning)
        icon.setPixmap(sign.pixmap(16, 16))
        icon.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.label = eliding_label()
        self.label.setAccessibleName(_("Warnings about the scan"))
        self.fold_button = QToolButton()
        self.fold_button.setCheckable(True)
        self.fold_button.setArrowType(Qt.ArrowType.LeftArrow)
        self.fold_button.setToolTip(TIPS["warning_fold"])
        self.fold_button.setAccessibleName(TIPS["warning_fold"])
        self.fold_button.toggled.connect(self._unfold)
        line = row(icon, self.label, self.fold_button)
        line.setStretchFactor(self.label, 1)
        self.setLayout(line)
        self.hide()

    def _unfold(self, on: bool) -> None:
        self.fold_button.setArrowType(Qt.ArrowType.DownArrow if on else Qt.ArrowType.LeftArrow)
        self.label.setWordWrap(on)
        self.updateGeometry()

    def show_scan(self, volume: CTVolume | None) -> None:
        """Show the warnings about a scan, if there are any."""
        texts = [] if volume is None else list(volume.warnings)
        if volume is not None and is_oblique(volume):
            texts.append(_(OBLIQUE))
        self.show_texts(texts)

    def show_texts(self, texts: Sequence[str]) -> None:
        """Show these warnings; without any, the banner is hidden."""
        texts = [shown(text) for text in texts]
        count = _("{n} warnings: ").format(n=len(texts)) if len(texts) > 1 else ""
        # A single warning keeps its end, of several the first one is read.
        middle, right = Qt.TextElideMode.ElideMiddle, Qt.TextElideMode.ElideRight
        self.label.setElideMode(right if count else middle)
        self.label.setText(count + "  ·  ".join(texts))
        self.label.setToolTip(plain_tip("\n".join(texts)))
        self.setVisible(bool(texts))
