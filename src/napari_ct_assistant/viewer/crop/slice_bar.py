"""The row in which the reader chooses which slices a model looks at."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLineEdit, QSpinBox, QVBoxLayout, QWidget

from napari_ct_assistant.backends.slices.choice import SliceRange
from napari_ct_assistant.support.translation import _
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
    """

    chosen = Signal(object)
    wrong = Signal(str)

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
        layout.addStretch(1)
        self.range.editingFinished.connect(self._choose)
        self.count.editingFinished.connect(self._choose)
        self._told = SliceRange()
        self.hide()

    def show_slices(self, shown: Sequence[int], total: int, wanted: SliceRange) -> None:
        """Show which slices of a scan of `total` were looked at; without any, hide the row."""
        self._told = wanted
        first = "" if wanted.first is None else str(wanted.first)
        last = "" if wanted.last is None else str(wanted.last)
        self.range.setText(f"{first}-{last}" if first or last else "")
        self.count.setValue(wanted.count or 0)
        self.setVisible(bool(shown))
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
            self.wrong.emit(str(error))
            return
        if wanted != self._told:
            self._told = wanted
            self.chosen.emit(wanted)
