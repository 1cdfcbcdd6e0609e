"""Where in the scan a statement comes from, as numbers on a grid in the patient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_ct_assistant.volume import CTVolume

Point = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class HeatMap:
    """How much each part of the model's box spoke for a statement.

    Attributes
    ----------
    values : float32 [d, h, w]
        Along the volume's (I, P, L); 0 where the part did not speak for it, 1 where most.
    affine : float64 [4, 4]
        Index (d, h, w) -> RAS mm of the part's centre (`ModelGrid.token_affine`).
    """

    values: NDArray[np.float32]
    affine: NDArray[np.float64]

    @classmethod
    def from_attributions(cls, shares: ArrayLike, affine: NDArray[np.float64]) -> HeatMap | None:
        """Return the map of positive shares, the largest made 1; None where none is positive."""
        values = np.asarray(shares, dtype=np.float32)
        top = float(values.max(initial=0.0))
        if not np.isfinite(values).all() or top <= 0:
            return None
        return cls(np.clip(values / top, 0, 1), np.asarray(affine, dtype=np.float64))

    @property
    def hottest(self) -> Point:
        """RAS mm of the hottest part's centre."""
        index = np.unravel_index(int(self.values.argmax()), self.values.shape)
        x, y, z = (self.affine @ np.append(np.array(index, dtype=float), 1.0))[:3]
        return round(float(x), 1), round(float(y), 1), round(float(z), 1)

    def hottest_slice(self, volume: CTVolume) -> int:
        """Index along the volume's first axis of the hottest part, inside the scan."""
        row = volume.ras_to_index(self.hottest)[0]
        return int(np.clip(np.rint(row), 0, volume.shape[0] - 1))

    def value_at(self, ras: ArrayLike) -> float:
        """Return the value of the part that holds a RAS point; 0 outside the model's box."""
        index = np.rint((np.linalg.inv(self.affine) @ np.append(np.asarray(ras), 1.0))[:3])
        if ((index < 0) | (index >= self.values.shape)).any():
            return 0.0
        i, j, k = (int(n) for n in index)
        return float(self.values[i, j, k])


@dataclass(frozen=True)
class Evidence:
    """What speaks for a statement.

    Attributes
    ----------
    support : float or None
        Log-likelihood with the image minus without it, in nats.
    heat : HeatMap or None
    slice : int or None
        Index along the volume's first axis of the hottest place.
    ras : (x, y, z) mm or None
        That place.
    """

    support: float | None = None
    heat: HeatMap | None = None
    slice: int | None = None
    ras: Point | None = None

    @classmethod
    def of(cls, support: float | None, heat: HeatMap | None, volume: CTVolume) -> Evidence:
        """Return the evidence with the place that its heat map gives."""
        if heat is None:
            return cls(support)
        return cls(support, heat, heat.hottest_slice(volume), heat.hottest)
