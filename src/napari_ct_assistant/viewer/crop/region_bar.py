"""The row in which the reader chooses what part of a scan is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_ct_assistant.support.translation import N_, _
from napari_ct_assistant.viewer.crop.slice_bar import SliceBar
from napari_ct_assistant.viewer.texts import TIPS
from napari_ct_assistant.viewer.widgets import label as plain_label
from napari_ct_assistant.viewer.widgets import tip as plain_tip

NAMES: Final = {"": N_("automatic"), "none": N_("middle of the scan")}


def shown_region(region: str) -> str:
    """Return what a region is called on screen."""
    return _(NAMES.get(region, region))


class RegionBar(QWidget):
    """Region of the body, and a button that moves the box to the crosshair.

    It is hidden for models that read every scan in the same way.

    Signals
    -------
    region_chosen : str
        A region, "" for the model's own choice.
    moved
        The box is to be moved to the crosshair.
    reset
        The box is to be put back where the region puts it.
    """

    region_chosen = Signal(str)
    moved = Signal()
    reset = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.regions = QComboBox()
        self.regions.setAccessibleName(_("Region to read"))
        self.regions.setToolTip(TIPS["body_region"])
        self.move_button = QPushButton(_("Move box here"))
        self.move_button.setToolTip(TIPS["move_box"])
        self.reset_button = QPushButton(_("Reset box"))
        self.reset_button.setToolTip(TIPS["reset_box"])
        self.said = plain_label()
        self.said.setObjectName("quiet")
        # The status line has the whole text; a long one must not widen the panel.
        self.said.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.slices = SliceBar()
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        layout = QHBoxLayout()
        rows.addLayout(layout)
        rows.addWidget(self.slices)
        layout.addWidget(plain_label(_("Read")))
        for widget in (self.regions, self.move_button, self.reset_button):
            layout.addWidget(widget)
        layout.addWidget(self.said, 1)
        self.regions.activated.connect(
            lambda _index: self.region_chosen.emit(self.regions.currentData())
        )
        self.move_button.clicked.connect(lambda: self.moved.emit())
        self.reset_button.clicked.connect(lambda: self.reset.emit())
        self.hide()

    def show_regions(self, regions: Sequence[str], chosen: str, *, box: bool = True) -> None:
        """Offer a model's regions; without any, the row is hidden. box: it reads a box."""
        self.move_button.setVisible(box)
        self.reset_button.setVisible(box)
        self.regions.clear()
        for region in ("", *regions):
            self.regions.addItem(shown_region(region), region)
        self.regions.setCurrentIndex(max(0, self.regions.findData(chosen)))
        self.setVisible(bool(regions))

    def say(self, text: str) -> None:
        """Show what is read, or what will be."""
        self.said.setText(text)
        self.said.setToolTip(plain_tip(text))
