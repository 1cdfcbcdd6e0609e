"""Read mask files as volumes [I, P, L] aligned with their scan."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from nibabel import Nifti1Pair, load
from nibabel.filebasedimages import ImageFileError
from nibabel.orientations import apply_orientation, axcodes2ornt, ornt_transform
from numpy.typing import NDArray

from napari_ct_assistant.training.data.datasets.record import ScanMasks
from napari_ct_assistant.volume import CTReadError, CTVolume, open_ct

_ENDINGS = (".nii.gz", ".nii")


def mask_file(masks: ScanMasks, concept: str, name: str) -> Path | None:
    """Return a structure's file in a folder of masks; None if its absence means an empty mask.

    Raises
    ------
    CTReadError
        If there is no such file and the recipe does not say `missing: empty`.
    """
    if not masks.path.is_dir():
        raise CTReadError(
            masks.path, "not a folder of masks; check data.masks.folder and data.masks.pattern"
        )
    names = [name] if name.endswith(_ENDINGS) else [name + ending for ending in _ENDINGS]
    for choice in names:
        if (masks.path / choice).is_file():
            return masks.path / choice
    if masks.missing == "empty":
        return None
    raise CTReadError(
        masks.path,
        f"has no {names[0]} for {concept!r}; set data.masks.missing=empty if a missing file means "
        "that the scan does not show it",
    )


def read_own(path: Path, scan: CTVolume) -> CTVolume:
    """Read a mask at the position given by its own header; `hu` holds its labels.

    Raises
    ------
    CTReadError
        If it is not a 3D NIfTI file, has no position, or does not overlap the scan.
    """
    header = _open(path)
    if len(_shape(header)) != 3:
        raise CTReadError(
            path,
            f"a mask of shape {header.shape}; expected three axes, or a channel for each finding "
            "with data.masks.index",
        )
    mask = open_ct(path)
    placed = header.header["sform_code"] > 0 or header.header["qform_code"] > 0
    silent = not placed or np.allclose(header.affine, np.eye(4))
    if silent and not np.allclose(mask.affine, scan.affine, atol=1e-3):
        raise CTReadError(
            path,
            "its header has no position; if its voxels are those of the scan's file, set "
            "data.masks.grid=scan",
        )
    corners = np.stack(np.meshgrid(*([-0.5, n - 0.5] for n in mask.shape)), -1).reshape(-1, 3)
    index = scan.ras_to_index(mask.index_to_ras(corners))
    low, high = index.min(axis=0), index.max(axis=0)
    if (high <= -0.5).any() or (low >= np.asarray(scan.shape) - 0.5).any():
        apart = np.linalg.norm(
            mask.index_to_ras((np.asarray(mask.shape) - 1) / 2)
            - scan.index_to_ras((np.asarray(scan.shape) - 1) / 2)
        )
        raise CTReadError(
            path,
            f"does not overlap the scan (centres {apart:.0f} mm apart); check that it belongs to "
            "it, or set data.masks.grid=scan if its voxels are those of the scan's file",
        )
    return mask


def read_scan_grid(path: Path, scan: CTVolume, image: Path) -> CTVolume:
    """Read a 3D mask whose voxels are those of the scan's file; its header is ignored."""
    values = _values(path)
    if values.ndim != 3:
        raise CTReadError(path, f"a mask of shape {values.shape}; expected three axes")
    return _on_scan(path, values, scan, image)


def read_channels(path: Path, channels: Sequence[int], scan: CTVolume, image: Path) -> CTVolume:
    """Read channels of a 4D mask [findings, x, y, z] as one mask, 1 where any of them is.

    Such a file (ReXGroundingCT) has the voxels of the scan's file; its header holds only defaults.
    """
    values = _values(path)
    values = values[None] if values.ndim == 3 else values
    if values.ndim != 4 or max(channels) >= len(values):
        raise CTReadError(
            path,
            f"a mask of shape {values.shape}, findings first, has no channel {max(channels)}; "
            "check that data.masks.index belongs to these masks",
        )
    shown: NDArray[np.bool_] = np.logical_or.reduce([values[channel] > 0 for channel in channels])
    return _on_scan(path, shown, scan, image)


def mask_stamp(masks: ScanMasks) -> str:
    """Return a hash that changes when a mask's files do; "" if there are no files."""
    names: list[Path] = [masks.path]
    if masks.kind == "files":
        named = {str(file) for _, files, _ in masks.parts for file in files}
        ends = ("",) if not named else ("", *_ENDINGS)
        names = [masks.path / f"{name}{end}" for name in sorted(named) for end in ends]
    stats = []
    for file in names:
        try:
            stat = os.stat(file)  # noqa: PTH116  faster, and there are many
        except OSError:
            continue
        stats.append((file.name, stat.st_size, stat.st_mtime_ns))
    return hashlib.sha256(repr(stats).encode()).hexdigest()[:16] if stats else ""


def _open(path: Path) -> Any:
    """Open a NIfTI file without reading its voxels."""
    if path.is_dir():
        raise CTReadError(
            path, "a folder; give its files by name: numbers are labels of a single file"
        )
    try:
        image = load(path)
        if not isinstance(image, Nifti1Pair):  # NIfTI-2 is one too
            raise ValueError
        return image
    except FileNotFoundError:
        raise CTReadError(path, "no such mask; check data.masks, or leave the scan out") from None
    except (OSError, EOFError, ValueError, ImageFileError):
        raise CTReadError(path, "not a readable NIfTI file; copy it again") from None


def _shape(header: Any) -> tuple[int, ...]:
    """Return a file's shape without trailing ones."""
    shape = tuple(header.shape)
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def _values(path: Path) -> NDArray[Any]:
    header = _open(path)
    try:
        return np.asanyarray(header.dataobj).reshape(_shape(header))
    except (OSError, EOFError, ValueError):
        raise CTReadError(path, "cut off or damaged; copy it again") from None


def _on_scan(path: Path, values: NDArray[Any], scan: CTVolume, image: Path) -> CTVolume:
    """Orient stored voxels like the scan's, and give them the scan's position."""
    if not image.name.endswith(_ENDINGS):
        raise CTReadError(path, "data.masks.grid=scan needs a NIfTI scan; use grid: own")
    turn = ornt_transform(axcodes2ornt(tuple(scan.orientation)), axcodes2ornt(("I", "P", "L")))
    values = apply_orientation(values, turn)
    if values.shape != scan.shape:
        raise CTReadError(
            path,
            f"has {values.shape} voxels along (I, P, L), its scan {scan.shape}; check that it "
            "belongs to the scan, or set data.masks.grid=own if its header has its position",
        )
    labels = np.clip(np.rint(values), 0, 32767).astype(np.int16)
    return CTVolume(np.ascontiguousarray(labels), scan.affine)
