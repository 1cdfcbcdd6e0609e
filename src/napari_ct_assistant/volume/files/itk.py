"""MetaImage and NRRD volumes (.mha, .mhd, .nrrd, .nhdr), read by SimpleITK."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from napari_ct_assistant.support.translation import said
from napari_ct_assistant.volume.ct_volume import CTVolume
from napari_ct_assistant.volume.errors import CTReadError
from napari_ct_assistant.volume.files.nifti import Progress
from napari_ct_assistant.volume.files.nifti_affine import note_shear
from napari_ct_assistant.volume.geometry import LPS_TO_RAS, IPLReorder, axis_codes, is_usable
from napari_ct_assistant.volume.hounsfield import to_hu
from napari_ct_assistant.volume.hu_check import HuCheck
from napari_ct_assistant.volume.limits import check_memory, check_ratio
from napari_ct_assistant.volume.replaced import ReplacedVoxels

ENDINGS = (".mha", ".mhd", ".nrrd", ".nhdr")
_HEADER = 1 << 14
_DIMENSIONS = re.compile(rb"^\s*NDims\s*[=:]([^\n]*)", re.MULTILINE)
# The voxels are in a file of their own.
_DETACHED = re.compile(
    rb"^(?:ElementDataFile\s*=\s*(?!\s|LOCAL\b)|data ?file:)", re.MULTILINE | re.IGNORECASE
)
# The voxels are neither compressed nor written as text.
_RAW = re.compile(
    rb"^(?:encoding: *raw|BinaryData *= *True\r?\n(?s:.*)^CompressedData *= *False)",
    re.MULTILINE | re.IGNORECASE,
)
_HEADER_END = re.compile(rb"ElementDataFile *= *LOCAL\r?\n|\n\r?\n")
# Bytes of a voxel by SimpleITK's number of its type; of the others, 8.
_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 8: 4}
_SIZES = re.compile(rb"^(?:DimSize\s*=|sizes:)\s*([0-9 \t]+)", re.MULTILINE)


def count_slices(path: Path) -> int | None:
    """Return how many slices a file claims, None if it is not of these formats."""
    start = _start(path)
    if start is None:
        return None
    found = _SIZES.search(start)
    sizes = found[1].split() if found else []
    return int(sizes[2][:9]) if len(sizes) >= 3 else 1


def _start(path: Path) -> bytes | None:
    if not path.name.lower().endswith(ENDINGS):
        return None
    try:
        with path.open("rb") as file:
            start = file.read(_HEADER)
    except OSError:
        return None
    return start if start.startswith(b"NRRD") or _SIZES.search(start) else None


def open_itk(path: Path, progress: Progress | None = None) -> CTVolume:
    """Read a MetaImage or NRRD file as CT; its values are taken as HU.

    Parameters
    ----------
    path
        The file; voxels in a file of their own are found by ITK.
    progress
        Called with (slices done, slices in all) after each slice.

    Raises
    ------
    CTReadError
        If SimpleITK is not installed, or the file is no readable CT volume.
    """
    kind = "NRRD" if path.name.lower().endswith((".nrrd", ".nhdr")) else "MetaImage"
    start = _start(path)
    if start is not None and re.search(rb"^Segment\d+_ID:?=", start, re.MULTILINE):
        raise CTReadError(
            path, said("a NRRD segmentation, not a scan; give the scan it was drawn on")
        )
    for dimensions in _DIMENSIONS.findall(start or b""):
        # ITK 5.4 writes beyond its memory for more than ten.
        if dimensions.strip() not in (b"2", b"3", b"4", b"5"):
            shown = dimensions.strip().decode("ascii", "replace")[:20]
            raise CTReadError(
                path,
                said("NDims is {shown}, expected 3; copy or convert it again", shown=repr(shown)),
            )
    try:
        import SimpleITK as sitk  # noqa: N813 - its usual name
    except ImportError as error:
        raise CTReadError(
            path,
            said(
                "a {kind} file needs SimpleITK: pip install 'napari-ct-assistant[itk]'", kind=kind
            ),
        ) from error
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    # ITK goes by endings in lower case.
    reader.SetImageIO("NrrdImageIO" if kind == "NRRD" else "MetaImageIO")
    warnings: list[str] = []
    try:
        reader.ReadImageInformation()
        size = list(reader.GetSize())
        if len(size) < 3 or sum(n > 1 for n in size[:3]) < 3:
            raise CTReadError(
                path, said("a 2D image (size {size}); a CT volume needs several slices", size=size)
            )
        if reader.GetNumberOfComponents() != 1:
            raise CTReadError(path, said("a colour or vector image, not CT values; give the scan"))
        if len(size) > 3:
            more = int(np.prod(size[3:]))
            warnings.append(f"the file holds {more} volumes (size {size}); the first was opened")
            reader.SetExtractSize([*size[:3], *[0] * (len(size) - 3)])
        _check_claims(path, size, reader.GetPixelIDValue(), start or b"")
        image = reader.Execute()
    except OSError as error:
        raise CTReadError(
            path, said("cannot be read ({value})", value=error.strerror or error)
        ) from error
    except RuntimeError as error:
        raise CTReadError(
            path,
            said(
                "the {kind} file is damaged or its voxels are missing; copy or convert it again",
                kind=kind,
            ),
        ) from error
    return _volume(path, sitk, image, warnings, progress)


def _check_claims(path: Path, size: Sequence[int], kind: int, start: bytes) -> None:
    """Compare what a header claims with its file and the free memory."""
    voxels = prod(int(n) for n in size)
    stored = voxels * _BYTES.get(kind, 8)
    if not _DETACHED.search(start):
        packed = path.stat().st_size
        end = _HEADER_END.search(start)
        if end is not None and _RAW.search(start) and stored > packed - end.end():
            # ITK would print to the terminal, too.
            raise CTReadError(
                path,
                said(
                    "cut off: {list} voxels need {stored} bytes; copy it again",
                    list=list(size),
                    stored=stored,
                ),
            )
        check_ratio(path, max(stored, 2 * voxels), packed)
    # ITK holds the file's voxels while HU are made of them.
    check_memory(path, size[:3], beside=stored)


def _volume(
    path: Path, sitk: Any, image: Any, warnings: list[str], progress: Progress | None
) -> CTVolume:
    lps = np.eye(4)
    lps[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    lps[:3, 3] = image.GetOrigin()
    affine = LPS_TO_RAS @ lps
    if not is_usable(affine):
        raise CTReadError(
            path,
            said(
                "impossible voxel sizes {sizes}; convert it again",
                sizes=image.GetSpacing(),
            ),
        )
    note_shear(affine, warnings)
    # ITK's (x, y, z) are the array's axes from last to first.
    stored = sitk.GetArrayViewFromImage(image)
    turn = IPLReorder(affine[:, [2, 1, 0, 3]], stored.shape)
    hu = np.empty(turn.shape, dtype=np.int16)
    target = turn.stored_view(hu)
    check = HuCheck(len(stored))
    replaced = ReplacedVoxels(turn, axis=0)
    for k, plane in enumerate(stored):
        if plane.dtype.kind == "f":
            check.not_numbers += plane.size - int(np.isfinite(plane).sum())
        flat = np.ascontiguousarray(plane)
        limits = to_hu(flat, 1.0, 0.0, target[k], *replaced.notes(k))
        check.add(k, target[k : k + 1], limits)
        if progress is not None:
            progress(k + 1, len(stored))
    warnings += check.warnings(f"stored {stored.dtype.name}, no rescale")
    return CTVolume(hu, turn.affine, "", tuple(warnings), axis_codes(affine), replaced or None)
