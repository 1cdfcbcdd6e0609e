"""Where the voxels of a NIfTI file lie: which of its two transforms holds, and in which unit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from nibabel import Nifti1Header
from nibabel.quaternions import quat2mat

from napari_ct_assistant.support.translation import said
from napari_ct_assistant.volume.errors import CTReadError
from napari_ct_assistant.volume.geometry import (
    Affine,
    axis_codes,
    is_usable,
    shear_degrees,
    voxel_spacing,
)

_UNITS_TO_MM = {1: 1000.0, 3: 0.001}


def _qform(header: Nifti1Header, warnings: list[str]) -> Affine | None:
    """Return the affine of the qform, None if it is impossible.

    Read as the NIfTI standard and nibabel do: voxel sizes are absolute values, pixdim[0] = 0
    means 1, and a quaternion a hair over unit length is normalised.
    """
    sizes = np.abs(np.asarray(header["pixdim"][1:4], dtype=np.float64))
    quaternion = np.array([float(header[f"quatern_{axis}"]) for axis in "bcd"])
    offset = np.array([float(header[f"qoffset_{axis}"]) for axis in "xyz"])
    length = float(np.sqrt((quaternion**2).sum()))
    if not np.isfinite(length) or length > 1.01 or not np.isfinite(offset).all():
        return None
    if length > 1.0:
        quaternion /= length
        length = 1.0
    b, c, d = quaternion
    rotation = quat2mat([np.sqrt(max(0.0, 1.0 - length**2)), b, c, d])
    sign = float(header["pixdim"][0])
    if sign not in (-1.0, 0.0, 1.0):
        if sign < 0 or not np.isfinite(sign):
            # The standard reads -1, nibabel 1: the two are mirror images.
            return None
        warnings.append(f"pixdim[0] is {sign:g}, which is not allowed; it was taken as 1")
    affine = np.eye(4)
    affine[:3, :3] = rotation * sizes * (1.0, 1.0, -1.0 if sign < 0 else 1.0)
    affine[:3, 3] = offset
    return affine


def nifti_affine(path: Path, header: Nifti1Header, warnings: list[str]) -> Affine:
    """Return index -> RAS mm from sform, else qform, else the voxel sizes."""
    candidates: list[tuple[str, Affine]] = []
    if header["sform_code"] > 0:
        candidates.append(("sform", np.asarray(header.get_sform(), dtype=np.float64)))
    if header["qform_code"] > 0:
        qform = _qform(header, warnings)
        if qform is None:
            warnings.append("the qform is impossible and was ignored")
        else:
            candidates.append(("qform", qform))
    if not candidates and float(header["pixdim"][0]) < 0 and header["qform_code"] > 0:
        raise CTReadError(
            path,
            said(
                "pixdim[0] is {value}: left and right cannot be told; set it to 1 or -1, or "
                "convert the scan again",
                value=f"{float(header['pixdim'][0]):g}",
            ),
        )
    unit = _UNITS_TO_MM.get(int(header["xyzt_units"]) & 7, 1.0)
    if unit != 1.0:
        warnings.append(f"sizes are stored in units of {unit:g} mm; they were converted to mm")
        for _, affine in candidates:
            affine[:3] *= unit
    usable = [(name, affine) for name, affine in candidates if is_usable(affine)]
    for name, _ in candidates:
        if name not in [n for n, _ in usable]:
            warnings.append(f"the {name} is impossible and was ignored")
    if len(usable) == 2 and _is_placeholder(usable[0][1], usable[1][1]):
        voxels = " x ".join(f"{mm:.3g}" for mm in voxel_spacing(usable[0][1]))
        warnings.append(
            f"the sform is implausible: its voxels of {voxels} mm are not those of the header; the "
            "qform was used"
        )
        usable = usable[1:]
    if len(usable) == 2:
        moved = np.abs(usable[0][1] - usable[1][1]).max()
        if axis_codes(usable[0][1]) != axis_codes(usable[1][1]):
            codes = " and ".join(f"{name} {axis_codes(a)}" for name, a in usable)
            raise CTReadError(
                path,
                said(
                    "its two orientations contradict each other ({codes}), so left and right "
                    "cannot be told; convert the scan again or set the code of the wrong one "
                    "to 0",
                    codes=codes,
                ),
            )
        if moved > 0.1:
            warnings.append(f"sform and qform differ by {moved:.3g} mm; the sform was used")
    if usable:
        affine = usable[0][1]
    else:
        header["pixdim"][1:4] = np.abs(header["pixdim"][1:4])
        affine = np.asarray(header.get_base_affine(), dtype=np.float64)
        affine[:3] *= unit
        if not is_usable(affine):
            sizes = [float(v) for v in header["pixdim"][1:4]]
            raise CTReadError(
                path, said("impossible voxel sizes {sizes}; convert it again", sizes=sizes)
            )
        warnings.append(
            "no sform or qform: the orientation is unknown, LAS was assumed (left may be right)"
        )
    note_shear(affine, warnings)
    return affine


def _is_placeholder(sform: Affine, qform: Affine) -> bool:
    """Return whether an sform has other voxel sizes than the header, which the qform states.

    Scripts have left an identity matrix there. An sform that only scales the scan, as a
    registration does, is kept.
    """
    sizes, stated = np.asarray(voxel_spacing(sform)), np.asarray(voxel_spacing(qform))
    differs = bool(np.abs(sizes / stated - 1).max() > 0.1)
    unit = bool(np.abs(sizes - 1).max() < 1e-6)
    return differs and (unit or axis_codes(sform) != axis_codes(qform))


def note_shear(affine: Affine, warnings: list[str]) -> None:
    """Warn of axes that are not perpendicular."""
    shear = shear_degrees(affine)
    if shear > 0.1:
        warnings.append(
            f"the axes are {shear:.1f} degrees from perpendicular (gantry tilt?): positions are "
            "exact, but the picture is skewed; open the DICOM series to have it straightened"
        )
