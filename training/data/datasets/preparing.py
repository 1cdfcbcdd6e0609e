"""Prepare one scan: from its file to a volume and patch labels.

Nothing here imports torch, so that processes which prepare scans start fast. Scans are never
mirrored or rotated, here or later, because reports say left and right.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.training.data.datasets.record import ScanRecord, Stored
from napari_ct_assistant.training.data.masks.files import mask_stamp
from napari_ct_assistant.training.data.masks.labels import label_patches
from napari_ct_assistant.training.data.volume_files import (
    HU_RANGE,
    voxel_digest,
    write_labels,
    write_volume,
)
from napari_ct_assistant.volume import (
    AIR,
    CTReadError,
    CTVolume,
    ModelGrid,
    open_ct,
    prepare,
    prepare_minmax,
)


@dataclass(frozen=True)
class Box:
    """The grid that every volume of a store is prepared to.

    size, patch: voxels (D, H, W); spacing: mm (D, H, W), used by preparation "spacing" only.
    """

    size: tuple[int, ...]
    patch: tuple[int, ...]
    preparation: Literal["spacing", "minmax"] = "spacing"
    spacing: tuple[float, ...] = (3.0, 1.5, 1.5)

    def key(self, record: ScanRecord) -> str:
        """Return the key of a prepared volume, 32 hex digits; the data set's path is not in it."""
        spacing = self.spacing if self.preparation == "spacing" else ()
        what = (record.dataset, record.name, record.stored, self.size, self.preparation, spacing)
        return hashlib.sha256(repr(what).encode()).hexdigest()[:32]

    def labels_key(self, record: ScanRecord) -> str:
        """Return the key of a scan's patch labels, 32 hex digits, for the concepts of its masks."""
        masks = record.masks
        told = (masks.kind, masks.parts, masks.grid, masks.missing) if masks else ()
        what = ("labels 1", self.key(record), self.patch, told)
        return hashlib.sha256(repr(what).encode()).hexdigest()[:32]


def read_scan(image: Path, stored: Stored) -> CTVolume:
    """Read a scan in HU; an array from 0 to 1 is scaled to -1000 to 1000.

    Raises
    ------
    CTReadError
        If the file cannot be read; it names the file.
    """
    if stored.values == "unit":
        return _read_array(image)
    if stored.values == "raw":
        return _read_raw(image, stored)
    return open_ct(image)


def place(volume: CTVolume, box: Box, *, unit: bool = False) -> tuple[NDArray[np.int16], ModelGrid]:
    """Resample a scan to the box.

    Returns
    -------
    values : int16 [D, H, W]
        HU; for preparation "minmax", 0 to 1 scaled to -1000 to 1000.
    grid : ModelGrid
        The position of the box in the patient.
    """
    size, patch = box.size, box.patch
    if unit:
        # M3D's script has scaled and cropped it; only the size may differ.
        grid = ModelGrid.stretched(volume, shape=size, patch=patch)
        values = prepare(volume, grid, hu_range=HU_RANGE, out_range=HU_RANGE)
    elif box.preparation == "minmax":
        values, grid = prepare_minmax(volume, shape=size, patch=patch)
        low, high = HU_RANGE
        values = values * np.float32(high - low) + np.float32(low)
    else:
        grid = ModelGrid.centred(volume, shape=size, spacing=box.spacing, patch=patch)
        values = prepare(volume, grid, hu_range=HU_RANGE, out_range=HU_RANGE)
    return np.rint(values).astype(np.int16), grid


@dataclass(frozen=True)
class Wanted:
    """The files to write for a scan; None for those that are there already."""

    volume: Path | None = None
    labels: Path | None = None


@dataclass(frozen=True)
class Prepared:
    """The rows for the manifests of the files that were written."""

    volume: dict[str, Any] | None = None
    labels: dict[str, Any] | None = None


