"""From stored values to HU, and doubts about whether they are HU at all."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.volume.ct_volume import AIR, HU_MAX

_BLOCK = 1 << 16


def to_hu(
    raw: NDArray[Any], slope: float, intercept: float, out: NDArray[np.int16]
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

    Returns
    -------
    Lowest and highest HU written.

    Notes
    -----
    What is not a number becomes air. float64 holds every 32-bit integer, so whole
    rescales are exact; a block of rows at a time keeps the temporary small.
    """
    if raw.dtype.kind in "iu" and raw.itemsize == 2 and raw.dtype.isnative:
        low, high = int(raw.min()) + intercept, int(raw.max()) + intercept
        if slope == 1 and low == int(low) and low >= -32768 and high <= HU_MAX:
            # Two's complement: the sum is right in 16 bits whatever the sign of `raw`.
            offset = np.array(int(intercept) & 0xFFFF, dtype=np.uint16).view(np.int16)
            np.add(raw.view(np.int16), offset, out=out)
            if low < AIR:
                np.maximum(out, np.int16(AIR), out=out)
            return max(int(low), AIR), max(int(high), AIR)
    rows = max(1, _BLOCK // max(1, raw.shape[1]))
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
        np.rint(values, out=values)
        np.clip(values, AIR, HU_MAX, out=values)
        np.nan_to_num(values, copy=False, nan=AIR)
        out[start : start + rows] = values
    return int(out.min()), int(out.max())


class HuCheck:
    """Collects per-slice statistics and tells whether a volume's values can be HU.

    `add` may be called from any thread: lists append atomically.
    """

    def __init__(self) -> None:
        self._ranges: list[tuple[int, int]] = []
        self._tissue: list[float] = []
        self.not_numbers = 0
        self.fractions = False

    def add(self, hu: NDArray[np.int16], limits: tuple[int, int]) -> None:
        """Note one finished slice of HU and its lowest and highest value."""
        self._ranges.append(limits)
        # Every 4th voxel tells enough.
        sample = hu[::4, ::4]
        self._tissue.append(float(np.mean((sample > -200) & (sample < 400))))

    def warnings(self, scaled: str) -> list[str]:
        """Return what speaks against HU, if anything does.

        Parameters
        ----------
        scaled
            How the stored values were scaled, for the message.
        """
        low = min(r[0] for r in self._ranges)
        high = max(r[1] for r in self._ranges)
        tissue = sum(self._tissue) / len(self._tissue)
        advice = f"these are probably not HU ({scaled}): convert the scan again without windowing"
        found = []
        if self.not_numbers:
            found.append(f"{self.not_numbers} voxels are not numbers and were set to air")
        if high == low:
            found.append(f"every voxel is {low} HU: the scan is empty")
        elif low >= -1 and high <= 1:
            found.append(
                f"values lie between {low} and {high}, nothing of the scan is left; {advice}"
            )
        elif low >= 0 and high <= 255:
            found.append(f"values run from {low} to {high} like a windowed 8-bit image; {advice}")
        elif low >= 0:
            found.append(f"no voxel is below 0 HU (values run from {low} to {high}); {advice}")
        elif tissue < 0.002 and high < 400:
            found.append(
                f"almost no voxel is in the range of soft tissue (values run from {low} to "
                f"{high}); was the rescale applied twice? These are probably not HU ({scaled})"
            )
        return found
