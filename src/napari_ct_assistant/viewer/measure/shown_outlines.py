"""Shows the label that a sentence was measured on, also after its layer was closed or read anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ct_assistant.support.translation import _
from napari_ct_assistant.viewer.measure.outlines import OUTLINES_KEY, OutlineError, check_grid
from napari_ct_assistant.viewer.measure.regions import label_box
from napari_ct_assistant.viewer.scan.belonging import is_foreign, mark_layer
from napari_ct_assistant.viewer.scan.layers import volume_of

if TYPE_CHECKING:
    from napari_ct_assistant.assistant.report.label_mask import LabelMask
    from napari_ct_assistant.assistant.report.measurement import Measurement


def show_outline(viewer: Any, scan_layer: Any, measurement: Measurement) -> None:
    """Show and choose the label of a measurement in the viewer.

    The layer's link to its sentences lasts as long as the layer. Without it, a label layer with
    the same voxels is linked again; without such a layer, one is drawn from the measurement.
    """
    key = measurement.keys[0]
    found = _linked(viewer, scan_layer, key) or _alike(viewer, scan_layer, measurement.mask)
    if found is None and measurement.mask is not None:
        found = _drawn(viewer, scan_layer, measurement.mask)
    if found is not None:
        layer, label = found
        layer.metadata.setdefault(OUTLINES_KEY, {})[label] = key
        layer.visible = True
        layer.selected_label = label


def _linked(viewer: Any, scan_layer: Any, key: str) -> tuple[Any, int] | None:
    for layer in viewer.layers:
        for label, one in layer.metadata.get(OUTLINES_KEY, {}).items():
            if one == key and not is_foreign(layer, volume_of(scan_layer)):
                return layer, label
    return None


def _alike(viewer: Any, scan_layer: Any, mask: LabelMask | None) -> tuple[Any, int] | None:
    """Return a layer and its label that has these voxels and no others."""
    from napari.layers import Labels

    voxels = None if mask is None else _voxels(mask)
    if mask is None or voxels is None:
        return None
    for layer in viewer.layers:
        if not isinstance(layer, Labels):
            continue
        try:
            check_grid(scan_layer, layer)
        except OutlineError:
            continue
        box = np.asarray(layer.data[_box(mask)])
        if box.shape != voxels.shape:
            continue
        values = np.unique(box[voxels])
        if len(values) != 1 or not values[0] or np.any((box == values[0]) != voxels):
            continue
        low, high = label_box(layer.data, int(values[0]))
        if tuple(low) == mask.first and tuple(high - low + 1) == mask.shape:
            return layer, int(values[0])
    return None


def _drawn(viewer: Any, scan_layer: Any, mask: LabelMask) -> tuple[Any, int] | None:
    """Draw the label as a new layer on the scan."""
    volume, voxels = volume_of(scan_layer), _voxels(mask)
    if volume is None or voxels is None:
        return None
    data = np.zeros(volume.shape, np.uint8)
    if data[_box(mask)].shape != voxels.shape:
        return None
    data[_box(mask)] = voxels
    layer = viewer.add_labels(
        data, name=_("Outline"), scale=scan_layer.scale, translate=scan_layer.translate
    )
    mark_layer(layer, volume)
    return layer, 1


def _voxels(mask: LabelMask) -> Any:
    try:
        return mask.array()
    except ValueError:  # a page of the journal was damaged
        return None


def _box(mask: LabelMask) -> tuple[slice, ...]:
    return tuple(slice(a, a + n) for a, n in zip(mask.first, mask.shape, strict=True))
