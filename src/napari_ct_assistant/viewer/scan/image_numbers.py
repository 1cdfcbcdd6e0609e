"""The numbers under which people find an image: counted from 1 from the head, as viewers count."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_ct_assistant.volume import CTVolume


def image_of(volume: CTVolume, axis: int, index: float) -> str:
    """Return "image 85 of 133 (instance 412)" for an index along an axis, limited to the scan.

    The instance is that of the DICOM file, where it is another number.
    """
    size = int(volume.shape[axis])
    within = min(max(round(index), 0), size - 1)
    other = volume.archive_number(within, axis).words(within + 1)
    return f"image {within + 1} of {size}" + (f" ({other})" if other else "")
