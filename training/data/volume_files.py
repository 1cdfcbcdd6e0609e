"""Files of prepared volumes (lossless blosc2) and patch labels, written whole or not at all.

Nothing here imports torch, so that processes which prepare volumes start fast.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import blosc2
import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.support import atomic

HU_RANGE = (-1000.0, 1000.0)  # E3D-GPT


def write_volume(file: Path, hu: NDArray[np.int16]) -> None:
    """Write a prepared volume; the file appears when it is complete."""
    blosc2.set_nthreads(1)
    with atomic.replacing(file) as part:
        blosc2.asarray(
            np.ascontiguousarray(hu),
            urlpath=str(part),
            mode="w",
            chunks=tuple(min(n, size) for n, size in zip(hu.shape, (40, 80, 80), strict=True)),
            cparams={"codec": blosc2.Codec.ZSTD, "clevel": 1, "nthreads": 1},
        )


def read_volume(file: Path) -> NDArray[np.int16]:
    """Read a prepared volume, int16 [D, H, W]."""
    return np.asarray(blosc2.open(str(file), mode="r")[:], dtype=np.int16)


def decode_volume(content: bytes) -> NDArray[np.int16]:
    """Return the voxels, int16 [D, H, W], of a prepared volume's file.

    Raises
    ------
    RuntimeError, ValueError
        If it is damaged.
    """
    return np.asarray(blosc2.ndarray_from_cframe(content)[:], dtype=np.int16)


def voxel_digest(hu: NDArray[np.int16]) -> str:
    """Return a digest, 32 hex digits, of voxels [D, H, W] and their shape."""
    digest = hashlib.blake2b(np.asarray(hu.shape, "<i8").tobytes(), digest_size=16)
    for plane in hu:
        digest.update(np.ascontiguousarray(plane, dtype="<i2").data)
    return digest.hexdigest()


def write_labels(file: Path, labels: NDArray[np.uint8]) -> None:
    """Write patch labels (0 or 1) as bits; the file appears when it is complete."""
    with atomic.replacing(file) as part:
        np.savez_compressed(part, bits=np.packbits(labels), shape=labels.shape)


def read_labels(file: Path) -> NDArray[np.uint8]:
    """Read patch labels, uint8 [concepts, d, h, w]."""
    with np.load(file, allow_pickle=False) as stored:
        shape = tuple(stored["shape"])
        return np.unpackbits(stored["bits"], count=int(np.prod(shape))).reshape(shape)
