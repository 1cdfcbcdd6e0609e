"""A CT scan: Hounsfield units with their position in the patient."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_ct_assistant.support.translation import said
from napari_ct_assistant.volume.dicom.instance_numbers import ArchiveNumber, InstanceNumbers
from napari_ct_assistant.volume.geometry import (
    AXES,
    LPS_TO_RAS,
    apply_affine,
    axis_codes,
    is_usable,
    voxel_spacing,
)
from napari_ct_assistant.volume.replaced import ReplacedVoxels

if TYPE_CHECKING:
    import SimpleITK

AIR = -1024
"""HU of air. Padding, unscanned corners and lower values are set to it."""

FEWEST_SLICES = 5
SHORTEST_MM = 20.0
"""A scan of fewer slices, or shorter than this, is shown but not drafted from unasked."""

HU_MAX = 32767
"""Highest HU that int16 holds; higher values are set to it."""


@dataclass(frozen=True, eq=False, repr=False)
class CTVolume:
    """A CT scan in Hounsfield units, in anatomical axis order.

    It contains no patient name, identifier, date or UID.

    Parameters
    ----------
    hu
        int16 [I, P, L]: index 0 grows towards the feet, index 1 towards the back,
        index 2 towards the patient's left.
    affine
        float64 4x4, index (i, p, l) -> RAS mm, exact, oblique scans included.
    series
        The series description, "" if there is none.
    warnings
        Problems of the acquisition or the file, and what was done about each.
    orientation
        Axis codes of the stored file, e.g. "LPS" for an ordinary axial DICOM series.
    replaced
        The stored HU of padding and of values below -1024; None where there are none.
    body_part
        The body part that the header names, such as "CHEST"; "" if it names none.
    instance_numbers
        Under which numbers the archive files the images; None where the files state none.

    Raises
    ------
    ValueError
        If `hu` is not a non-empty int16 array of three axes, or `affine` does not
        place its axes in the order (I, P, L).
    """

    hu: NDArray[np.int16]
    affine: NDArray[np.float64]
    series: str = ""
    warnings: tuple[str, ...] = ()
    orientation: str = field(default=AXES)
    replaced: ReplacedVoxels | None = None
    body_part: str = ""
    instance_numbers: InstanceNumbers | None = None
    modality: ClassVar[str] = "CT"

    def __post_init__(self) -> None:
        object.__setattr__(self, "affine", np.array(self.affine, dtype=np.float64))
        object.__setattr__(self, "warnings", tuple(self.warnings))
        if self.hu.dtype != np.int16 or self.hu.ndim != 3 or self.hu.size == 0:
            raise ValueError(
                f"hu must be int16 with axes (I, P, L), not {self.hu.dtype} {self.hu.shape}"
            )
        if self.affine.shape != (4, 4) or not is_usable(self.affine):
            raise ValueError(f"affine must map an index to mm, not {self.affine.tolist()}")
        if axis_codes(self.affine) != AXES:
            raise ValueError(f"affine must have axes {AXES}, not {axis_codes(self.affine)}")

    def __repr__(self) -> str:
        spacing = " x ".join(f"{mm:.3g}" for mm in self.spacing)
        return (
            f"CTVolume(shape={self.shape}, spacing={spacing} mm, "
            f"orientation={self.orientation!r}, {len(self.warnings)} warnings)"
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along (I, P, L)."""
        feet, back, left = self.hu.shape
        return feet, back, left

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance in mm between voxel centres along (I, P, L)."""
        return voxel_spacing(self.affine)

    @property
    def too_short(self) -> str:
        """Why the scan is too short to draft a report from, "" if it is not.

        A single slice, a bolus-tracking slice or a cut-off copy is worth looking at, but a
        report of it reads as if the whole chest had been seen.
        """
        # Along the axis of the stored slices, whatever the patient's position.
        axis = {"A": 1, "P": 1, "L": 2, "R": 2}.get(self.orientation[-1:], 0)
        if self.orientation == AXES:
            # Not from a file: slices are the first axis.
            axis = 0
        count, step = self.shape[axis], self.spacing[axis]
        if count >= FEWEST_SLICES and count * step >= SHORTEST_MM:
            return ""
        extent = f"{count * step:.0f}"
        if count == 1:
            return said("the scan has only 1 slice over {extent} mm", extent=extent)
        return said("the scan has only {n} slices over {extent} mm", n=count, extent=extent)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of shape, voxels and affine, in hex; equal for equal scans."""
        digest = hashlib.sha256(np.asarray(self.shape, dtype="<i8").tobytes())
        for plane in self.hu:
            digest.update(np.ascontiguousarray(plane, dtype="<i2").data)
        # Adding 0.0 turns -0.0 into 0.0.
        digest.update((self.affine + 0.0).astype("<f8").tobytes())
        return digest.hexdigest()

    def stored_hu(self) -> NDArray[np.int16] | NDArray[np.float32]:
        """Return the HU that the file stores, below -1024 and in its padding, too.

        `hu` has -1024 there, and whole numbers. The result is float32 if the file stores
        fractions, with NaN where it has no number. Models whose published preparation
        interpolates before it clips need what is stored. Slices that were shifted or blended to
        straighten a tilted or uneven stack keep -1024.
        """
        if self.replaced is None:
            return self.hu
        return self.replaced.stored(self.hu)

    def to_simpleitk(self) -> SimpleITK.Image:
        """Return the scan as a SimpleITK image, which has a copy of the voxels.

        The image has SimpleITK's usual axes (x to the left, y to the back, z to the head) and
        LPS mm. The axes of an oblique or skewed scan go into its direction matrix unchanged.
        SimpleITK comes with the extra `itk`.
        """
        import SimpleITK as sitk  # noqa: N813 - its usual name

        image = sitk.GetImageFromArray(self.hu[::-1])
        lps = LPS_TO_RAS @ self.affine
        # (x, y, z) are our axes (L, P, I) with the last one reversed.
        steps = lps[:3, [2, 1, 0]] * (1, 1, -1)
        spacing = np.linalg.norm(steps, axis=0)
        image.SetSpacing(spacing.tolist())
        image.SetDirection((steps / spacing).ravel().tolist())
        image.SetOrigin((lps @ (self.shape[0] - 1, 0, 0, 1))[:3].tolist())
        return image

    def archive_number(self, index: int | None, axis: int = 0) -> ArchiveNumber:
        """Return the archive's number of the image at an index along an axis.

        Without an index, for an image that was interpolated, and along the axes on which no
        images were stored, there is none.
        """
        if index is None or self.instance_numbers is None:
            return ArchiveNumber()
        return self.instance_numbers.at(axis, index)

    def index_to_ras(self, ijk: ArrayLike) -> NDArray[np.float64]:
        """Map indices (i, p, l) [..., 3] to RAS mm [..., 3]; whole numbers are voxel centres."""
        return apply_affine(self.affine, ijk)

    def ras_to_index(self, ras: ArrayLike) -> NDArray[np.float64]:
        """Map RAS mm [..., 3] to (fractional) indices (i, p, l) [..., 3]."""
        return apply_affine(np.linalg.inv(self.affine), ras)
