"""The body and the lungs in the network's input: places outside the body are never shown.

The maps have artefacts in the table and in the corners of the picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]

BODY_HU: Final = -300.0
LUNG_HU: Final = -500.0
STEP: Final = 2  # voxels of the input for one of the masks'
TABLE: Final = 2  # erosions that part the body from what it lies on
LEAST_SHARE: Final = 0.1  # of the largest piece of lung


@dataclass(frozen=True, eq=False)
class BodyMasks:
    """Masks [x, y, z] of the size of the input.

    Attributes
    ----------
    body : bool
        Without the table, what it encloses included.
    lung : bool
        Air within the body, in large pieces.
    """

    body: Mask
    lung: Mask


def find_body(hu: NDArray[np.float32]) -> BodyMasks:
    """Find the body and the lungs. hu: [x, y, z], RAS axes."""
    small = hu[::STEP, ::STEP, ::STEP]
    # The lungs are filled first: a thin chest wall would not survive the erosion.
    filled = small > BODY_HU
    for k in range(filled.shape[2]):
        filled[:, :, k] = ndimage.binary_fill_holes(filled[:, :, k])
    core = _largest(ndimage.binary_erosion(filled, iterations=TABLE))
    body = ndimage.binary_dilation(core, iterations=TABLE + 1) & filled
    labels, count = ndimage.label(body & (small < LUNG_HU))
    lung = np.zeros_like(body)
    if count:
        sizes = np.bincount(labels.ravel())
        sizes[0] = 0
        lung = (sizes >= LEAST_SHARE * sizes.max())[labels]
    return BodyMasks(_enlarged(body, hu.shape), _enlarged(lung, hu.shape))


def _largest(mask: Mask) -> Mask:
    labels, count = ndimage.label(mask)
    if not count:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    largest: Mask = labels == sizes.argmax()
    return largest


def _enlarged(mask: Mask, shape: tuple[int, ...]) -> Mask:
    for axis in range(3):
        mask = np.repeat(mask, STEP, axis=axis)
    return mask[: shape[0], : shape[1], : shape[2]]
