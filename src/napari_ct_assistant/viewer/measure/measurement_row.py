"""The rows for a measurement: its name and place for the report, and a figure that changed."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QSizePolicy, QVBoxLayout, QWidget

from napari_ct_assistant.assistant.report.measured_place import NAMES, PLACES
from napari_ct_assistant.support.translation import _
from napari_ct_assistant.viewer.texts import MEASUREMENT_CHANGED, TIPS
from napari_ct_assistant.viewer.widgets import button, eliding_label, row
from napari_ct_assistant.viewer.widgets import tip as plain_tip


class MeasurementRow(QWidget):
    """Asks what was measured and where it lies, and offers a sentence whose figures changed.

    Signals
    -------
    inserted
        The measurement is wanted in the report.
    updated
        The sentence is wanted with the new figures.
    """

    inserted = Signal()
    updated = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.name = _choice(_("What was measured"), NAMES, TIPS["measured_name"])
        self.place = _choice(_("Where it lies"), PLACES, TIPS["measured_place"])
        self.insert_button = button(_("Measurement into report"), TIPS["measured"], small=True)
        self.insert_button.setAccessibleName(_("Measurement into report"))
        self.changed = QWidget()
        self.label = eliding_label()
        self.label.setObjectName("notice")
        self.label.setAccessibleName(_("Measurement that changed"))
        self.update_button = button(_("Update"), TIPS["measured_update"], small=True)
        line = row(self.label, self.update_button)
        line.setStretchFactor(self.label, 1)
        self.changed.setLayout(line)
        self.changed.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.changed)
        line = row(self.insert_button, self.name, self.place)
        line.setStretchFactor(self.name, 1)
        line.setStretchFactor(self.place, 1)
        layout.addLayout(line)
        self.insert_button.clicked.connect(lambda: self.inserted.emit())
        self.update_button.clicked.connect(lambda: self.updated.emit())
        self.hide()

    def take(self) -> tuple[str, str]:
        """Return name and place as the reader chose them, and forget them: they are said once."""
        said = self.name.currentText().strip(), self.place.currentText().strip()
        self.clear()
        return said

    def clear(self) -> None:
        """Empty both boxes."""
        for box in (self.name, self.place):
            box.setCurrentIndex(-1)
            box.clearEditText()

    def offer_places(self, places: Sequence[str]) -> None:
        """List these places first."""
        typed = self.place.currentText()
        listed = list(dict.fromkeys([*places, *PLACES]))
        if [self.place.itemText(n) for n in range(self.place.count())] != listed:
            self.place.clear()
            self.place.addItems(listed)
            self.place.setCurrentIndex(-1)
            self.place.setEditText(typed)

    def offer_update(self, figures: str) -> None:
        """Tell that the measurement of a sentence changed; "" takes the offer back."""
        self.changed.setVisible(bool(figures))
        self.label.setText(_(MEASUREMENT_CHANGED).format(figures=figures))
        self.label.setToolTip(plain_tip(self.label.text()))


def _choice(name: str, items: Sequence[str], tip: str) -> QComboBox:
    box = QComboBox()
    box.setEditable(True)
    box.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
    box.addItems(items)
    box.setCurrentIndex(-1)
    box.setAccessibleName(name)
    box.setToolTip(plain_tip(tip))
    box.lineEdit().setPlaceholderText(name)
    box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(8)
    return box
