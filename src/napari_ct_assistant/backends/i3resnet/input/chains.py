"""The two chains from HU to the network's input, as MONAI makes them.

chest (Astra): the box of HU above -1000, `area` resize to 224 x 224 x 160, -1000 to 200 HU.
abdomen (Merlin, and Astra's abdomen): 1.5 x 1.5 x 3 mm, -1000 to 1000 HU, centre crop or pad.

Axes are RAS: index 0 grows to the patient's right, 1 to the front, 2 up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.backends.nv_reason_ct.input.resampling import resample
from napari_ct_assistant.volume import CTVolume

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Affine = NDArray[np.float64]
Floats = NDArray[np.float32]
Triple = tuple[int, int, int]

CHEST: Final = "chest"
ABDOMEN: Final = "abdomen"
CHAINS: Final = (CHEST, ABDOMEN)
SIZE: Final[Triple] = (224, 224, 160)
SPACING_MM: Final = (1.5, 1.5, 3.0)
CROP_ABOVE_HU: Final = -1000
WINDOWS: Final = {CHEST: (-1000.0, 200.0), ABDOMEN: (-1000.0, 1000.0)}


@dataclass(frozen=True, eq=False)
class EncoderInput:
    """The input of a scan.

    Attributes
    ----------
    values : float32 [x, y, z]
        RAS axes, 0 to 1.
    affine : float64 [4, 4]
        Index -> RAS mm.
    """

    values: Floats
    affine: Affine


def make_input(
    volume: CTVolume,
    chain: str,
    *,
    size: Triple = SIZE,
    spacing: Sequence[float] = SPACING_MM,
) -> EncoderInput:
    """Make the network's input.

    Parameters
    ----------
    volume : CTVolume
    chain : "chest" or "abdomen"
    size : (x, y, z)
    spacing : three floats, mm
        Of the chain "abdomen".

    Raises
    ------
    ValueError
        If there is no such chain.
    """
    if chain == CHEST:
        return _chest(volume, size)
    if chain == ABDOMEN:
        return _abdomen(volume, size, tuple(spacing))
    raise ValueError(f"chain is {chain!r}; give one of {', '.join(CHAINS)}")


def to_ras(volume: CTVolume) -> tuple[NDArray[np.int16] | Floats, Affine]:
    """Return the stored HU [x, y, z] in RAS axes, and the affine of their indices to RAS mm."""
    depth, height, width = volume.shape
    turn = np.zeros((4, 4))
    turn[0, 2] = turn[1, 1] = turn[2, 0] = -1.0
    turn[:, 3] = depth - 1, height - 1, width - 1, 1.0
    return volume.stored_hu().transpose(2, 1, 0)[::-1, ::-1, ::-1], volume.affine @ turn


def input_hu(values: Floats, chain: str) -> Floats:
    """Return the HU of an input, within the chain's window."""
    low, high = WINDOWS[chain]
    return values * np.float32(high - low) + np.float32(low)


def on_input_grid(mask: NDArray[np.bool_], volume: CTVolume, size: Triple = SIZE) -> Floats:
    """Return the share of each voxel of the chest chain's input that a mask [I, P, L] covers."""
    low, high = _foreground(to_ras(volume)[0])
    turned = mask.transpose(2, 1, 0)[::-1, ::-1, ::-1]
    part = turned[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    return _area(part.view(np.uint8), size)


def _chest(volume: CTVolume, size: Triple) -> EncoderInput:
    hu, affine = to_ras(volume)
    low, high = _foreground(hu)
    part = hu[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    scale = np.array(part.shape) / np.array(size)
    to_index = np.diag([*scale, 1.0])
    to_index[:3, 3] = np.array(low) + 0.5 * scale - 0.5
    return EncoderInput(_scaled(_area(part, size), CHEST), affine @ to_index)


def _abdomen(volume: CTVolume, size: Triple, spacing: tuple[float, ...]) -> EncoderInput:
    hu, affine = resample(*to_ras(volume), spacing, kept=0.0)
    scaled = _scaled(hu.astype(np.float32), ABDOMEN)
    out = np.zeros(size, dtype=np.float32)
    inner, outer, shift = [], [], []
    for have, want in zip(hu.shape, size, strict=True):
        missing = max(0, want - have)
        begin = missing // 2  # the odd voxel of the padding is behind
        # MONAI's centre crop starts at n // 2 - size // 2.
        first = max(have, want) // 2 - want // 2
        inner.append(slice(begin, begin + min(have, want)))
        outer.append(slice(first, first + min(have, want)))
        shift.append(first - begin)
    out[tuple(inner)] = scaled[tuple(outer)]
    moved = affine.copy()
    moved[:3, 3] += affine[:3, :3] @ np.array(shift, dtype=np.float64)
    return EncoderInput(out, moved)


def _scaled(hu: Floats, chain: str) -> Floats:
    low, high = WINDOWS[chain]
    values = np.nan_to_num(hu, nan=low, posinf=high, neginf=low)
    values -= np.float32(low)
    values /= np.float32(high - low)
    return np.clip(values, 0.0, 1.0, out=values)


def _foreground(hu: NDArray[np.int16] | Floats) -> tuple[list[int], list[int]]:
    """Return the index box of the voxels above -1000 HU; the whole array without any."""
    above = [np.zeros(n, dtype=bool) for n in hu.shape]
    for k in range(hu.shape[2]):
        mask = hu[:, :, k] > CROP_ABOVE_HU
        above[0] |= mask.any(axis=1)
        above[1] |= mask.any(axis=0)
        above[2][k] = mask.any()
    if not above[2].any():
        return [0, 0, 0], list(hu.shape)
    spans = [np.flatnonzero(a) for a in above]
    return [int(s[0]) for s in spans], [int(s[-1]) + 1 for s in spans]


def _area(hu: NDArray[np.int16] | NDArray[np.uint8] | Floats, size: Triple) -> Floats:
    """Average over each voxel's share of the input (torch's adaptive average), slice by slice."""
    across, along, up = (_bins(have, want) for have, want in zip(hu.shape, size, strict=True))
    out = np.empty(size, dtype=np.float32)
    turned = along.T.tocsc()
    for k in range(size[2]):
        begin, end = up.indptr[k], up.indptr[k + 1]
        chosen = up.indices[begin:end]
        plane = hu[:, :, chosen].mean(axis=2, dtype=np.float32)
        out[:, :, k] = (across @ plane) @ turned
    return out


def _bins(have: int, want: int) -> csr_array:
    """Return the shares [want, have] of adaptive average pooling along one axis."""
    index = np.arange(want)
    begin, end = index * have // want, -((-(index + 1) * have) // want)
    lengths = end - begin
    edges = np.concatenate([[0], np.cumsum(lengths)])
    source = np.concatenate([np.arange(a, b) for a, b in zip(begin, end, strict=True)])
    shares = np.repeat(1.0 / lengths, lengths).astype(np.float32)
    # Late, since the panel imports this module for its figures.
    from scipy.sparse import csr_array

    return csr_array((shares, source, edges), shape=(want, have))
