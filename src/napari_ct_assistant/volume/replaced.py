"""The voxels of a scan that were set to air, with the HU that the file stores."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.volume.geometry import IPLReorder

Mask = NDArray[np.bool_]


@dataclass(eq=False)
class ReplacedVoxels:
    """What `CTVolume.hu` has -1024 for: padding and values below -1024.

    Padding is mostly one value, of which a bit for each voxel of the slice is kept; other
    values are kept one by one.

    Parameters
    ----------
    turn : IPLReorder
        From the file's axes to the volume's.
    axis : int
        Of the file's axes, the one along which its slices are counted.
    """

    turn: IPLReorder
    axis: int
    _slices: dict[int, list[tuple[NDArray[np.uint8], NDArray[np.int16]]]] = field(
        default_factory=dict
    )

    def add(self, index: int, mask: Mask, stored: NDArray[np.int16]) -> None:
        """Note the replaced voxels of a slice; may be called from any thread.

        Parameters
        ----------
        index : int
            Of the slice.
        mask : bool [rows, columns]
        stored : int16 [rows, columns]
            The slice as it is stored, in HU.
        """
        values = stored[mask]
        if not values.size:
            return
        kept = values[:1].copy() if (values == values[0]).all() else values
        self._slices.setdefault(index, []).append((np.packbits(mask), kept))

    def __bool__(self) -> bool:
        """Return whether any voxel was replaced."""
        return bool(self._slices)

    def restore(self, hu: NDArray[np.int16]) -> None:
        """Write the stored values into a volume with axes (I, P, L)."""
        planes = np.moveaxis(self.turn.stored_view(hu), self.axis, 0)
        for index, noted in self._slices.items():
            plane = planes[index]
            for bits, values in noted:
                mask = np.unpackbits(bits, count=plane.size).astype(bool).reshape(plane.shape)
                plane[mask] = values
