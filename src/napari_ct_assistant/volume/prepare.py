"""From Hounsfield units to the tensor that a model reads.

Linear resampling of an axis-aligned box is separable: each output slice is a
blend of two input slices, its rows a blend of two rows, its columns a blend of
two columns, each a product with a sparse matrix. Doing it one output slice at a
time touches only the voxels that are needed and holds a few slices per worker.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.volume.ct_volume import CTVolume
from napari_ct_assistant.volume.model_grid import ModelGrid

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Floats = NDArray[np.float32]


class ScanPreparation(Protocol):
    """How a vision transformer's scans are prepared: `VolumeLanguageProcessor` describes it."""

    @property
    def image_size(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def patch_size(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def preparation(self) -> str: ...  # noqa: D102
    @property
    def spacing(self) -> tuple[float, ...]: ...  # noqa: D102
    @property
    def hu_range(self) -> tuple[float, float]: ...  # noqa: D102
    @property
    def value_range(self) -> tuple[float, float]: ...  # noqa: D102
    @property
    def antialias(self) -> bool: ...  # noqa: D102


def prepare_as(volume: CTVolume, how: ScanPreparation) -> tuple[Floats, ModelGrid]:
    """Return the input [D, H, W] of a scan, and where it lies."""
    if how.preparation == "minmax":
        return prepare_minmax(volume, shape=how.image_size, patch=how.patch_size)
    grid = ModelGrid.centred(
        volume, shape=how.image_size, spacing=how.spacing, patch=how.patch_size
    )
    values = prepare(
        volume, grid, hu_range=how.hu_range, out_range=how.value_range, antialias=how.antialias
    )
    return values, grid


def prepare(
    volume: CTVolume,
    grid: ModelGrid,
    *,
    hu_range: tuple[float, float] = (-1000.0, 1000.0),
    out_range: tuple[float, float] = (0.0, 1.0),
    antialias: bool = False,
) -> Floats:
    """Resample a volume onto a model's input box and scale its HU.

    Values are interpolated linearly in HU, clipped to `hu_range` and mapped
    linearly to `out_range`, as MONAI's `Spacing` and `ScaleIntensityRange(clip=True)`
    do. Box voxels whose centre lies outside every voxel of the scan are
    `out_range[0]`; between the outermost voxel centres and the edge of the scan the
    outermost voxel's value holds.

    Parameters
    ----------
    volume
        The scan.
    grid
        The model's box, its axes along the volume's.
    hu_range
        HU that map to the two ends of `out_range`.
    out_range
        Lowest and highest value of the result.
    antialias
        Widen the linear kernel to the output spacing where the box is coarser than
        the scan (what torch's `interpolate(antialias=True)` does): less noise and no
        aliasing, but not the values that a model trained without it has seen.

    Returns
    -------
    float32 [D, H, W] with axes along (I, P, L).

    Raises
    ------
    ValueError
        If the grid's axes do not run along the volume's, or a range is empty.
    """
    low, high = hu_range
    if not high > low:
        raise ValueError(f"hu_range must rise, not {hu_range}")
    scale = (out_range[1] - out_range[0]) / (high - low)
    axes = [
        _Axis.linear(n, start, step, size, antialias=antialias)
        for n, start, step, size in zip(
            grid.shape, *_steps(volume, grid), volume.shape, strict=True
        )
    ]
    return _resample(volume.hu, axes, (low, high), scale, out_range[0])


def prepare_minmax(
    volume: CTVolume, *, shape: Sequence[int], patch: Sequence[int]
) -> tuple[Floats, ModelGrid]:
    """Prepare a volume as M3D-LaMed's data scripts do.

    The whole volume is scaled from its own minimum and maximum to 0 to 1, cropped to
    the voxels above 0 (MONAI's `CropForeground`) and stretched onto `shape` by
    trilinear interpolation with `align_corners=False` (MONAI's `Resize`).

    Parameters
    ----------
    volume
        The scan.
    shape
        Voxels (D, H, W) of the result, (32, 256, 256) for M3D.
    patch
        Voxels of one token, (4, 16, 16) for M3D.

    Returns
    -------
    float32 [D, H, W] from 0 to 1, and the grid that lays its tokens on the scan. A
    volume of one value gives zeros over the whole volume.
    """
    low, high = int(volume.hu.min()), int(volume.hu.max())
    box = _foreground(volume.hu, low)
    grid = ModelGrid.stretched(volume, shape=shape, patch=patch, box=box)
    if high == low:
        return np.zeros(grid.shape, dtype=np.float32), grid
    part = volume.hu[tuple(slice(a, b) for a, b in zip(*box, strict=True))]
    axes = [
        _Axis.linear(n, 0.5 * size / n - 0.5, size / n, size, antialias=False)
        for n, size in zip(grid.shape, part.shape, strict=True)
    ]
    return _resample(part, axes, (low, high), 1.0 / (high - low), 0.0), grid


@dataclass(frozen=True)
class _Axis:
    """How output samples of one axis are blended from input samples.

    length: number of output samples.
    inside: those that lie on the scan (they are contiguous), n in number.
    span: the input samples that are needed, m in number.
    blend: sparse float32 [n, m], each row the shares of the input samples.
    """

    length: int
    inside: slice
    span: slice
    blend: csr_array

    @classmethod
    def linear(cls, n: int, start: float, step: float, size: int, *, antialias: bool) -> _Axis:
        """Blend `n` outputs at input positions start + k * step from `size` inputs."""
        from scipy.sparse import csr_array

        # Rounding in the affines must not push a voxel centre off the scan.
        position = np.round(start + step * np.arange(n), 6)
        on_scan = np.flatnonzero((position >= -0.5) & (position <= size - 0.5))
        if not on_scan.size:
            return cls(n, slice(0, 0), slice(0, 0), csr_array((0, 0), dtype=np.float32))
        inside = slice(int(on_scan[0]), int(on_scan[-1]) + 1)
        position = np.clip(position[inside], 0, size - 1)
        # A triangle as wide as the coarser of the two spacings.
        reach = step if antialias and step > 1 else 1.0
        first = np.floor(position - reach).astype(np.intp) + 1
        source = first[:, None] + np.arange(int(np.ceil(2 * reach)))
        share = np.maximum(0.0, 1.0 - np.abs(source - position[:, None]) / reach)
        share[(source < 0) | (source >= size)] = 0.0
        share /= share.sum(axis=1, keepdims=True)
        source = np.clip(source, 0, size - 1)
        low, high = int(source.min()), int(source.max()) + 1
        edges = np.arange(len(position) + 1) * source.shape[1]
        blend = csr_array(
            (share.astype(np.float32).ravel(), (source - low).ravel(), edges),
            shape=(len(position), high - low),
        )
        return cls(n, inside, slice(low, high), blend)


def _resample(
    hu: NDArray[np.int16],
    axes: Sequence[_Axis],
    hu_range: tuple[float, float],
    scale: float,
    offset: float,
) -> Floats:
    """Blend, clip and scale `hu` along its three axes; outside the scan is `offset`."""
    from scipy.sparse import kron

    depth, height, width = axes
    out = np.full([axis.length for axis in axes], offset, dtype=np.float32)
    inner = out[depth.inside, height.inside, width.inside]
    if not inner.size:
        return out
    hu = hu[depth.span, height.span, width.span]
    low, high = (np.float32(limit) for limit in hu_range)
    slices = depth.blend.indices.reshape(len(inner), -1)
    shares = depth.blend.data.reshape(len(inner), -1)

    def fill(planes: range) -> None:
        # Memory is taken once a thread: taking it anew for each slice costs more than
        # the arithmetic does.
        count, (_, rows, columns) = slices.shape[1], hu.shape
        source = np.empty((count, rows, columns), dtype=np.float32)
        turned = np.empty((columns, inner.shape[1]), dtype=np.float32)
        # Slices and rows are blended in one product: the rows' blend stands once for
        # each slice, side by side, and is scaled by the slice's share.
        both = kron(np.ones((1, count), np.float32), height.blend, format="csr")
        share, which = both.data.copy(), both.indices // rows
        for k in planes:
            for n, j in enumerate(slices[k]):
                np.copyto(source[n], hu[j])
            np.multiply(share, shares[k][which], out=both.data)
            # Rows are blended faster than columns, so columns are made rows.
            np.copyto(turned, (both @ source.reshape(-1, columns)).T)
            plane = width.blend @ turned
            np.clip(plane, low, high, out=plane)
            plane -= low
            plane *= np.float32(scale)
            np.add(plane.T, np.float32(offset), out=inner[k])

    workers = min(8, os.cpu_count() or 1, len(inner))
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(fill, (range(w, len(inner), workers) for w in range(workers))))
    return out


def _steps(volume: CTVolume, grid: ModelGrid) -> tuple[list[float], list[float]]:
    """Return where each box axis starts and how far it steps, in voxels of the volume."""
    relative = np.linalg.inv(volume.affine) @ grid.affine
    linear = relative[:3, :3]
    steps = np.diag(linear)
    # A thousandth of a voxel over the whole box.
    drift = np.abs(linear - np.diag(steps)) * np.asarray(grid.shape)
    if drift.max() > 1e-3 or steps.min() <= 0:
        raise ValueError("the axes of the grid must run along the volume's (I, P, L) axes")
    return [float(v) for v in relative[:3, 3]], [float(v) for v in steps]


def _foreground(hu: NDArray[np.int16], low: int) -> tuple[list[int], list[int]]:
    """Return the index box of the voxels above `low`, the whole array if there are none."""
    above = [np.zeros(n, dtype=bool) for n in hu.shape]
    for i, plane in enumerate(hu):
        mask = plane > low
        rows = mask.any(axis=1)
        above[0][i] = rows.any()
        above[1] |= rows
        above[2] |= mask.any(axis=0)
    if not above[0].any():
        return [0, 0, 0], list(hu.shape)
    spans = [np.flatnonzero(a) for a in above]
    return [int(s[0]) for s in spans], [int(s[-1]) + 1 for s in spans]
