"""The numbers under which people find an image: counted from 1 from the head, as viewers count."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_ct_assistant.volume import CTVolume


def image_of(volume: CTVolume, axis: int, index: float) -> str:
    """Return "image 84 of 275" for an index along an axis, limited to the scan."""
    size = int(volume.shape[axis])
    return f"image {min(max(round(index), 0), size - 1) + 1} of {size}"
