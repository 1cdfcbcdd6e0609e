"""Where the places of a layer's map lie in the network's input, and so in the scan.

Every convolution and the pooling are padded alike on both sides, so place k of a map is centred on
input voxel k * stride. A cell is the box of one stride about it.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.backends.i3resnet.network.sizes import STRIDES

Affine = NDArray[np.float64]
Floats = NDArray[np.float32]
Triple = tuple[int, int, int]

LAYERS: Final = ("layer3", "layer4")


def cell_counts(size: Triple, layer: str) -> Triple:
    """Return the cells (x, y, z) of a layer's map for an input of some size."""
    x, y, z = (-(-n // step) for n, step in zip(size, STRIDES[layer], strict=True))
    return x, y, z


def cell_means(values: NDArray[np.float32] | NDArray[np.bool_], layer: str) -> Floats:
    """Return the mean of input voxels over each cell, 0 outside the input. [x, y, z]."""
    strides = STRIDES[layer]
    counts = cell_counts(_triple(values.shape), layer)
    padded = np.zeros([n * step for n, step in zip(counts, strides, strict=True)], np.float32)
    target, source = [], []
    for have, full, step in zip(values.shape, padded.shape, strides, strict=True):
        before = step // 2
        target.append(slice(before, min(full, have + before)))
        source.append(slice(0, min(have, full - before)))
    padded[tuple(target)] = values[tuple(source)]
    (a, i), (b, j), (c, k) = zip(counts, strides, strict=True)
    means: Floats = padded.reshape(a, i, b, j, c, k).mean(axis=(1, 3, 5), dtype=np.float32)
    return means


def cell_affine(affine: Affine, layer: str) -> Affine:
    """Return the affine of a layer's cells (x, y, z) -> RAS mm, given that of the input."""
    result: Affine = affine @ np.diag([*(float(step) for step in STRIDES[layer]), 1.0])
    return result


def _triple(shape: tuple[int, ...]) -> Triple:
    x, y, z = shape
    return x, y, z
