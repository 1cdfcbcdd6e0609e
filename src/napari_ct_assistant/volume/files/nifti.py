"""NIfTI-1 and NIfTI-2 files, plain or gzipped, read slice by slice."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from math import prod
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from nibabel import Nifti1Header, Nifti2Header
from nibabel.spatialimages import HeaderDataError

from napari_ct_assistant.support.atomic import replacing
from napari_ct_assistant.support.translation import said
from napari_ct_assistant.volume.ct_volume import CTVolume
from napari_ct_assistant.volume.errors import CTReadError
from napari_ct_assistant.volume.files.nifti_affine import nifti_affine
from napari_ct_assistant.volume.geometry import (
    IPLReorder,
    axis_codes,
    shear_degrees,
)
from napari_ct_assistant.volume.hounsfield import to_hu
from napari_ct_assistant.volume.hu_check import HuCheck
from napari_ct_assistant.volume.limits import check_memory, check_ratio
from napari_ct_assistant.volume.replaced import ReplacedVoxels

Progress = Callable[[int, int], None]

_GZIP_MAGIC = b"\x1f\x8b"
# Deflate cannot do better than 1032:1, so a header that claims more is damaged.
_MAX_DEFLATE = 1032


def count_slices(path: Path) -> int | None:
    """Return how many slices a NIfTI file claims, None if it is not NIfTI.

    Only the header is read; the file may be gzipped whatever its name.
    """
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == _GZIP_MAGIC
            file.seek(0)
            if zipped:
                with gzip.open(file) as unzipped:
                    start = unzipped.read(348)
            else:
                start = file.read(348)
    except (OSError, EOFError, zlib.error):
        return None
    kind = _header_kind(start)
    if kind is None:
        return None
    # dim[3], in NIfTI-1 and NIfTI-2.
    at, dtype = (46, "i2") if kind[0] is Nifti1Header else (40, "i8")
    return max(0, int(np.frombuffer(start, kind[1] + dtype, 1, at)[0]))


def open_nifti(path: Path, progress: Progress | None = None) -> CTVolume:
    """Read a NIfTI file as CT.

    The affine is the sform if its code is above 0, else the qform, else the voxel sizes alone,
    which do not tell left from right, so a warning says so. An sform and a qform that name
    different axes are refused, unless the sform is an obvious placeholder. `scl_slope` and
    `scl_inter` are applied once. Of a 4D file the first volume is opened.

    Parameters
    ----------
    path
        The file.
    progress
        Called with (slices done, slices in all) after each slice.

    Raises
    ------
    CTReadError
        If the file is not a NIfTI volume, is cut off, or its header is impossible.
    """
    try:
        size = path.stat().st_size
        with ExitStack() as stack:
            stored = file = cast("IO[bytes]", stack.enter_context(path.open("rb")))
            before = os.fstat(stored.fileno()).st_mtime_ns
            zipped = file.read(2) == _GZIP_MAGIC
            file.seek(0)
            if zipped:
                file = cast("IO[bytes]", stack.enter_context(gzip.open(file)))
            volume = _read(path, file, size, zipped, progress)
            if os.fstat(stored.fileno()).st_mtime_ns != before:
                raise CTReadError(path, said("changed while it was being read; open it again"))
            return volume
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise CTReadError(
            path, said("the gzip data is damaged or cut off; copy it again")
        ) from error
    except OSError as error:
        raise CTReadError(
            path, said("cannot be read ({value})", value=error.strerror or error)
        ) from error


def _header_kind(start: bytes) -> tuple[type[Nifti1Header], str] | None:
    """Return the header class and the byte order of a file's first 348 bytes."""
    if len(start) < 348:
        return None
    for order in "<>":
        length = int(np.frombuffer(start, f"{order}i4", 1)[0])
        if length == 348 and start[344:347] in (b"n+1", b"ni1"):
            return Nifti1Header, order
        if length == 540 and start[4:7] in (b"n+2", b"ni2"):
            return Nifti2Header, order
    return None


