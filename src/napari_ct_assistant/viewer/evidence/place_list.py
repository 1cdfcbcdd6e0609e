"""The ranked places of a finding: a click goes there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from napari_ct_assistant.assistant.reading.results import image_words
from napari_ct_assistant.support.translation import N_, _, shown
from napari_ct_assistant.viewer.chat.links import ScanPosition
from napari_ct_assistant.viewer.widgets import SPACING, label
from napari_ct_assistant.volume.regions import patient_side

if TYPE_CHECKING:
    from napari_ct_assistant.backends.heat_map import Evidence
    from napari_ct_assistant.volume import CTVolume

TITLE: Final = N_("{finding}: places to look at, the best first")
PLACE: Final = N_("{n}. {side}, {image}")
PLACES_TIP: Final = N_(
    "Ranked within this scan. Every scan has a best place: it does not mean that the finding is "
    "there."
)
SIDES: Final = {"left": N_("left"), "right": N_("right"), "midline": N_("midline")}
ROWS: Final = 6


class PlaceList(QWidget):
    """A list of places in the scan on screen.

    Signals
    -------
    chosen : ScanPosition
    """

    chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.title = label()
        self.title.setWordWrap(True)
        self.list = QListWidget()
        self.list.setAccessibleName(_("Places"))
        self.list.setToolTip(_(PLACES_TIP))
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACING)
        layout.addWidget(self.title)
        layout.addWidget(self.list)
        self.clear()
        # One signal for a click and for the keyboard: the row that is now chosen.
        self.list.currentItemChanged.connect(lambda item, _old: self._tell(item))
        self.list.itemClicked.connect(self._tell)

    def clear(self) -> None:
        """Show nothing."""
        self.list.clear()
        self.hide()

    def show_places(self, finding: str, found: Evidence, volume: CTVolume) -> None:
        """List the places of a finding; nothing where the evidence has none."""
        self.list.blockSignals(True)
        self.list.clear()
        for n, point in enumerate(found.places, start=1):
            index = volume.ras_to_index(point)
            place = ScanPosition(round(float(index[0])), point)
            image = shown(image_words(place.slice, volume.archive_number(place.slice)))
            side = _(SIDES[patient_side(volume, index)])
            item = QListWidgetItem(_(PLACE).format(n=n, side=side, image=image))
            item.setData(Qt.ItemDataRole.UserRole, place)
            self.list.addItem(item)
        self.list.blockSignals(False)
        self.title.setText(_(TITLE).format(finding=finding))
        height = self.list.sizeHintForRow(0) if self.list.count() else 0
        self.list.setFixedHeight(height * min(ROWS, self.list.count()) + 6)
        self.setVisible(bool(found.places))

    def _tell(self, item: QListWidgetItem | None) -> None:
        if item is not None:
            self.chosen.emit(item.data(Qt.ItemDataRole.UserRole))
