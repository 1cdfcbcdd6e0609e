"""The row in which the reader chooses which slices a model looks at."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLineEdit, QSpinBox, QVBoxLayout, QWidget

from napari_ct_assistant.backends.slices.choice import SliceRange
from napari_ct_assistant.support.translation import _
from napari_ct_assistant.viewer.session.background import one_line
from napari_ct_assistant.viewer.widgets import label as plain_label
from napari_ct_assistant.viewer.widgets import tip as plain_tip

MOST = 500  # slices; no model takes as many


class SliceBar(QWidget):
    """Range and number of the slices, and which ones were looked at.

    It is hidden for models that read the scan as a volume.

    Signals
    -------
    chosen : SliceRange
        What the reader wants from the next question on.
    wrong : str
        Why what the reader typed is no range.
    preset_chosen : str
        The name of the preset by which slices are shown, "" for the model's own.
    """

    chosen = Signal(object)
    wrong = Signal(str)
    preset_chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.range = QLineEdit()
        self.range.setPlaceholderText(_("all"))
        self.range.setAccessibleName(_("Images to look at"))
        self.range.setToolTip(plain_tip(_("First and last image, such as 40-120")))
        self.range.setMaximumWidth(90)
        self.count = QSpinBox()
        self.count.setRange(0, MOST)
        self.count.setSpecialValueText(_("preset"))
        self.count.setAccessibleName(_("Number of slices"))
        self.count.setToolTip(
            plain_tip(_("How many slices the model is shown at most; preset: as many as usual"))
        )
        self.presets = QComboBox()
        self.presets.setAccessibleName(_("Slice preset"))
        self.presets.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.presets.setMinimumContentsLength(10)
        self.presets.hide()
        self.said = plain_label()
        self.said.setObjectName("quiet")
        self.said.setWordWrap(True)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        layout = QHBoxLayout()
        rows.addLayout(layout)
        rows.addWidget(self.said)
        layout.addWidget(plain_label(_("Slices")))
        layout.addWidget(self.range)
        layout.addWidget(plain_label(_("at most")))
        layout.addWidget(self.count)
        layout.addWidget(self.presets, 1)
        layout.addStretch(1)
        self.range.editingFinished.connect(self._choose)
        self.count.editingFinished.connect(self._choose)
        self.presets.activated.connect(
            lambda _index: self.preset_chosen.emit(self.presets.currentData())
        )
        self._told = SliceRange()
        self.hide()

    def show_presets(self, names: Sequence[str], usual: str, chosen: str, tip: str = "") -> None:
        """Offer slice presets; without any, hide the choice.

        usual: the name of the model's own preset; chosen: "" for that one.
        """
        self.presets.clear()
        self.presets.addItem(_("{name} (usual)").format(name=usual), "")
        for name in names:
            if name != usual:
                self.presets.addItem(name, name)
        if chosen and self.presets.findData(chosen) < 0:
            self.presets.addItem(chosen, chosen)
        self.presets.setCurrentIndex(max(0, self.presets.findData(chosen)))
        self.presets.setToolTip(plain_tip(tip))
        self.presets.setVisible(bool(names))

    def show_slices(
        self, shown: Sequence[int], total: int, wanted: SliceRange, *, offered: bool = False
    ) -> None:
        """Show which slices of a scan of `total` were looked at.

        Without any the row is hidden, unless the loaded model would look at some: `offered`.
        """
        self._told = wanted
        first = "" if wanted.first is None else str(wanted.first)
        last = "" if wanted.last is None else str(wanted.last)
        self.range.setText(f"{first}-{last}" if first or last else "")
        self.count.setValue(wanted.count or 0)
        self.setVisible(bool(shown) or offered)
        self.said.setVisible(bool(shown))
        if not shown:
            return
        numbers = [index + 1 for index in shown]
        self.said.setText(
            _("Looked at {n} of {total} slices, images {first} to {last}; trust no size").format(
                n=len(numbers), total=total, first=min(numbers), last=max(numbers)
            )
        )
        listed = ", ".join(map(str, numbers))
        self.said.setToolTip(
            plain_tip(
                _(
                    "The model looked at these images: {listed}. It sees no millimetres: trust no "
                    "size that it states."
                ).format(listed=listed)
            )
        )

    def _choose(self) -> None:
        try:
            wanted = SliceRange.parse(self.range.text(), self.count.value() or None)
        except ValueError as error:
            self.wrong.emit(one_line(error))
            return
        if wanted != self._told:
            self._told = wanted
            self.chosen.emit(wanted)
