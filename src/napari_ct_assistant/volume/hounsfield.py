"""From stored values to Hounsfield units."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.volume.ct_volume import AIR, HU_MAX
from napari_ct_assistant.volume.replaced import OnFraction, OnLow

_BLOCK = 1 << 16
LOWEST: Final = -32768  # of int16


def to_hu(
    raw: NDArray[Any],
    slope: float,
    intercept: float,
    out: NDArray[np.int16],
    on_low: OnLow | None = None,
    on_fraction: OnFraction | None = None,
    limits: tuple[int, int] | None = None,
) -> tuple[int, int]:
    """Write round(raw * slope + intercept), kept within AIR to HU_MAX, into `out`.

    Parameters
    ----------
    raw
        One slice of stored values of any real type [rows, columns]; may be the memory
        of `out` itself, read as another type.
    slope, intercept
        The rescale of the file, applied here and nowhere else.
    out
        int16 [rows, columns], any strides.
    on_low
        Called, if values lie below AIR, with the mask [rows, columns] of these and the values
        [rows, columns] before they are set to AIR.
    on_fraction
        Called, if values are not whole or not numbers, with the values less their whole part
        [rows, columns] in float32, NaN where they are not numbers.
    limits
        Lowest and highest value of `raw`, if they are known.

    Returns
    -------
    Lowest and highest HU written.

    Notes
    -----
    A value that is not a number becomes air. float64 represents every 32-bit integer, so
    whole rescales are exact. Working on a block of rows at a time keeps the temporary small.
    """
    if raw.dtype.kind in "iu" and raw.itemsize == 2 and raw.dtype.isnative:
        lowest, highest = limits or (int(raw.min()), int(raw.max()))
        low, high = lowest + intercept, highest + intercept
        if slope == 1 and low == int(low) and low >= -32768 and high <= HU_MAX:
            # Two's complement: the sum is right in 16 bits whatever the sign of `raw`.
            offset = np.array(int(intercept) & 0xFFFF, dtype=np.uint16).view(np.int16)
            np.add(raw.view(np.int16), offset, out=out)
            if low < AIR:
                if on_low is not None:
                    on_low(out < AIR, out)
                np.maximum(out, np.int16(AIR), out=out)
            return max(int(low), AIR), max(int(high), AIR)
    rows = max(1, _BLOCK // max(1, raw.shape[1]))
    low_values = np.zeros(raw.shape, dtype=np.int16)
    fractions = None
    for start in range(0, len(raw), rows):
        block = raw[start : start + rows]
        # A signalling NaN, as damaged floats hold, would warn.
        with np.errstate(all="ignore"):
            values = block.astype(np.float64)
        if block.dtype.kind == "f":
            # Beyond any HU, and small enough to multiply.
            np.nan_to_num(values, copy=False, nan=np.nan, posinf=1e30, neginf=-1e30)
            np.clip(values, -1e30, 1e30, out=values)
        values *= slope
        values += intercept
        exact = values.copy() if on_fraction is not None else values
        np.rint(values, out=values)
        if on_fraction is not None:
            exact -= values
            if exact.any():  # NaN counts
                if fractions is None:
                    fractions = np.zeros(raw.shape, dtype=np.float32)
                fractions[start : start + rows] = exact
        if on_low is not None:
            low_values[start : start + rows] = np.where(values < AIR, np.maximum(values, LOWEST), 0)
        np.clip(values, AIR, HU_MAX, out=values)
        np.nan_to_num(values, copy=False, nan=AIR)
        out[start : start + rows] = values
    if on_low is not None and low_values.any():
        on_low(low_values < 0, low_values)
    if on_fraction is not None and fractions is not None:
        on_fraction(fractions)
    return int(out.min()), int(out.max())
