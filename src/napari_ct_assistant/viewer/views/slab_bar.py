"""The slab controls: MIP, MinIP or mean of several slices, and the thickness in mm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QHBoxLayout, QWidget

from napari_ct_assistant.support.translation import N_, _
from napari_ct_assistant.viewer.texts import TIPS
from napari_ct_assistant.volume.slabs import PROJECTIONS, Projection, slab_reach

if TYPE_CHECKING:
    from napari.viewer import Viewer

LABELS: Final = {
    "none": N_("Single slice"),
    "max": N_("MIP"),
    "min": N_("MinIP"),
    "mean": N_("Mean"),
}


def apply_slab(viewer: Viewer, layer: Any, thickness_mm: float, how: Projection) -> None:
    """Show a CT layer as a slab on the viewer's canvas, or as single slices ("none").

    napari itself projects the slab while the reader scrolls. Its margins are set so that it uses
    exactly the slices that `volume.slabs.project` uses.
    """
    dims = viewer.dims
    if how == "none":
        layer.projection_mode = "none"
        dims.margin_left = dims.margin_right = (0.0,) * dims.ndim
        return
    scale = np.asarray(layer.scale, float)
    reach = np.array([slab_reach(thickness_mm, mm) for mm in scale])
    left, right = list(dims.margin_left), list(dims.margin_right)
    left[-3:] = (reach * scale).tolist()
    # napari rounds both ends and leaves out the last slice, unless the margin ends on it within
    # a tolerance. A margin that ends just before the next slice is right for every point.
    right[-3:] = ((reach + 0.99) * scale).tolist()
    dims.margin_left, dims.margin_right = tuple(left), tuple(right)
    layer.projection_mode = how


class SlabBar(QWidget):
    """A box for the projection and a box for the thickness.

    Signals
    -------
    changed : float, str
        Thickness in mm, and the projection.
    """

    changed = Signal(float, str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.box = QComboBox()
        self.box.addItems([_(LABELS[how]) for how in PROJECTIONS])
        self.box.setToolTip(TIPS["slab"])
        self.box.setAccessibleName(_("Slab projection"))
        self.box.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.thickness = QDoubleSpinBox()
        self.thickness.setRange(1, 100)
        self.thickness.setDecimals(0)
        self.thickness.setSingleStep(5)
        self.thickness.setValue(10)
        self.thickness.setSuffix(" mm")
        self.thickness.setToolTip(TIPS["thickness"])
        self.thickness.setAccessibleName(TIPS["thickness"])
        self.thickness.setEnabled(False)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.box, 3)
        layout.addWidget(self.thickness, 2)
        self.box.currentIndexChanged.connect(self._tell)
        self.thickness.valueChanged.connect(self._tell)

    @property
    def projection(self) -> Projection:
        """The chosen projection."""
        return PROJECTIONS[self.box.currentIndex()]

    def next(self) -> None:
        """Go to the next projection."""
        self.box.setCurrentIndex((self.box.currentIndex() + 1) % self.box.count())

    def _tell(self, _value: Any = None) -> None:
        self.thickness.setEnabled(self.projection != "none")
        self.changed.emit(float(self.thickness.value()), self.projection)
