"""From a CT volume to COLIPRI's input, as its published processor makes it with TorchIO.

Reorientation (no rotation), linear resampling about the scan's centre, -1000 to 1000 HU, a cube
cut or padded about the centre. TorchIO and SimpleITK are not needed; the arithmetic is that of
ITK's resampling, to the last voxel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.backends.colipri.configuration import Preparation
from napari_ct_assistant.backends.heat_map import PointRAS
from napari_ct_assistant.volume import CTVolume, ModelGrid

HU_LIMIT: Final = 1000.0
AIR: Final = -1.0  # of the input: what lies outside a scan that contains air

Floats = NDArray[np.float32]
Triple = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Cube:
    """The model's input, and where it lies.

    Attributes
    ----------
    values : float32 [n, n, n]
        From -1 to 1, in the order of the preparation's axes.
    grid : ModelGrid
        Of the same cube along the volume's (I, P, L).
    start : (x, y, z)
        First voxel of the cube on the resampled grid; negative where the scan is padded.
    """

    values: Floats
    grid: ModelGrid
    start: Triple


def make_cube(
    volume: CTVolume, how: Preparation, patch: int, centre: PointRAS | None = None
) -> Cube:
    """Prepare a scan.

    Parameters
    ----------
    volume : CTVolume
    how : Preparation
    patch : int
        Voxels of a token's edge.
    centre : (x, y, z), optional
        RAS mm near which the cube's centre is to lie; the scan's centre when absent.
    """
    # (I, P, L) reversed runs to the head, the front and the right: S, A, R.
    hu: NDArray[Any] = volume.stored_hu()[::-1, ::-1, ::-1]
    spacing = list(volume.spacing)
    ras = how.orientation == "RAS"
    if ras:
        hu, spacing = hu.transpose(2, 1, 0), spacing[::-1]
    directions = (-1.0, -1.0, 1.0) if ras else (1.0, -1.0, -1.0)  # of these axes in LPS
    origin = _origin(volume)
    starts = origin if ras else origin[::-1]
    whole = np.issubdtype(hu.dtype, np.integer)
    size = how.input_size
    values: NDArray[Any] = hu
    shape: list[int] = []
    for axis in range(3):
        values, count = _resampled(
            values, axis, spacing[axis], starts[axis], directions[axis], how.spacing
        )
        shape.append(count)
    # ITK gives whole numbers for a scan of whole numbers, without rounding.
    values = np.trunc(values) if whole else np.nan_to_num(values, nan=-HU_LIMIT)
    values = np.clip(values, -HU_LIMIT, HU_LIMIT).astype(np.float32) / np.float32(HU_LIMIT)
    along = shape if ras else shape[::-1]  # x, y, z
    start = [_centred(count, size) for count in along]
    if centre is not None:
        start = _near(volume, how, along, centre)
    order = start if ras else start[::-1]
    cube = np.full((size,) * 3, values.min(), dtype=np.float32)
    source, target = zip(
        *(_overlap(a, size, count) for a, count in zip(order, shape, strict=True)), strict=True
    )
    cube[target] = values[source]
    x, y, z = start
    return Cube(cube, _grid(volume, how, along, (x, y, z), patch), (x, y, z))


def to_ipl(values: NDArray[Any], orientation: str) -> NDArray[Any]:
    """Return a grid of the input's axes along the volume's (I, P, L)."""
    turned = values.transpose(2, 1, 0) if orientation == "RAS" else values
    return turned[::-1, ::-1, ::-1]


def left_right_axis(orientation: str) -> int:
    """Return the axis of the input that runs to the patient's right."""
    return orientation.index("R")


def _origin(volume: CTVolume) -> tuple[float, float, float]:
    """Return the LPS mm of the first voxel along R, A and S, each along its own axis."""
    corner = volume.index_to_ras(np.array(volume.shape) - 1)
    return -float(corner[0]), -float(corner[1]), float(corner[2])


def _resampled(
    hu: NDArray[Any], axis: int, old: float, origin: float, direction: float, new: float
) -> tuple[NDArray[np.float64], int]:
    """Interpolate along one axis, about the same centre; return the result and its size.

    The steps are those of `sitk.ResampleImageFilter` with TorchIO's reference image, because the
    result is truncated: an index that is off by the last bit may cost a whole HU.
    """
    n = hu.shape[axis]
    count = max(int(np.floor(n * old / new)), 1) if n > 1 else 1
    last = origin + (direction * old) * (n - 1)
    first = (last + origin) / 2 - direction * ((count - 1) / 2 * new)
    inverse = 1.0 / (direction * old)
    if axis == 0:  # along a line of voxels ITK interpolates between the line's two ends
        begin = (first + (direction * new) * 0 - origin) * inverse
        end = (first + (direction * new) * count - origin) * inverse
        places = begin + (end - begin) * (np.arange(count) / count)
    else:
        places = ((first + (direction * new) * np.arange(count)) - origin) * inverse
    places = np.clip(places, 0, n - 1)
    low = np.floor(places).astype(np.intp)
    high = np.minimum(low + 1, n - 1)
    share = (places - low).reshape([-1 if one == axis else 1 for one in range(3)])
    a = np.take(hu, low, axis).astype(np.float64, copy=False)
    b = np.take(hu, high, axis).astype(np.float64, copy=False)
    b -= a
    b *= share
    b += a
    return b, count


def _centred(count: int, size: int) -> int:
    """Return where a cube begins: the larger half is cut, or padded, at the beginning."""
    gap = (count - size) / 2
    return int(np.ceil(gap)) if gap >= 0 else -int(np.ceil(-gap))


def _overlap(start: int, size: int, count: int) -> tuple[slice, slice]:
    """Return the slices of the scan and of the cube in which they meet."""
    low, high = max(start, 0), min(start + size, count)
    return slice(low, high), slice(low - start, high - start)


def _near(volume: CTVolume, how: Preparation, shape: list[int], centre: PointRAS) -> list[int]:
    """Return where a cube begins whose centre is near a point, within the scan."""
    index = volume.ras_to_index(centre)[::-1]  # along L, P, I
    starts = []
    for at, n, mm, count in zip(
        index, volume.shape[::-1], volume.spacing[::-1], shape, strict=True
    ):
        # The same axis the other way round, on the resampled grid.
        place = ((n - 1 - at) - (n - 1) / 2) * mm / how.spacing + (count - 1) / 2
        fits = count - how.input_size
        wanted = round(place - (how.input_size - 1) / 2)
        starts.append(min(max(wanted, 0), fits) if fits > 0 else _centred(count, how.input_size))
    return starts


def _grid(
    volume: CTVolume, how: Preparation, shape: list[int], start: Triple, patch: int
) -> ModelGrid:
    """Return where the cube lies, along (I, P, L)."""
    to_index = np.eye(4)
    size = how.input_size
    # Of I, P and L: the cube's voxel 0 is the last one along S, A and R.
    for axis, (n, mm, count, first) in enumerate(
        zip(volume.shape, volume.spacing, shape[::-1], start[::-1], strict=True)
    ):
        step = how.spacing / mm
        last = (n - 1) / 2 + (first + size - 1 - (count - 1) / 2) * step  # along S, A or R
        to_index[axis, axis] = step
        to_index[axis, 3] = n - 1 - last
    return ModelGrid((size,) * 3, (patch,) * 3, volume.affine @ to_index)
