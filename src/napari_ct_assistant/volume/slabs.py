"""Slices of a volume, and projections of several neighbouring slices."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Projection = Literal["none", "max", "min", "mean"]
PROJECTIONS: Final[tuple[Projection, ...]] = ("none", "max", "min", "mean")


def slab_reach(thickness_mm: float, spacing_mm: float) -> int:
    """Return how many slices a slab has on either side of its middle slice.

    A slab has an odd number of slices, so that it is centred on a slice: the odd number whose
    thickness is nearest to `thickness_mm`.

    Parameters
    ----------
    thickness_mm, spacing_mm
        Thickness asked for, and the distance between slices; both above 0.
    """
    return max(0, round((thickness_mm / spacing_mm - 1) / 2))


def project(
    data: NDArray[np.generic], axis: int, index: int, reach: int = 0, how: Projection = "none"
) -> NDArray[np.generic]:
    """Return the slice or slab of `data` about `index` along `axis`.

    Parameters
    ----------
    data
        [I, P, L] or any other three axes.
    axis, index
        The axis looked along, and the slice in the middle, inside the volume.
    reach
        Slices to either side, see `slab_reach`; cut off where the volume ends.
    how
        "none" gives the slice alone; "max" is the MIP, "min" the MinIP, "mean" the average.

    Returns
    -------
    array
        The other two axes in their order; a mean is float32.
    """
    if how == "none" or reach == 0:
        return np.asarray(data.take(index, axis))
    slab: list[slice] = [slice(None)] * 3
    slab[axis] = slice(max(0, index - reach), index + reach + 1)
    block = data[tuple(slab)]
    if how == "mean":
        # Summing whole numbers is twice as fast as averaging floats.
        kind = np.int32 if np.issubdtype(data.dtype, np.integer) else np.float32
        return np.asarray(block.sum(axis=axis, dtype=kind) / np.float32(block.shape[axis]))
    return np.asarray(block.max(axis=axis) if how == "max" else block.min(axis=axis))
