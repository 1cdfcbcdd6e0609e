"""Which scan a layer belongs to: what was drawn on one scan is never used on another.

A layer that is added while a scan is chosen belongs to that scan. The mark is a weak reference,
so that a layer that outlives its scan does not keep the voxels in memory; a layer of a closed
scan still belongs to no other one.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Final

from napari_ct_assistant.viewer.scan.layers import CT_KEY

if TYPE_CHECKING:
    from napari_ct_assistant.volume import CTVolume

SCAN_KEY: Final = "ct_scan"


def mark_layer(layer: Any, volume: CTVolume) -> None:
    """Note that a layer belongs to a scan."""
    layer.metadata[SCAN_KEY] = weakref.ref(volume)


def is_marked(layer: Any) -> bool:
    """Return whether a layer belongs to a scan, open or closed."""
    return CT_KEY in layer.metadata or SCAN_KEY in layer.metadata


def is_foreign(layer: Any, volume: CTVolume | None) -> bool:
    """Return whether a layer belongs to another scan than this one, open or closed."""
    if CT_KEY in layer.metadata:
        return layer.metadata[CT_KEY] is not volume
    mark = layer.metadata.get(SCAN_KEY)
    return mark is not None and (volume is None or mark() is not volume)


def is_of(layer: Any, volume: CTVolume) -> bool:
    """Return whether a layer belongs to this scan."""
    return is_marked(layer) and not is_foreign(layer, volume)
