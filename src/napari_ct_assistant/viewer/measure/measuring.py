"""Rulers and regions drawn on a scan: one Shapes layer per scan, with live texts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import numpy as np
from qtpy.QtCore import QObject, QTimer, Signal

from napari_ct_assistant.support.translation import N_, _, localized
from napari_ct_assistant.viewer.measure.drawing import ShapeDrawing
from napari_ct_assistant.viewer.measure.regions import AREAS, LENGTHS, shape_indices, shape_region
from napari_ct_assistant.viewer.measure.taking import draw_again, take_keys, take_shapes
from napari_ct_assistant.viewer.scan.belonging import mark_layer
from napari_ct_assistant.viewer.scan.layers import volume_of, world_to_index
from napari_ct_assistant.viewer.texts import NO_SCAN, RULER_BEGUN, RULER_OTHER_SLICE

if TYPE_CHECKING:
    from napari.layers import Shapes
    from napari.viewer import Viewer

    from napari_ct_assistant.assistant.report.measurement import Measurement

MEASURE_KEY: Final = "ct_measurements"
LAYER_NAME: Final = N_("Measurements")
COLOUR: Final = "#ffd34d"
TOOLS: Final = ("line", "rectangle", "ellipse", "polygon", "select")
# Often enough to look live, seldom enough to keep the event loop free while dragging.
UPDATE_MS: Final = 40


def length_mm(viewer: Viewer, scan_layer: Any, layer: Any, number: int) -> float:
    """Return the length in mm of a line or path of a Shapes layer; exact for oblique scans, too."""
    volume = volume_of(scan_layer)
    if volume is None:
        raise ValueError(
            f"layer {scan_layer.name!r} shows no CT scan: lengths need the geometry of a scan"
        )
    points = volume.index_to_ras(shape_indices(viewer, scan_layer, layer, number))
    return float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum())


def shape_text(viewer: Viewer, scan_layer: Any, layer: Any, number: int) -> str:
    """Return the text beside a shape: a length, or mean, SD and area; "" outside the scan."""
    if layer.shape_type[number] in LENGTHS:
        return f"{length_mm(viewer, scan_layer, layer, number):.1f} mm"
    region = shape_region(viewer, scan_layer, layer, number)
    if region is None:
        return ""
    numbers = region.statistics
    lines = (f"{numbers.mean_hu:.0f} ± {numbers.sd_hu:.0f} HU", numbers.size_text)
    return "\n".join(lines).replace("area ", "")


def _keys(known: Iterable[Any]) -> list[str]:
    """Return a key for each shape; one that has none, or a copy of another's, gets a new one."""
    keys: list[str] = []
    for key in known:
        old = isinstance(key, str) and key and key not in keys
        keys.append(key if old else uuid4().hex)
    return keys


