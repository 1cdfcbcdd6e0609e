"""The measuring tools, and the figures of the selected measurement."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QHBoxLayout, QToolButton, QWidget

from napari_ct_assistant.support.translation import N_, _, decimal, shown
from napari_ct_assistant.viewer.layout.button_column import ButtonColumn
from napari_ct_assistant.viewer.measure.measuring import Measurements, length_mm
from napari_ct_assistant.viewer.measure.regions import LENGTHS, Region, selected_region
from napari_ct_assistant.viewer.session.background import Background
from napari_ct_assistant.viewer.texts import TIPS
from napari_ct_assistant.viewer.widgets import SPACING, button, eliding_label, tool_button
from napari_ct_assistant.viewer.widgets import tip as plain_tip

if TYPE_CHECKING:
    from napari.viewer import Viewer

LABELS: Final = {
    "line": N_("Ruler"),
    "rectangle": N_("Box"),
    "ellipse": N_("Ellipse"),
    "polygon": N_("Polygon"),
    "select": N_("Edit"),
}
MEASURE_KEYS: Final = {
    "line": "M",
    "rectangle": "R",
    "ellipse": "E",
    "polygon": "P",
    "select": "K",
}
# A painted label is measured again after the brush has rested this long.
REST_MS: Final = 250


class MeasureBar(QWidget):
    """Buttons for ruler and regions.

    The figures of the selected one, and the button that deletes it, are in `result`, which is
    shown elsewhere.

    Parameters
    ----------
    viewer : napari.viewer.Viewer

    Signals
    -------
    shown
        Another measurement is selected, or the selected one changed.
    told : str
        One line for the reader.
    """

    shown = Signal()
    told = Signal(str)

    def __init__(self, viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._scan: Any = None
        self._painted: Any = None
        self._reading = False
        self.measurements = Measurements(viewer, self)
        self.region: Region | None = None

        self.buttons: dict[str, QToolButton] = {}
        for tool, label in LABELS.items():
            made = tool_button(_(label), TIPS[tool], checkable=True)
            made.clicked.connect(partial(self._on_button, tool))
            self.buttons[tool] = made
        self.column = ButtonColumn((list(self.buttons.values()),))
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.column)
        self.text = eliding_label()
        self.text.setAccessibleName(_("Selected measurement"))
        self.remove_button = button("✕", TIPS["remove"], accessible_name=TIPS["remove"], small=True)
        self.remove_button.clicked.connect(self.measurements.remove_selected)
        # It has its place whether or not something is selected, so that nothing moves.
        self.result = QWidget()
        result = QHBoxLayout(self.result)
        result.setContentsMargins(0, 0, 0, 0)
        result.setSpacing(SPACING)
        result.addWidget(self.text, 1)
        result.addWidget(self.remove_button)

        self._background = Background(self)
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(REST_MS)
        self._rest.timeout.connect(self._read_label)
        self.measurements.tool_changed.connect(self._mark)
        self.measurements.changed.connect(self.refresh)

    def set_scan(self, scan_layer: Any) -> None:
        """Measure this scan."""
        self._scan = scan_layer
        for each in self.buttons.values():
            each.setEnabled(scan_layer is not None)
        self.measurements.set_scan(scan_layer)
        # A painted label is measured a moment later; until then nothing may stay of another scan.
        self._show(None)
        self.refresh()

    def attach(self) -> None:
        """Follow the viewer."""
        self.measurements.attach()
        self._viewer.layers.selection.events.active.connect(self.refresh)
        self.refresh()

    def detach(self) -> None:
        """Stop following the viewer."""
        self.measurements.detach()
        self._viewer.layers.selection.events.active.disconnect(self.refresh)
        self._watch_labels(None)
        self._rest.stop()

    def toggle(self, tool: str) -> None:
        """Select a tool, or deselect it if it is selected."""
        self.measurements.select_tool("" if self.measurements.tool == tool else tool)

    def mark_end(self) -> None:
        """Draw a ruler with the keyboard: set its ends at the crosshair, one after the other."""
        text = self.measurements.mark_end()
        if text:
            self.told.emit(text)

    def _on_button(self, tool: str, _checked: bool = False) -> None:
        self.toggle(tool)

    def _mark(self, tool: str) -> None:
        for name, each in self.buttons.items():
            each.setChecked(name == tool)

    # -- the selected measurement

    def refresh(self, event: Any = None) -> None:  # noqa: ARG002 - napari passes the event
        """Show the selected measurement."""
        from napari.layers import Labels

        active = self._viewer.layers.selection.active
        labels = active if isinstance(active, Labels) else None
        self._watch_labels(labels)
        if labels is not None:
            self._rest.start()
            return
        self._show(selected_region(self._viewer, self._scan), self._ruler())

    def _ruler(self) -> str:
        layer = self.measurements.layer
        if layer is None or self._scan is None:
            return ""
        chosen = [n for n in sorted(layer.selected_data) if n < len(layer.data)]
        if not chosen or layer.shape_type[chosen[-1]] not in LENGTHS:
            return ""
        length = length_mm(self._viewer, self._scan, layer, chosen[-1])
        return _("Distance {length} mm").format(length=decimal(length, 1))

    def _show(self, region: Region | None, other: str = "") -> None:
        self.region = region
        text = other if region is None else shown(region.text)
        text = f"{self._scan.name}: {text}" if text and self._scan else text
        self.text.setText(text)
        self.text.setToolTip(plain_tip(f"{text}\n{TIPS['region']}") if text else "")
        layer = self.measurements.layer
        self.remove_button.setEnabled(layer is not None and bool(layer.selected_data))
        self.shown.emit()

    # -- a painted label: it may be anywhere in the scan, so it is measured in the background

    def _watch_labels(self, layer: Any) -> None:
        if layer is self._painted:
            return
        if self._painted is not None:
            self._painted.events.labels_update.disconnect(self._on_painted)
            self._painted.events.selected_label.disconnect(self._on_painted)
        self._painted = layer
        if layer is not None:
            layer.events.labels_update.connect(self._on_painted)
            layer.events.selected_label.connect(self._on_painted)

    def _on_painted(self, event: Any = None) -> None:  # noqa: ARG002 - napari passes the event
        self._rest.start()

    def _read_label(self) -> None:
        if self._painted is None:
            return
        if self._reading:
            self._rest.start()
            return
        self._reading = True
        viewer, scan = self._viewer, self._scan
        self._background.run(
            lambda: selected_region(viewer, scan),
            returned=lambda region: self._on_label(scan, region),
            errored=lambda _error: self._on_label(scan, None),
            finished=self._on_read,
        )

    def _on_label(self, scan: Any, region: Region | None) -> None:
        if scan is self._scan:
            self._show(region)

    def _on_read(self) -> None:
        self._reading = False
