"""The numbers under which an archive files a scan's images, beside their place in the scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from napari_ct_assistant.support.translation import said
from napari_ct_assistant.volume.geometry import IPLReorder


class ArchiveNumber(NamedTuple):
    """Where an archive files an image.

    Attributes
    ----------
    instance : int or None
        InstanceNumber (0020,0013) of its file; None where the file states none, and for an image
        that was interpolated from its neighbours.
    frame : int or None
        Its place within a multi-frame file, counted from 1 as in ReferencedFrameNumber
        (0008,1160); None for a file of one image.
    """

    instance: int | None = None
    frame: int | None = None

    def words(self, image: int) -> str:
        """Return "instance 412" where that differs from the image's number, "" otherwise.

        Parameters
        ----------
        image
            Counted from 1 from the head.
        """
        number = self.instance if self.frame is None else self.frame
        if number in (None, image):
            return ""
        if self.frame is None:
            return said("instance {number}", number=number)
        if self.instance is None:
            return said("frame {number}", number=number)
        return said("instance {instance}, frame {frame}", instance=self.instance, frame=number)


@dataclass(frozen=True)
class InstanceNumbers:
    """The archive's numbers of a volume's images along one axis of the volume.

    Attributes
    ----------
    axis : int
        The axis (of I, P, L) along which the images were stored.
    numbers : tuple of ArchiveNumber
        One for each index along that axis.
    """

    axis: int
    numbers: tuple[ArchiveNumber, ...]

    @classmethod
    def of_stored(cls, stored: Sequence[ArchiveNumber], turn: IPLReorder) -> InstanceNumbers | None:
        """Return the numbers of images in the order of the file, which `turn` reorders.

        None if no image has a number.
        """
        axis, flipped = turn.stored_axis(0)
        numbers = tuple(stored[::-1] if flipped else stored)
        return cls(axis, numbers) if any(number != ArchiveNumber() for number in numbers) else None

    def at(self, axis: int, index: int) -> ArchiveNumber:
        """Return the number of the image at an index along an axis of the volume."""
        if axis != self.axis or not 0 <= index < len(self.numbers):
            return ArchiveNumber()
        return self.numbers[index]
