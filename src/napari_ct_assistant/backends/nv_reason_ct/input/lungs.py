"""Where the lungs are, as NV-Reason-CT's processor finds them to place its crop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

BODY_HU: Final = -500.0
SPACING_MM: Final = 2.0  # nominal: used for all distances, also where an axis kept its spacing
LEAST_SHARE: Final = 0.1  # of the largest component's voxels
LARGEST_GAP_MM: Final = 40.0
LARGEST_SPAN_MM: Final = 500.0
LEAST_VOLUME_ML: Final = 250.0


@dataclass(frozen=True)
class LungBounds:
    """Where body and lungs begin and end, as slices counted from the feet.

    Attributes
    ----------
    body_z_min : int or None
        The lowest slice with body; None where there is none.
    lung_z_min, lung_z_max : int or None
        The lungs' lowest and highest slice; None where no lungs were found.
    """

    body_z_min: int | None
    lung_z_min: int | None = None
    lung_z_max: int | None = None

    @property
    def found(self) -> bool:
        """Whether lungs were found."""
        return self.lung_z_min is not None

    @property
    def middle(self) -> float:
        """The slice in the middle of the lungs."""
        low, high = self.span
        return (low + high) / 2

    @property
    def span(self) -> tuple[int, int]:
        """The lungs' lowest and highest slice.

        Raises
        ------
        ValueError
            If no lungs were found.
        """
        if self.lung_z_min is None or self.lung_z_max is None:
            raise ValueError("no lungs were found")
        return self.lung_z_min, self.lung_z_max


def find_lungs(hu: NDArray[np.float32]) -> LungBounds:
    """Find the lungs: air enclosed by body within an axial slice.

    Parameters
    ----------
    hu : float32 [x, y, z]
        LPS axes, on the 2 mm grid.
    """
    body = hu > BODY_HU
    slices = np.flatnonzero(body.any(axis=(0, 1)))
    if not slices.size:
        return LungBounds(None)
    lowest = int(slices[0])
    labels, count = ndimage.label(_enclosed_air(body))
    if not count:
        return LungBounds(lowest)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    components = []
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        if sizes[label] >= LEAST_SHARE * sizes.max():
            components.append((box[2].start, box[2].stop - 1, int(sizes[label]), label))
    components.sort(key=lambda one: (one[1], one[2]), reverse=True)
    low, high, _, first = components[0]
    chosen = [first]
    for bottom, top, _, label in components[1:]:
        gap = (low - top - 1) * SPACING_MM
        joined = (max(high, top) - min(low, bottom) + 1) * SPACING_MM
        if gap <= LARGEST_GAP_MM and joined <= LARGEST_SPAN_MM:
            low, high = min(low, bottom), max(high, top)
            chosen.append(label)
    low = max(low, high - round(LARGEST_SPAN_MM / SPACING_MM) + 1)
    voxels = int(np.isin(labels[:, :, low : high + 1], chosen).sum())
    if voxels * SPACING_MM**3 / 1000 < LEAST_VOLUME_ML:
        return LungBounds(lowest)
    return LungBounds(lowest, int(low), int(high))


def _enclosed_air(body: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the air of each axial slice that no path of air joins to the slice's border."""
    within_slice = np.zeros((3, 3, 3), dtype=bool)
    within_slice[:, 1, 1] = within_slice[1, :, 1] = True
    labels, count = ndimage.label(~body, structure=within_slice)
    outside = np.zeros(count + 1, dtype=bool)
    for border in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        outside[border] = True
    outside[0] = True
    enclosed: NDArray[np.bool_] = ~outside[labels]
    return enclosed