class Measurements(QObject):
    """The measurements of the chosen scan: their layer, the selected tool, and their texts.

    Signals
    -------
    tool_changed : str
        The selected tool, one of `TOOLS`; "" if none is selected.
    changed
        A measurement was drawn, moved, selected or removed.
    """

    tool_changed = Signal(str)
    changed = Signal()

    def __init__(self, viewer: Viewer, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._scan: Any = None
        self._layer: Any = None
        self._known: dict[int, tuple[str, bytes, str]] = {}
        self.tool = ""
        # One end of a ruler that is drawn with the keyboard: an index (i, p, l).
        self._end: Any = None
        self._update_timer = QTimer(self)
        self._update_timer.setSingleShot(True)
        self._update_timer.setInterval(UPDATE_MS)
        self._update_timer.timeout.connect(self.measure)
        # napari gives plugins a proxy, which has no place for mouse callbacks of its own.
        self._drawing = ShapeDrawing(getattr(viewer, "__wrapped__", viewer), self)
        self._drawing.finished.connect(self._after_drawing)

    @property
    def layer(self) -> Shapes | None:
        """The layer that holds the chosen scan's measurements."""
        return self._layer

    @property
    def lengths(self) -> tuple[str, ...]:
        """The lengths of the rulers on the chosen scan as a report writes them, "14.2 mm"."""
        if self._layer is None:
            return ()
        measured = (self._known[number] for number in sorted(self._known))
        return tuple(text for kind, _mark, text in measured if kind in LENGTHS and text)

    def set_scan(self, scan_layer: Any) -> None:
        """Measure this scan from now on."""
        self._scan = scan_layer if volume_of(scan_layer) is not None else None
        self._end = None
        self._watch(self._find())
        if self.tool:
            self.select_tool("")

    def attach(self) -> None:
        """Follow the viewer."""
        self._viewer.layers.events.removed.connect(self._on_removed)
        self._viewer.layers.selection.events.active.connect(self._on_active)

    def detach(self) -> None:
        """Stop following the viewer and its scan; the measurements stay."""
        self._scan = self._end = None
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self._viewer.layers.selection.events.active.disconnect(self._on_active)
        self._watch(None)
        self._update_timer.stop()
        self._drawing.end()

    def select_tool(self, tool: str) -> None:
        """Select a tool that draws or selects on the measurements' layer; "" selects none."""
        if tool and self._scan is None:
            tool = ""
        self.tool = ""
        self._drawing.end()
        selection = self._viewer.layers.selection
        if tool:
            if self._layer is None:
                self._watch(self._make())
            self._layer.visible = True
            if tool == "select":
                selection.active = self._layer
                self._layer.mode = "select"
            else:
                self._layer.mode = "pan_zoom"
                selection.active = self._scan
                self._drawing.begin(self._layer, tool)
            self.tool = tool
        elif self._layer is not None:
            self._layer.mode = "pan_zoom"
            if self._scan is not None and selection.active is self._layer:
                selection.active = self._scan
        self.tool_changed.emit(tool)

    def mark_end(self) -> str:
        """Set one end of a ruler at the crosshair; the second time, the ruler is drawn.

        Returns
        -------
        str
            One line that says what to do next; "" once the ruler is drawn.
        """
        if self._scan is None:
            return _(NO_SCAN)
        here = np.round(world_to_index(self._scan, self._viewer.dims.point))
        if self._end is None:
            self._end = here
            return _(RULER_BEGUN)
        if np.all(here == self._end) or not np.any(here == self._end):
            return _(RULER_OTHER_SLICE)
        start, self._end = self._end, None
        if self._layer is None:
            self._watch(self._make())
        self._layer.add(np.array([start, here]), shape_type="line")
        self._after_drawing(len(self._layer.data) - 1)
        return ""

    def show_again(self, measurement: Measurement) -> None:
        """Select the shapes of a measurement; those that are gone are drawn again."""
        if self._scan is None or not measurement.shapes:
            return
        if self._layer is None:
            self._watch(self._make())
        layer = self._layer
        layer.visible = True
        draw_again(self._scan, layer, measurement)
        keys = list(layer.features["key"])
        layer.selected_data = {keys.index(key) for key in measurement.keys if key in keys}
        self.measure()

    def selected(self) -> Measurement | None:
        """Return what is selected on the chosen scan as a measurement for the report."""
        if self._layer is None or self._scan is None:
            return None
        self.measure()
        return take_shapes(self._viewer, self._scan, self._layer)

    def of_keys(self, keys: tuple[str, ...]) -> Measurement | None:
        """Return what the shapes with these keys measure now, None if one is gone."""
        if self._layer is None or self._scan is None:
            return None
        return take_keys(self._viewer, self._scan, self._layer, keys)

    @property
    def selected_keys(self) -> set[str]:
        """The keys of the selected shapes."""
        layer = self._layer
        if layer is None or "key" not in layer.features:
            return set()
        keys = list(layer.features["key"])
        return {str(keys[n]) for n in layer.selected_data if n < len(keys)}

    def remove_selected(self) -> None:
        """Delete the selected measurements."""
        if self._layer is not None and self._layer.selected_data:
            self._layer.remove_selected()

    # -- the layer

    def _find(self) -> Any:
        volume = volume_of(self._scan)
        if volume is None:
            return None
        return next(
            (one for one in self._viewer.layers if one.metadata.get(MEASURE_KEY) is volume), None
        )

    def _make(self) -> Shapes:
        scan = self._scan
        scale = np.asarray(scan.scale, float)
        layer = self._viewer.add_shapes(
            ndim=3,
            name=_(LAYER_NAME),
            # The same indices as the scan's, so that a shape lies exactly on one slice.
            scale=scan.scale,
            translate=scan.translate,
            units=scan.units,
            axis_labels=scan.axis_labels,
            edge_color=COLOUR,
            face_color="transparent",
            opacity=1,
            edge_width=1.2 / float(np.sqrt(scale.min() * scale.max())),
            features={"label": np.empty(0, dtype=object), "key": np.empty(0, dtype=object)},
            feature_defaults={"label": "", "key": ""},
            text={
                "string": "{label}",
                "size": 10,
                "color": COLOUR,
                "anchor": "upper_right",
            },
            metadata={MEASURE_KEY: volume_of(scan)},
        )
        mark_layer(layer, layer.metadata[MEASURE_KEY])
        layer.current_edge_color = COLOUR
        layer.current_face_color = "transparent"
        return layer

    def _watch(self, layer: Any) -> None:
        if layer is self._layer:
            return
        if self._layer is not None:
            events = self._layer.events
            events.data.disconnect(self._on_data)
            events.set_data.disconnect(self._on_moved)
            events.highlight.disconnect(self._on_highlight)
        self._layer = layer
        self._known.clear()
        if layer is not None:
            layer.events.data.connect(self._on_data)
            # While a shape is drawn or dragged, napari emits only this event.
            layer.events.set_data.connect(self._on_moved)
            layer.events.highlight.connect(self._on_highlight)
            self._update_timer.start()
        self.changed.emit()

    def _on_removed(self, event: Any) -> None:
        if event.value is self._layer:
            self.tool = ""
            self._drawing.forget()
            self._watch(None)
            self.tool_changed.emit("")

    def _on_active(self, event: Any) -> None:
        used = self._layer if self.tool == "select" else self._scan
        if self.tool and event.value is not used:
            # Another layer was selected: deselect the tool, keep that layer selected.
            self.tool = ""
            self._drawing.end()
            self._layer.mode = "pan_zoom"
            self.tool_changed.emit("")

    def _on_highlight(self, event: Any = None) -> None:  # noqa: ARG002 - napari passes the event
        self._update_timer.start()

    def _on_moved(self, event: Any = None) -> None:  # noqa: ARG002 - napari passes the event
        if not self._update_timer.isActive():
            self._update_timer.start()

    def _on_data(self, event: Any = None) -> None:  # noqa: ARG002 - napari passes the event
        self._on_moved()

    def _after_drawing(self, number: int) -> None:
        """Deselect the tool and select the new shape."""
        self.select_tool("")
        if self._layer is not None:
            self._layer.selected_data = {number}
        self.measure()

    # -- the texts

    def measure(self) -> None:
        """Update the texts beside the shapes; only shapes that changed are measured."""
        layer, scan = self._layer, self._scan
        if layer is None or scan is None:
            return
        known: dict[int, tuple[str, bytes, str]] = {}
        for number, data in enumerate(layer.data):
            kind = layer.shape_type[number]
            mark = np.asarray(data).tobytes()
            before = self._known.get(number, ("", b"", ""))
            if before[:2] == (kind, mark):
                known[number] = before
            elif kind in AREAS or kind in LENGTHS:
                known[number] = (kind, mark, shape_text(self._viewer, scan, layer, number))
        numbers = range(len(layer.data))
        texts = [localized(known[number][2]) if number in known else "" for number in numbers]
        self._known = known
        before = layer.features
        keys = _keys(before["key"] if "key" in before else [""] * len(texts))
        if list(before["label"]) != texts or list(before.get("key", ())) != keys:
            layer.features = {
                "label": np.array(texts, dtype=object),
                "key": np.array(keys, dtype=object),
            }
        self.changed.emit()