def _read(
    path: Path, file: IO[bytes], size: int, zipped: bool, progress: Progress | None
) -> CTVolume:
    """Read a volume from an open, unzipped stream of a file of `size` bytes."""
    start = file.read(348)
    kind = _header_kind(start)
    if kind is None:
        raise CTReadError(
            path, said("not a NIfTI file; give a NIfTI file or a folder of DICOM slices")
        )
    header_class, order = kind
    if header_class is Nifti2Header:
        start += file.read(540 - 348)
    if len(start) != header_class.template_dtype.itemsize:
        raise CTReadError(path, said("cut off within its header; copy it again"))
    if start[344:347] == b"ni1" or start[4:7] == b"ni2":
        raise CTReadError(
            path, said("a NIfTI header without voxels; convert the pair to one .nii file")
        )
    header = header_class(start, endianness=order, check=False)
    warnings: list[str] = []
    shape = _shape(path, header, warnings)
    dtype = _dtype(path, header)
    slope, intercept = _scaling(path, header, warnings)
    offset = float(header["vox_offset"])
    needed = shape[0] * shape[1] * shape[2] * dtype.itemsize
    if not (len(start) <= offset < 2**40):
        raise CTReadError(
            path,
            said("vox_offset {offset} lies outside the file; copy it again", offset=f"{offset:g}"),
        )
    if offset + needed > (size * _MAX_DEFLATE if zipped else size):
        raise CTReadError(
            path,
            said(
                "cut off: {shape} voxels of {name} need {needed} bytes; copy it again",
                shape=shape,
                name=dtype.name,
                needed=needed,
            ),
        )
    if zipped:
        check_ratio(path, int(offset) + max(needed, 2 * prod(shape)), size)
    # One slice as it is stored, and as 64-bit numbers while it is scaled.
    check_memory(path, shape, beside=shape[0] * shape[1] * (dtype.itemsize + 8))
    affine = nifti_affine(path, header, warnings)
    turn = IPLReorder(affine, shape)
    hu = np.empty(turn.shape, dtype=np.int16)
    stored = turn.stored_view(hu)
    _skip(file, int(offset) - len(start))
    doubts = HuCheck(shape[2])
    replaced = ReplacedVoxels(turn, axis=2)
    buffer = bytearray(shape[0] * shape[1] * dtype.itemsize)
    for k in range(shape[2]):
        _fill(path, file, buffer)
        # NIfTI's first axis runs fastest.
        plane = np.frombuffer(buffer, dtype=dtype).reshape(shape[1], shape[0]).T
        if dtype.kind == "f":
            doubts.not_numbers += plane.size - int(np.isfinite(plane).sum())
        limits = to_hu(plane, slope, intercept, stored[:, :, k], *replaced.notes(k))
        doubts.add(k, stored[None, :, :, k], limits)
        if progress is not None:
            progress(k + 1, shape[2])
    warnings += doubts.warnings(f"stored {dtype.name}, slope {slope:g}, intercept {intercept:g}")
    return CTVolume(hu, turn.affine, "", tuple(warnings), axis_codes(affine), replaced or None)


def _shape(path: Path, header: Nifti1Header, warnings: list[str]) -> tuple[int, int, int]:
    """Return the three spatial sizes; the rule for 4D is the first volume."""
    dims = [int(n) for n in header["dim"]]
    if not 1 <= dims[0] <= 7:
        raise CTReadError(
            path, said("header claims {dims} dimensions; copy or convert it again", dims=dims[0])
        )
    sizes = dims[1 : dims[0] + 1]
    if min(sizes) < 1 or max(sizes) > 2**20:
        raise CTReadError(
            path, said("header claims the shape {sizes}; copy or convert it again", sizes=sizes)
        )
    if sum(n > 1 for n in sizes[:3]) < 3:
        raise CTReadError(
            path, said("a 2D image (shape {sizes}); a CT volume needs several slices", sizes=sizes)
        )
    more = int(np.prod(sizes[3:], dtype=object))
    if more > 1:
        warnings.append(f"the file holds {more} volumes (shape {sizes}); the first was opened")
    return sizes[0], sizes[1], sizes[2]


