"""The row of the heat map: whether it is shown, its opacity, and what it is the evidence for."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QSlider, QWidget

from napari_ct_assistant.support.translation import _
from napari_ct_assistant.viewer.texts import TIPS
from napari_ct_assistant.viewer.widgets import eliding_label
from napari_ct_assistant.viewer.widgets import tip as plain_tip


class HeatBar(QWidget):
    """A check box, the opacity, and the sentence of the heat map; hidden until there is a map.

    Signals
    -------
    toggled : bool
    strength : float
        0 to 1.
    """

    toggled = Signal(bool)
    strength = Signal(float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.check = QCheckBox(_("Heat map"))
        self.check.setToolTip(TIPS["heat"])
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName(_("Heat map opacity"))
        self.slider.setToolTip(TIPS["heat_opacity"])
        self.slider.setRange(5, 100)
        self.slider.setValue(60)
        self.slider.setFixedWidth(80)
        self.label = eliding_label(middle=True)
        self.label.setObjectName("quiet")
        self.label.setAccessibleName(_("Heat map of"))
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.check)
        layout.addWidget(self.slider)
        layout.addWidget(self.label, 1)
        self.check.toggled.connect(self.toggled)
        self.slider.valueChanged.connect(lambda value: self.strength.emit(value / 100))
        self.hide()

    def show_heat(self, about: str, *, visible: bool) -> None:
        """Show which sentence or finding the map belongs to, and whether the map is visible."""
        self.label.setText(about)
        self.label.setToolTip(plain_tip(about))
        self.check.blockSignals(True)
        self.check.setChecked(visible)
        self.check.blockSignals(False)
        self.show()
