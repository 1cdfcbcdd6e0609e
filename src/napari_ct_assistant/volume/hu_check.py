"""Whether the values of a volume can be Hounsfield units.

What a scan of a patient shows decides, not its lowest and highest value: air near -1000 HU,
and a peak of fat or soft tissue near 0. A rescale that was applied twice moves them down by
1024, a forgotten intercept up by as much, and a display window cuts the values off where many
voxels then lie at one end.
"""

from __future__ import annotations

from itertools import pairwise
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.volume.ct_volume import AIR, HU_MAX

Counts = NDArray[np.int64]

# The histogram: one bin a HU, from AIR up to this many HU higher.
_BINS = 8192
# Bins of a slice's own histogram, in HU.
_COARSE = 32
_EDGES = np.arange(0, _BINS, _COARSE)
# Of this many slices, fewer voxels each say as much.
_MANY = 64
# Fewer sampled voxels than this have no peaks.
_ENOUGH = 10_000
# What a scanner subtracts; a shift of the whole scan is about this.
_SHIFT = 1024


class HuCheck:
    """Collects histograms of finished slices and says what speaks against HU.

    `add` may be called from any thread.

    Parameters
    ----------
    slices : int
        How many will come.
    """

    def __init__(self, slices: int) -> None:
        # Every so many voxels along rows and columns are counted.
        self._most = 8 if slices >= _MANY else 4
        self._ranges: list[tuple[int, int]] = []
        self._total: Counts = np.zeros(_BINS, dtype=np.int64)
        self._slices: dict[int, NDArray[np.float32]] = {}
        self._lock = Lock()
        self.not_numbers = 0

    def add(self, first: int, hu: NDArray[np.int16], limits: tuple[int, int]) -> None:
        """Note finished slices.

        Parameters
        ----------
        first : int
            Place of the first one in the stack.
        hu : int16 [slices, rows, columns]
            Any strides.
        limits : (int, int)
            Their lowest and highest value.
        """
        step = max(1, min(self._most, min(hu.shape[1:]) // 64))
        # One temporary, of the type that bincount counts without a copy.
        values = hu[:, ::step, ::step].astype(np.intp, order="C").reshape(len(hu), -1)
        values -= AIR
        np.minimum(values, _BINS - 1, out=values)
        # Each slice has bins of its own.
        values += _BINS * np.arange(len(hu))[:, None]
        bins = np.bincount(values.reshape(-1), minlength=_BINS * len(hu))
        counts = bins.reshape(len(hu), _BINS)
        coarse = np.add.reduceat(counts, _EDGES, axis=1).astype(np.float32)
        # Padding says nothing about the scale.
        coarse[:, 0] -= counts[:, 0]
        with self._lock:
            self._ranges.append(limits)
            self._total += counts.sum(axis=0)
            self._slices.update(enumerate(coarse, start=first))

    def warnings(self, scaled: str) -> list[str]:
        """Return what speaks against HU, if anything does.

        Parameters
        ----------
        scaled
            How the stored values were scaled, for the message.
        """
        low = min(r[0] for r in self._ranges)
        high = max(r[1] for r in self._ranges)
        advice = f"these are probably not HU ({scaled}): convert the scan again without windowing"
        found = []
        if self.not_numbers:
            found.append(f"{self.not_numbers} voxels are not numbers and were set to air")
        if high >= HU_MAX and low < high:
            found.append(
                f"values above {HU_MAX} HU were cut off; stored values probably lost their sign "
                f"({scaled}): export the scan again with signed values"
            )
        if high == low:
            found.append(f"every voxel is {low} HU: the scan is empty")
        elif low >= -1 and high <= 1:
            found.append(
                f"values lie between {low} and {high}, nothing of the scan is left; {advice}"
            )
        elif low >= 0 and high <= 255:
            found.append(f"values run from {low} to {high} like a windowed 8-bit image; {advice}")
        elif low >= 0:
            found.append(
                f"no voxel is below 0 HU (values run from {low} to {high}); was the rescale "
                f"intercept forgotten, or the sign lost? These are probably not HU ({scaled})"
            )
        else:
            found += self._peaks(low, high, scaled)
        if jump := self._jump():
            found.append(
                f"HU jump by about {_SHIFT} between slice {jump} and the next: some slices were "
                f"rescaled otherwise than the rest ({scaled}); export the scan again"
            )
        return found

    def _share(self, start: int, stop: int) -> float:
        """Return the share of the sampled, unpadded voxels from `start` up to `stop` HU."""
        within = self._total[max(1, start - AIR) : max(1, stop - AIR)].sum()
        return float(within / max(1, self._total[1:].sum()))

    def _peaks(self, low: int, high: int, scaled: str) -> list[str]:
        """Return doubts that the peaks of the histogram raise."""
        tissue = self._total[-200 - AIR : 400 - AIR].sum() / max(1, self._total.sum())
        if tissue < 0.002 and high < 400:
            return [
                f"almost no voxel is in the range of soft tissue (values run from {low} to "
                f"{high}); was the rescale applied twice? These are probably not HU ({scaled})"
            ]
        if self._total.sum() < _ENOUGH:
            return []
        if clipped := self._clipped(low, high):
            return [
                f"values are cut off at {clipped} HU, like those of a display window; these are "
                f"not all HU ({scaled}): convert the scan again without windowing"
            ]
        peak = self._tissue_peak()
        # Air, lung and gas are in every scan; a forgotten intercept puts air at 0.
        if self._share(-1023, -300) < 0.01 and self._share(800, 1300) > 0.05:
            return [
                "there is no air, and soft tissue lies near 1000 HU: was the rescale intercept "
                f"forgotten? These are probably not HU ({scaled})"
            ]
        if self._share(2000, _BINS) > 0.05:
            return [
                f"{self._share(2000, _BINS):.0%} of the voxels lie above 2000 HU; stored values "
                f"probably lost their sign ({scaled}): export the scan again with signed values"
            ]
        if peak is None and self._share(-1023, -700) > 0.2:
            return [
                "there is no peak of fat or soft tissue between -200 and 400 HU; was the rescale "
                f"applied twice? These are probably not HU ({scaled})"
            ]
        return []

    def _tissue_peak(self) -> int | None:
        """Return where above -500 HU most voxels lie, None if not at fat or soft tissue.

        Contrast lifts soft tissue by up to 300 HU.
        """
        start = -500
        counts = self._total[start - AIR : 2500 - AIR]
        smooth = np.convolve(counts, np.ones(25), mode="same")
        peak = start + int(np.argmax(smooth))
        return peak if -200 <= peak <= 400 else None

    def _clipped(self, low: int, high: int) -> str:
        """Return at which HU the values were cut off, "" if they were not."""
        found = []
        if low > -900 and self._is_spike(low, 1):
            found.append(str(low))
        if high < 2900 and self._is_spike(high, -1):
            found.append(str(high))
        return " and ".join(found)

    def _is_spike(self, hu: int, inwards: int) -> bool:
        """Return whether far more voxels lie at the end `hu` than next to it."""
        at = hu - AIR
        beside = self._total[at + 1 : at + 51] if inwards > 0 else self._total[max(0, at - 50) : at]
        if not len(beside):
            return False
        return bool(self._total[at] >= 20 and self._total[at] > 15 * (beside.mean() + 0.2))

    def _jump(self) -> int | None:
        """Return after which slice (from 1) the scale of the values changes, None if never."""
        bins = [self._slices[k] for k in sorted(self._slices)]
        if len(bins) < 2 or self._total.sum() < _ENOUGH:
            return None
        for k, (a, b) in enumerate(pairwise(bins)):
            if min(a.sum(), b.sum()) < 200:
                continue
            alike = _overlap(a, b)
            if alike >= 0.7:
                continue
            # What a second rescale moved below AIR is lost: only what is above it is compared.
            moved = max(
                (
                    _overlap(low[: len(low) - bins], high[bins:])
                    for low, high in ((a, b), (b, a))
                    for bins in range(_SHIFT // _COARSE - 2, _SHIFT // _COARSE + 2)
                    if min(low[: len(low) - bins].sum(), high[bins:].sum()) >= 200
                ),
                default=0.0,
            )
            if moved > max(0.6, alike + 0.15):
                return k + 1
        return None


def _overlap(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Return how much of two histograms is alike, 0 to 1."""
    return float(np.minimum(a / max(1.0, a.sum()), b / max(1.0, b.sum())).sum())
