"""A label layer as the outline of a finding, whichever plugin made it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import numpy as np

from napari_ct_assistant.assistant.report.label_mask import LabelMask
from napari_ct_assistant.assistant.report.measurement import Measurement
from napari_ct_assistant.support.errors import CTAssistantError
from napari_ct_assistant.support.translation import _, decimal
from napari_ct_assistant.viewer.measure.regions import label_box
from napari_ct_assistant.viewer.scan.belonging import is_foreign
from napari_ct_assistant.viewer.scan.layers import volume_of
from napari_ct_assistant.viewer.texts import NO_SCAN
from napari_ct_assistant.volume.regions import region_diameters, region_statistics

if TYPE_CHECKING:
    from napari_ct_assistant.volume import CTVolume

# In the metadata of a label layer: the key of each label that a report states.
OUTLINES_KEY: Final = "ct_outlines"
# Grids further apart than this part of a voxel are different grids.
TOLERANCE: Final = 0.02


class OutlineError(CTAssistantError, ValueError):
    """A label that cannot be measured; the message is one line that says why."""


def check_grid(scan_layer: Any, layer: Any) -> CTVolume:
    """Return the scan's volume if a label layer has the scan's voxels.

    Raises
    ------
    OutlineError
        If it was made on another scan, or has other voxels than the scan.
    """
    volume = volume_of(scan_layer)
    if volume is None:
        raise OutlineError(_(NO_SCAN))
    wrong = _difference(volume, scan_layer, layer)
    if wrong:
        raise OutlineError(
            _("{layer!r} is no outline on {scan!r}: {wrong}").format(
                layer=layer.name, scan=scan_layer.name, wrong=wrong
            )
        )
    return volume


def _difference(volume: CTVolume, scan_layer: Any, layer: Any) -> str:
    if is_foreign(layer, volume):
        return _("it belongs to another scan")
    if layer.multiscale:
        return _("it has several resolutions")
    if tuple(layer.data.shape) != tuple(volume.shape):
        mine, theirs = (" x ".join(map(str, s)) for s in (layer.data.shape, volume.shape))
        return _("it has {mine} voxels, the scan has {theirs}").format(mine=mine, theirs=theirs)
    scale, wanted = (np.asarray(one.scale, float) for one in (layer, scan_layer))
    # Over the whole scan the corners must not part.
    if np.any(np.abs(scale - wanted) * volume.shape > TOLERANCE * wanted):
        mine, theirs = (" x ".join(f"{mm:.3g}" for mm in s) for s in (scale, wanted))
        return _("its voxels measure {mine} mm, those of the scan {theirs} mm").format(
            mine=mine, theirs=theirs
        )
    turned = np.asarray(layer.affine.affine_matrix) != np.eye(layer.ndim + 1)
    if np.any(turned) or np.any(layer.shear) or np.any(layer.rotate != np.eye(layer.ndim)):
        return _("it is rotated, sheared or moved by a transform of its own")
    away = np.asarray(layer.translate, float) - np.asarray(scan_layer.translate, float)
    if np.any(np.abs(away) > TOLERANCE * wanted):
        return _("it lies {mm} mm beside the scan").format(
            mm=decimal(float(np.linalg.norm(away)), 1)
        )
    return ""


def outline_key(layer: Any, label: int) -> str:
    """Return the key of a label of a layer, a new one the first time."""
    keys = layer.metadata.setdefault(OUTLINES_KEY, {})
    return str(keys.setdefault(label, uuid4().hex))


def take_outline(scan_layer: Any, layer: Any, label: int) -> Measurement:
    """Measure one label of a label layer on a scan.

    A large label takes seconds; call it in the background.

    Raises
    ------
    OutlineError
        If the layer does not have the scan's voxels, or the label has none.
    """
    volume = check_grid(scan_layer, layer)
    low, high = label_box(layer.data, label)
    if low is None or not label:
        raise OutlineError(
            _("{layer!r}: label {label} has no voxels on this scan").format(
                layer=layer.name, label=label
            )
        )
    first, last = [int(v) for v in low], [int(v) + 1 for v in high]
    box = tuple(slice(a, b) for a, b in zip(first, last, strict=True))
    mask = np.asarray(layer.data[box]) == label
    offset = first[0], first[1], first[2]
    numbers, size = (
        region_statistics(volume, mask, offset),
        region_diameters(volume, mask, offset),
    )
    filed = volume.archive_number(numbers.slice)
    return Measurement(
        kind="outline",
        keys=(outline_key(layer, label),),
        ras=numbers.ras,
        slice=numbers.slice,
        side=numbers.side,
        index=numbers.slice,
        long_mm=size.long_mm,
        short_mm=size.short_mm,
        max_mm=size.max_mm,
        volume_ml=numbers.volume_ml,
        mean_hu=numbers.mean_hu,
        sd_hu=numbers.sd_hu,
        min_hu=numbers.min_hu,
        max_hu=numbers.max_hu,
        first_slice=size.first_slice,
        last_slice=size.last_slice,
        instance_number=filed.instance,
        frame_number=filed.frame,
        mask=LabelMask.of(volume, mask, offset),
    )
