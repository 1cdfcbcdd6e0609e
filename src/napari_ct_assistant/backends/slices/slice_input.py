"""The slices of a scan that are shown to a model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from napari_ct_assistant.backends.slices.choice import WHOLE, SliceRange
from napari_ct_assistant.backends.slices.preset import SlicePreset
from napari_ct_assistant.backends.slices.rendering import (
    RGB,
    encoded,
    rgb_slice,
    squared,
    through_jpeg,
)
from napari_ct_assistant.volume import AIR, CTVolume


@dataclass(frozen=True, eq=False)
class SliceInput:
    """The slices of a scan that are shown to a model.

    Attributes
    ----------
    volume : CTVolume
    preset : SlicePreset
    indices : tuple of int
        Along the volume's first axis, head to feet from 0; in the order in which they are shown.
    """

    volume: CTVolume
    preset: SlicePreset
    indices: tuple[int, ...]

    @property
    def image_numbers(self) -> tuple[int, ...]:
        """Numbers of the slices as the viewer shows them, from 1."""
        return tuple(index + 1 for index in self.indices)

    def index_of(self, label: int) -> int | None:
        """Return the volume's index of the slice with a label's number; None if there is none."""
        return self.indices[label - 1] if 1 <= label <= len(self.indices) else None

    def images(self) -> list[RGB]:
        """Return the slices as the model sees them, uint8 [rows, columns, 3] each.

        Axial slices of the volume, the patient's right on the left of the image and the front
        at its top. With the encoding "jpeg", as they come back from a JPEG file.
        """
        made = self._rendered()
        if self.preset.encoding == "jpeg":
            return [through_jpeg(image, self.preset.jpeg_quality) for image in made]
        return list(made)

    def files(self) -> list[bytes]:
        """Return the slices as PNG files, or as JPEG files where the preset says so."""
        preset = self.preset
        return [encoded(image, preset.encoding, preset.jpeg_quality) for image in self._rendered()]

    def _rendered(self) -> Iterator[RGB]:
        windows = self.preset.windows
        # `hu` has -1024 for lower values and whole numbers only.
        replaced = self.volume.replaced
        low = min(window[0] for window in windows)
        exact = replaced is not None and (low < AIR or not replaced.whole)
        hu = self.volume.stored_hu() if exact else self.volume.hu
        for index in self.indices:
            image = rgb_slice(hu[index], windows)
            yield squared(image) if self.preset.pad_to_square else image


def slice_input(volume: CTVolume, preset: SlicePreset, chosen: SliceRange = WHOLE) -> SliceInput:
    """Return the slices of a scan that a preset shows, in the range that the reader chose.

    Raises
    ------
    ValueError
        If the range does not lie within the scan.
    """
    return SliceInput(volume, preset, preset.choose(volume.shape[0], chosen))
