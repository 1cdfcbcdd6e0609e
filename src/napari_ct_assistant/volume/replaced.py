"""What `CTVolume.hu` leaves out of the HU that a file stores: padding, low values, fractions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.volume.geometry import IPLReorder

OnFraction = Callable[[NDArray[np.float32]], None]
OnLow = Callable[[NDArray[np.bool_], NDArray[np.int16]], None]

Mask = NDArray[np.bool_]
STEPS: Final = 254  # of a fraction, -0.5 to 0.5


@dataclass(eq=False)
class ReplacedVoxels:
    """What `CTVolume.hu` has -1024 for, and the fractions that it rounds off.

    Padding is mostly one value, of which a bit for each voxel of the slice is kept; other
    values are kept one by one. Of a fraction a byte is kept, to 1/254 HU.

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
    _fractions: dict[int, NDArray[np.int8]] = field(default_factory=dict)
    _missing: dict[int, NDArray[np.uint8]] = field(default_factory=dict)

    def notes(self, index: int) -> tuple[OnLow, OnFraction]:
        """Return what `to_hu` calls for a slice."""
        return partial(self.add, index), partial(self.add_fractions, index)

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

    def add_fractions(self, index: int, fractions: NDArray[np.float32]) -> None:
        """Note what was rounded off a slice; NaN where the file has no number.

        Parameters
        ----------
        index : int
            Of the slice.
        fractions : float32 [rows, columns]
        """
        missing = np.isnan(fractions)
        if missing.any():
            self._missing[index] = np.packbits(missing)
        kept = np.rint(np.nan_to_num(fractions) * STEPS).astype(np.int8)
        if kept.any():
            self._fractions[index] = kept

    def __bool__(self) -> bool:
        """Return whether anything was left out."""
        return bool(self._slices or self._fractions or self._missing)

    @property
    def whole(self) -> bool:
        """Whether all stored values are whole numbers."""
        return not (self._fractions or self._missing)

    def stored(self, hu: NDArray[np.int16]) -> NDArray[np.int16] | NDArray[np.float32]:
        """Return the stored values of a volume with axes (I, P, L); float32 if not whole."""
        if self.whole:
            out = hu.copy()
            self.restore(out)
            return out
        exact = hu.astype(np.float32)
        self.restore(exact)
        planes = np.moveaxis(self.turn.stored_view(exact), self.axis, 0)
        for index, kept in self._fractions.items():
            planes[index] += kept / np.float32(STEPS)
        for index, bits in self._missing.items():
            plane = planes[index]
            missing = np.unpackbits(bits, count=plane.size).astype(bool).reshape(plane.shape)
            plane[missing] = np.nan
        return exact

    def restore(self, hu: NDArray[Any]) -> None:
        """Write the stored low values into a volume with axes (I, P, L)."""
        planes = np.moveaxis(self.turn.stored_view(hu), self.axis, 0)
        for index, noted in self._slices.items():
            plane = planes[index]
            for bits, values in noted:
                mask = np.unpackbits(bits, count=plane.size).astype(bool).reshape(plane.shape)
                plane[mask] = values
