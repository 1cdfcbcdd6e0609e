"""Where in the scan the evidence for a statement lies: a grid of values with its place in mm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_ct_assistant.volume import CTVolume

PointRAS = tuple[float, float, float]  # x, y, z in RAS mm


@dataclass(frozen=True, eq=False)
class HeatMap:
    """How much each cell of the model's input box contributed to a statement.

    Attributes
    ----------
    values : float32 [d, h, w]
        Along the volume's (I, P, L); 0 for no contribution, 1 for the largest.
    affine : float64 [4, 4]
        Index (d, h, w) -> RAS mm of the cell's centre (`ModelGrid.token_affine`).
    """

    values: NDArray[np.float32]
    affine: NDArray[np.float64]

    @classmethod
    def from_attributions(
        cls, attributions: ArrayLike, affine: NDArray[np.float64]
    ) -> HeatMap | None:
        """Return the map of the positive attributions, scaled to at most 1; None if there are none.

        Parameters
        ----------
        attributions : [d, h, w]
        affine : [4, 4]
        """
        values = np.asarray(attributions, dtype=np.float32)
        top = float(values.max(initial=0.0))
        if not np.isfinite(values).all() or top <= 0:
            return None
        return cls(np.clip(values / top, 0, 1), np.asarray(affine, dtype=np.float64))

    @property
    def hottest(self) -> PointRAS:
        """Centre of the hottest cell, in RAS mm."""
        index = np.unravel_index(int(self.values.argmax()), self.values.shape)
        x, y, z = (self.affine @ np.append(np.array(index, dtype=float), 1.0))[:3]
        return round(float(x), 1), round(float(y), 1), round(float(z), 1)

    def hottest_slice(self, volume: CTVolume) -> int:
        """Return the slice of the hottest cell: an index along the volume's first axis."""
        row = volume.ras_to_index(self.hottest)[0]
        return int(np.clip(np.rint(row), 0, volume.shape[0] - 1))

    def peaks(self, most: int) -> list[tuple[PointRAS, float]]:
        """Return the highest cells that no neighbour surpasses, the highest first, with values.

        Neighbours share a face, an edge or a corner; of equal ones the first counts.
        """
        padded = np.pad(self.values, 1, constant_values=-1.0)
        found: list[tuple[PointRAS, float]] = []
        for flat in np.argsort(-self.values, axis=None, kind="stable"):
            i, j, k = (int(n) for n in np.unravel_index(int(flat), self.values.shape))
            value = float(self.values[i, j, k])
            if value <= 0 or len(found) == most:
                break
            # A neighbour that was taken already is higher, or equal and before it.
            if padded[i : i + 3, j : j + 3, k : k + 3].max() <= value:
                x, y, z = (self.affine @ np.array([i, j, k, 1.0]))[:3]
                found.append(((round(float(x), 1), round(float(y), 1), round(float(z), 1)), value))
                padded[i + 1, j + 1, k + 1] = 2.0
        return found

    def value_at(self, ras: ArrayLike) -> float:
        """Return the value of the cell that contains a RAS point; 0 outside the model's box."""
        index = np.rint((np.linalg.inv(self.affine) @ np.append(np.asarray(ras), 1.0))[:3])
        if ((index < 0) | (index >= self.values.shape)).any():
            return 0.0
        i, j, k = (int(n) for n in index)
        return float(self.values[i, j, k])


@dataclass(frozen=True)
class Evidence:
    """The evidence for a statement.

    Attributes
    ----------
    support : float or None
        Log-likelihood of the statement with the image minus without it, in nats.
    heat : HeatMap or None
    slice : int or None
        Index along the volume's first axis of the heat map's hottest cell.
    ras : (x, y, z) mm or None
        The centre of that cell.
    places : tuple of (x, y, z) mm
        The highest peaks of the heat map, ranked, where the method offers places to look at.
    shares : tuple of float
        What each slice that a slice model was shown adds to the support, in nats, in the order of
        its labels; () for models that read the volume.
    """

    support: float | None = None
    heat: HeatMap | None = None
    slice: int | None = None
    ras: PointRAS | None = None
    places: tuple[PointRAS, ...] = ()
    shares: tuple[float, ...] = ()

    @classmethod
    def of(cls, support: float | None, heat: HeatMap | None, volume: CTVolume) -> Evidence:
        """Return the evidence with slice and point taken from its heat map."""
        if heat is None:
            return cls(support)
        return cls(support, heat, heat.hottest_slice(volume), heat.hottest)
