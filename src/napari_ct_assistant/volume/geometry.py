"""Affines and axis codes: from an array index to a point in the patient.

Every affine maps an array index to RAS millimetres (x grows to the patient's
right, y to the front, z to the head). DICOM uses LPS; `LPS_TO_RAS` converts it. nibabel is imported
when it is used, because that takes a tenth of a second.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

Affine = NDArray[np.float64]

LPS_TO_RAS: Affine = np.diag([-1.0, -1.0, 1.0, 1.0])
AXES = "IPL"
Scalar = TypeVar("Scalar", bound=np.generic)


def apply_affine(affine: NDArray[np.floating], points: ArrayLike) -> NDArray[np.float64]:
    """Map points [..., 3] through a 4x4 affine, giving [..., 3]."""
    p = np.asarray(points, dtype=np.float64)
    result: NDArray[np.float64] = p @ affine[:3, :3].T + affine[:3, 3]
    return result


def axis_codes(affine: Affine) -> str:
    """Return the direction of each array axis, e.g. "LPS" for an ordinary axial CT."""
    from nibabel.orientations import aff2axcodes

    return "".join(str(code) for code in aff2axcodes(affine))


def voxel_spacing(affine: Affine) -> tuple[float, float, float]:
    """Return the distance in mm between neighbours along each array axis."""
    a, b, c = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    return float(a), float(b), float(c)


def shear_degrees(affine: Affine) -> float:
    """Return by how many degrees the array axes deviate from perpendicular."""
    unit = affine[:3, :3] / np.asarray(voxel_spacing(affine))
    cosines = np.abs(np.triu(unit.T @ unit, 1)).max()
    return float(np.degrees(np.arcsin(min(1.0, cosines))))


def is_usable(affine: Affine) -> bool:
    """Return whether an affine is finite, plausible and not flat.

    Voxels must measure between a micrometre and a metre and lie within ten kilometres of the
    origin; anything else is a damaged header.
    """
    if not np.isfinite(affine).all() or np.abs(affine).max() > 1e7:
        return False
    spacing = np.asarray(voxel_spacing(affine))
    if spacing.min() < 1e-3 or spacing.max() > 1e3:
        return False
    unit = affine[:3, :3] / spacing
    return bool(abs(np.linalg.det(unit)) > 1e-2)


class IPLReorder:
    """The transpose and flips that bring an array to axes (I, P, L), without resampling.

    Index 0 then grows towards the patient's feet (Inferior), index 1 towards the
    back (Posterior) and index 2 towards the patient's Left, each to the nearest
    axis: an oblique scan keeps its oblique affine.

    Parameters
    ----------
    affine
        4x4, index of the array as stored -> RAS mm.
    shape
        Shape of the array as stored, the three axes in the affine's order.
    """

    def __init__(self, affine: Affine, shape: tuple[int, int, int]) -> None:
        from nibabel.orientations import (
            axcodes2ornt,
            inv_ornt_aff,
            io_orientation,
            ornt_transform,
        )

        ornt = ornt_transform(io_orientation(affine), axcodes2ornt(AXES))
        self._target = [int(axis) for axis in ornt[:, 0]]
        self._flip = [bool(sign < 0) for sign in ornt[:, 1]]
        self.affine: Affine = np.asarray(affine @ inv_ornt_aff(ornt, shape), dtype=np.float64)
        out = [0, 0, 0]
        for axis, target in enumerate(self._target):
            out[target] = shape[axis]
        self.shape = (out[0], out[1], out[2])

    def stored_axis(self, axis: int) -> tuple[int, bool]:
        """Return which axis of (I, P, L) an axis of the file becomes, and whether it is flipped."""
        return self._target[axis], self._flip[axis]

    def stored_view(self, ipl: NDArray[Scalar]) -> NDArray[Scalar]:
        """Return a view of an (I, P, L) array with the axes of the file.

        Slices are written through this view, so the volume is never copied to reorder it.
        """
        view = ipl.transpose(self._target)
        return view[tuple(slice(None, None, -1 if f else 1) for f in self._flip)]