def _dtype(path: Path, header: Nifti1Header) -> np.dtype[Any]:
    """Return the stored type with its byte order."""
    try:
        dtype: np.dtype[Any] = header.get_data_dtype()
    except (HeaderDataError, KeyError):
        code = int(header["datatype"])
        raise CTReadError(
            path, said("unknown NIfTI datatype {code}; convert it again", code=code)
        ) from None
    if dtype.kind not in "iuf":
        raise CTReadError(
            path, said("stores {dtype} voxels (colour or complex), not CT values", dtype=dtype)
        )
    return dtype


def _scaling(path: Path, header: Nifti1Header, warnings: list[str]) -> tuple[float, float]:
    """Return scl_slope and scl_inter; a slope of 0 means none (NIfTI standard)."""
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or not np.isfinite(slope):
        return 1.0, 0.0
    if not np.isfinite(intercept):
        warnings.append(f"scl_inter is {intercept}; it was taken as 0")
        intercept = 0.0
    if abs(slope) > 1e9 or abs(intercept) > 1e9:
        raise CTReadError(
            path,
            said(
                "impossible scl_slope {slope} and scl_inter {intercept}; convert it again",
                slope=f"{slope:g}",
                intercept=f"{intercept:g}",
            ),
        )
    return slope, intercept


def _skip(file: IO[bytes], count: int) -> None:
    """Move forward without holding what is passed."""
    while count > 0:
        part = file.read(min(count, 1 << 20))
        if not part:
            return
        count -= len(part)


def _fill(path: Path, file: IO[bytes], buffer: bytearray) -> None:
    """Read exactly one slice."""
    view, done = memoryview(buffer), 0
    while done < len(buffer):
        got = file.readinto(view[done:])  # type: ignore[attr-defined]
        if not got:
            raise CTReadError(path, said("cut off: voxels are missing at the end; copy it again"))
        done += got


def write_nifti(volume: CTVolume, path: str | Path) -> None:
    """Write a volume as int16 NIfTI that `open_ct` reads back exactly.

    The file is NIfTI-1, or NIfTI-2 where the affine does not fit NIfTI-1's 32-bit
    floats. It holds voxels and geometry only.

    Parameters
    ----------
    volume
        The scan.
    path
        Ends in .nii or .nii.gz.

    Raises
    ------
    ValueError
        If `path` ends in neither.
    """
    path = Path(path)
    if not path.name.endswith((".nii", ".nii.gz")):
        raise ValueError(f"{path.name}: the name must end in .nii or .nii.gz")
    # NIfTI's first axis runs fastest: (L, P, I) in NIfTI is (I, P, L) in memory.
    affine = volume.affine[:, [2, 1, 0, 3]]
    exact = np.array_equal(affine, affine.astype(np.float32).astype(np.float64))
    fits = exact and max(volume.shape) < 2**15
    header = Nifti1Header() if fits else Nifti2Header()
    header.set_data_dtype(np.int16)
    header.set_data_shape(volume.shape[::-1])
    header.set_sform(affine, code="scanner")
    header.set_qform(affine, code="scanner" if shear_degrees(affine) < 1e-3 else "unknown")
    header["pixdim"][1:4] = volume.spacing[::-1]
    header.set_xyzt_units("mm")
    header.set_slope_inter(1.0, 0.0)
    header["magic"] = b"n+1" if fits else header["magic"]
    header["vox_offset"] = 352 if fits else 544
    # Whole or not at all: a full disk must not leave a part of a scan.
    with ExitStack() as stack:
        part = stack.enter_context(replacing(path))
        file: IO[bytes] = stack.enter_context(part.open("wb"))
        if path.name.endswith(".gz"):
            # Level 1 is an order faster than 9 and hardly larger; no time stamp, so
            # that the same volume is the same file.
            zipped = gzip.GzipFile("", "wb", compresslevel=1, fileobj=file, mtime=0)
            file = cast("IO[bytes]", stack.enter_context(zipped))
        file.write(header.binaryblock + bytes(4))
        for plane in volume.hu:
            file.write(np.ascontiguousarray(plane, dtype="<i2").data)
