"""Where the input box and the tokens of a model lie in the patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_ct_assistant.volume.ct_volume import CTVolume
from napari_ct_assistant.volume.geometry import apply_affine

Triple = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class ModelGrid:
    """The mapping between a model's input box, its token grid and the scan.

    The axes of the box run along the volume's own (I, P, L) axes, so preparing a
    volume never rotates it, and a token is a box of voxels.

    Parameters
    ----------
    shape
        Voxels of the input box (D, H, W), along (I, P, L).
    patch
        Voxels of one token along the same axes; must divide `shape`.
    affine
        float64 4x4, box voxel index (d, h, w) -> RAS mm; whole numbers are voxel centres.

    Raises
    ------
    ValueError
        If `patch` does not divide `shape`, or `affine` is not an invertible 4x4.
    """

    shape: Triple
    patch: Triple
    affine: NDArray[np.float64]

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", _triple("shape", self.shape))
        object.__setattr__(self, "patch", _triple("patch", self.patch))
        object.__setattr__(self, "affine", np.array(self.affine, dtype=np.float64))
        for n, p in zip(self.shape, self.patch, strict=True):
            if n % p:
                raise ValueError(f"patch {self.patch} must divide shape {self.shape}")
        if self.affine.shape != (4, 4) or not abs(np.linalg.det(self.affine)) > 0:
            raise ValueError(f"affine must be an invertible 4x4, not {self.affine.tolist()}")

    @classmethod
    def centred(
        cls,
        volume: CTVolume,
        *,
        shape: Sequence[int],
        spacing: Sequence[float],
        patch: Sequence[int],
    ) -> ModelGrid:
        """Place a box of fixed size in mm on the centre of a volume.

        This is E3D-GPT's "central cropping": what lies outside the box is not seen,
        and where the scan is smaller than the box, preparation pads.

        Parameters
        ----------
        volume
            The scan.
        shape
            Voxels (D, H, W) along (I, P, L).
        spacing
            mm between box voxels along (I, P, L).
        patch
            Voxels of one token.
        """
        shape, patch = _triple("shape", shape), _triple("patch", patch)
        mm = np.asarray(spacing, dtype=np.float64)
        if mm.shape != (3,) or not (mm > 0).all():
            raise ValueError(f"spacing must be three positive mm, not {tuple(spacing)}")
        steps = volume.affine[:3, :3] / np.asarray(volume.spacing) * mm
        centre = volume.index_to_ras((np.asarray(volume.shape) - 1) / 2)
        affine = np.eye(4)
        affine[:3, :3] = steps
        affine[:3, 3] = centre - steps @ ((np.asarray(shape) - 1) / 2)
        return cls(shape, patch, affine)

    @classmethod
    def stretched(
        cls,
        volume: CTVolume,
        *,
        shape: Sequence[int],
        patch: Sequence[int],
        box: tuple[Sequence[int], Sequence[int]] | None = None,
    ) -> ModelGrid:
        """Stretch a whole volume, or an index box of it, onto a model's input.

        Voxel edges meet voxel edges (torch's `align_corners=False`).

        Parameters
        ----------
        volume
            The scan.
        shape
            Voxels (D, H, W) along (I, P, L).
        patch
            Voxels of one token.
        box
            First and one-past-last index (i, p, l) of the part to take; the whole
            volume by default.
        """
        shape, patch = _triple("shape", shape), _triple("patch", patch)
        low, high = ((0, 0, 0), volume.shape) if box is None else box
        start = np.asarray(low, dtype=np.float64)
        size = np.asarray(high, dtype=np.float64) - start
        if not ((start >= 0) & (size >= 1) & (start + size <= volume.shape)).all():
            raise ValueError(f"box {box} must hold a voxel of the volume's {volume.shape}")
        scale = size / shape
        to_index = np.diag([*scale, 1.0])
        to_index[:3, 3] = start + 0.5 * scale - 0.5
        return cls(shape, patch, volume.affine @ to_index)

    @property
    def tokens(self) -> Triple:
        """Number of tokens along (I, P, L)."""
        d, h, w = (n // p for n, p in zip(self.shape, self.patch, strict=True))
        return d, h, w

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance in mm between box voxels along (I, P, L)."""
        d, h, w = np.sqrt((self.affine[:3, :3] ** 2).sum(axis=0))
        return float(d), float(h), float(w)

    @property
    def token_affine(self) -> NDArray[np.float64]:
        """4x4, token index (td, th, tw) -> RAS mm of the token's centre."""
        to_voxel = np.diag([*(float(p) for p in self.patch), 1.0])
        to_voxel[:3, 3] = (np.asarray(self.patch) - 1) / 2
        result: NDArray[np.float64] = self.affine @ to_voxel
        return result

    def token_centres_ras(self) -> NDArray[np.float64]:
        """Return the centre of every token in RAS mm [n_tokens, 3].

        Tokens are in the order in which a patch embedding flattens them: the last
        axis (L) runs fastest.
        """
        index = np.indices(self.tokens).reshape(3, -1).T
        return apply_affine(self.token_affine, index)

    def ras_to_token(self, ras: ArrayLike) -> Triple | None:
        """Return the token (td, th, tw) that holds a RAS point, None outside the box."""
        voxel = apply_affine(np.linalg.inv(self.affine), ras)
        token = np.floor((voxel + 0.5) / self.patch)
        if not ((token >= 0) & (token < self.tokens)).all():
            return None
        d, h, w = (int(t) for t in token)
        return d, h, w


def _triple(name: str, value: Sequence[int]) -> Triple:
    """Return three positive ints."""
    values = [int(v) for v in value]
    if (
        len(values) != 3
        or min(values) < 1
        or any(v != w for v, w in zip(values, value, strict=True))
    ):
        raise ValueError(f"{name} must be three positive whole numbers, not {tuple(value)}")
    return values[0], values[1], values[2]