def prepare_record(record: ScanRecord, box: Box, wanted: Wanted) -> Prepared:
    """Prepare one scan, its patch labels, or both; return their rows for the manifests."""
    start = time.monotonic()
    masks = record.masks if wanted.labels is not None else None
    if masks is not None and not masks.path.exists():
        # Before the scan is read: in a large data set few scans may have masks.
        raise CTReadError(masks.path, "no such mask; check data.masks, or leave the scan out")
    stamp = mask_stamp(masks) if masks is not None else ""
    volume = read_scan(record.image, record.stored)
    hu, grid = place(volume, box, unit=record.stored.values == "unit")
    row = labels_row = None
    if masks is not None and wanted.labels is not None:
        labels = label_patches(masks, volume, grid, record.image)
        write_labels(wanted.labels, labels)
        labels_row = {
            "stamp": stamp,
            "bytes": wanted.labels.stat().st_size,
            "patches": labels.sum(axis=(1, 2, 3), dtype=int).tolist(),
        }
    if wanted.volume is not None:
        write_volume(wanted.volume, hu)
        row = {
            "scan": voxel_digest(volume.hu),
            "content": voxel_digest(hu),
            "bytes": wanted.volume.stat().st_size,
            "source": list(source_stamp(record.image)),
            "seconds": round(time.monotonic() - start, 3),
            "warnings": list(volume.warnings),
        }
    return Prepared(row, labels_row)


def attempt(record: ScanRecord, box: Box, wanted: Wanted) -> Prepared | CTReadError:
    """Prepare one scan; the error of a scan that cannot be read is returned, not raised."""
    try:
        return prepare_record(record, box, wanted)
    except CTReadError as error:
        return error


def source_stamp(image: Path) -> tuple[int, int]:
    """Return size in bytes and time of the last change in ns, of a file or a whole folder."""
    files = [p for p in image.rglob("*") if p.is_file()] if image.is_dir() else [image]
    stats = [file.stat() for file in files]
    return sum(s.st_size for s in stats), max((s.st_mtime_ns for s in stats), default=0)


def _read_array(image: Path) -> CTVolume:
    """Read M3D's .npy, [1, D, H, W] or [D, H, W] from 0 to 1, without a change of axes."""
    try:
        # Pickled objects could run code.
        values = np.load(image, allow_pickle=False)
    except FileNotFoundError:
        raise CTReadError(image, "does not exist; check the path") from None
    except (OSError, ValueError, EOFError):
        raise CTReadError(image, "not a readable .npy array; copy it again") from None
    shape = values.shape
    if values.ndim == 4 and shape[0] == 1:
        values = values[0]
    if values.ndim != 3 or values.dtype.kind not in "fiu" or 0 in shape:
        raise CTReadError(
            image, f"an array {values.dtype} {shape}; expected [1, D, H, W] from 0 to 1"
        )
    low, high = float(values.min()), float(values.max())
    if not (low >= -1e-3 and high <= 1 + 1e-3):
        raise CTReadError(image, f"values from {low:g} to {high:g}; expected 0 to 1")
    scaled = np.rint(np.clip(values.astype(np.float32), 0, 1) * 2000 - 1000).astype(np.int16)
    affine = np.array([[0.0, 0, -1, 0], [0, -1, 0, 0], [-1, 0, 0, 0], [0, 0, 0, 1]])
    return CTVolume(scaled, affine, warnings=("no HU, spacing or certain orientation",))


def _read_raw(image: Path, stored: Stored) -> CTVolume:
    """Read the stored numbers of a file whose header is not valid (CT-RATE v1)."""
    from nibabel import load
    from nibabel.filebasedimages import ImageFileError

    try:
        file = load(image)
        raw = np.asanyarray(file.dataobj.get_unscaled())
    except FileNotFoundError:
        raise CTReadError(image, "does not exist; check the path") from None
    except (OSError, EOFError, ValueError, ImageFileError):
        raise CTReadError(image, "not a readable NIfTI file; copy it again") from None
    if raw.ndim != 3 or stored.spacing is None:
        raise CTReadError(
            image, f"an array {raw.shape} with spacing {stored.spacing}; expected three axes"
        )
    hu = np.clip(np.rint(raw.astype(np.float32) * stored.slope + stored.intercept), AIR, 32767)
    # Stored axes run to Left, Posterior, Superior; those of a volume to I, P, L.
    hu = np.ascontiguousarray(hu.astype(np.int16).transpose(2, 1, 0)[::-1])
    x, y, z = stored.spacing
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = -z, -y, -x, 1
    return CTVolume(hu, affine, orientation="LPS")
