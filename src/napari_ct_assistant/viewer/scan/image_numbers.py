"""The numbers under which people find an image: counted from 1 from the head, as viewers count."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_ct_assistant.assistant.reading.results import image_words
from napari_ct_assistant.support.translation import _, shown
from napari_ct_assistant.volume.dicom.instance_numbers import ArchiveNumber

if TYPE_CHECKING:
    from napari_ct_assistant.assistant import Sentence
    from napari_ct_assistant.volume import CTVolume


def image_of(volume: CTVolume, axis: int, index: float) -> str:
    """Return "image 85 of 133 (instance 412)" for an index along an axis, limited to the scan.

    The instance is that of the DICOM file, where it is another number.
    """
    size = int(volume.shape[axis])
    within = min(max(round(index), 0), size - 1)
    label = _("image {number} of {total}").format(number=within + 1, total=size)
    return with_filed(label, volume.archive_number(within, axis), within + 1)


def image_label(index: int, filed: ArchiveNumber) -> str:
    """Return `image_words` of a drafted text in the language of the panel."""
    return shown(image_words(index, filed))


def image_of_sentence(sentence: Sentence) -> str:
    """Return the image of a sentence's evidence in the language of the panel, "" without one."""
    if sentence.slice is None:
        return ""
    filed = ArchiveNumber(sentence.instance_number, sentence.frame_number)
    return image_label(sentence.slice, filed)


def with_filed(label: str, filed: ArchiveNumber, number: int) -> str:
    """Return the label of the image `number` with the archive's number, where that differs."""
    other = filed.words(number)
    return f"{label} ({shown(other)})" if other else label
