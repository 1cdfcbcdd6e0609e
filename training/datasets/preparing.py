"""One scan from its file to a prepared volume: no torch, so that many processes can do it.

Nothing is ever mirrored, turned or drawn at random here or later: a report that says left must
meet an image whose left is there.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.training.datasets.record import ScanRecord, Stored
from napari_ct_assistant.training.volume_files import HU_RANGE, voxel_digest, write_volume
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
    """What every volume of a store is brought to.

    size, patch: voxels (D, H, W); spacing: mm (D, H, W), for preparation "spacing" alone.
    """

    size: tuple[int, ...]
    patch: tuple[int, ...]
    preparation: Literal["spacing", "minmax"] = "spacing"
    spacing: tuple[float, ...] = (3.0, 1.5, 1.5)

    def key(self, record: ScanRecord) -> str:
        """Return 32 hex digits: this scan in this box, wherever the data set lies."""
        spacing = self.spacing if self.preparation == "spacing" else ()
        what = (record.dataset, record.name, record.stored, self.size, self.preparation, spacing)
        return hashlib.sha256(repr(what).encode()).hexdigest()[:32]


def read_scan(image: Path, stored: Stored) -> CTVolume:
    """Read a scan in HU; the values of an array from 0 to 1 become -1000 to 1000.

    Raises
    ------
    CTReadError
        One line that names the file.
    """
    if stored.values == "unit":
        return _read_array(image)
    if stored.values == "raw":
        return _read_raw(image, stored)
    return open_ct(image)


def place(volume: CTVolume, box: Box, *, unit: bool = False) -> NDArray[np.int16]:
    """Bring a scan into the box: int16 [D, H, W], HU or, for "minmax", 0-1 as -1000 to 1000."""
    size, patch = box.size, box.patch
    if unit:
        # M3D's script scaled and cropped it already; only the size may differ.
        grid = ModelGrid.stretched(volume, shape=size, patch=patch)
        values = prepare(volume, grid, hu_range=HU_RANGE, out_range=HU_RANGE)
    elif box.preparation == "minmax":
        values, _ = prepare_minmax(volume, shape=size, patch=patch)
        low, high = HU_RANGE
        values = values * np.float32(high - low) + np.float32(low)
    else:
        grid = ModelGrid.centred(volume, shape=size, spacing=box.spacing, patch=patch)
        values = prepare(volume, grid, hu_range=HU_RANGE, out_range=HU_RANGE)
    return np.rint(values).astype(np.int16)


def prepare_record(record: ScanRecord, box: Box, file: Path) -> dict[str, Any]:
    """Prepare one scan and return its row of the manifest."""
    start = time.monotonic()
    volume = read_scan(record.image, record.stored)
    hu = place(volume, box, unit=record.stored.values == "unit")
    write_volume(file, hu)
    return {
        "scan": voxel_digest(volume.hu),
        "content": voxel_digest(hu),
        "bytes": file.stat().st_size,
        "source": list(source_stamp(record.image)),
        "seconds": round(time.monotonic() - start, 3),
        "warnings": list(volume.warnings),
    }


def attempt(record: ScanRecord, box: Box, file: Path) -> dict[str, Any] | CTReadError:
    """Prepare one scan; a scan that cannot be read is the answer, not an exception."""
    try:
        return prepare_record(record, box, file)
    except CTReadError as error:
        return error


def source_stamp(image: Path) -> tuple[int, int]:
    """Return size in bytes and time of change (ns) of a file, or of a folder's files together."""
    files = [p for p in image.rglob("*") if p.is_file()] if image.is_dir() else [image]
    stats = [file.stat() for file in files]
    return sum(s.st_size for s in stats), max((s.st_mtime_ns for s in stats), default=0)


def _read_array(image: Path) -> CTVolume:
    """Read M3D's .npy: [1, D, H, W] or [D, H, W] from 0 to 1, axes taken as they are."""
    try:
        # Never pickled objects: those could run code.
        values = np.load(image, allow_pickle=False)
    except FileNotFoundError:
        raise CTReadError(image, "does not exist; check the path") from None
    except (OSError, ValueError, EOFError):
        raise CTReadError(image, "not a readable .npy array; copy it again") from None
    shape = values.shape
    if values.ndim == 4 and shape[0] == 1:
        values = values[0]
    if values.ndim != 3 or values.dtype.kind not in "fiu" or 0 in shape:
        raise CTReadError(image, f"an array {values.dtype} {shape}, not [1, D, H, W] from 0 to 1")
    low, high = float(values.min()), float(values.max())
    if not (low >= -1e-3 and high <= 1 + 1e-3):
        raise CTReadError(image, f"values from {low:g} to {high:g}, not 0 to 1")
    scaled = np.rint(np.clip(values.astype(np.float32), 0, 1) * 2000 - 1000).astype(np.int16)
    affine = np.array([[0.0, 0, -1, 0], [0, -1, 0, 0], [-1, 0, 0, 0], [0, 0, 0, 1]])
    return CTVolume(scaled, affine, warnings=("no HU, spacing or certain orientation",))


def _read_raw(image: Path, stored: Stored) -> CTVolume:
    """Read stored numbers past a header that says nothing of them (CT-RATE v1)."""
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
        raise CTReadError(image, f"an array {raw.shape} with spacing {stored.spacing}")
    hu = np.clip(np.rint(raw.astype(np.float32) * stored.slope + stored.intercept), AIR, 32767)
    # Stored axes run to Left, Posterior, Superior; a volume's run I, P, L.
    hu = np.ascontiguousarray(hu.astype(np.int16).transpose(2, 1, 0)[::-1])
    x, y, z = stored.spacing
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = -z, -y, -x, 1
    return CTVolume(hu, affine)
