"""Phantoms rendered once: volumes and patch labels on disk, read back by index.

A volume is one blosc2 file (lossless), which reads a crop in milliseconds; texts are drawn
from the seed again, which costs nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import blosc2
import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.training.phantoms import Truth, draw_truth, make_phantom


class PhantomStore:
    """`count` phantoms from `first_seed` on, at model resolution.

    Parameters
    ----------
    folder : Path
    first_seed, count : int
    """

    def __init__(self, folder: Path, first_seed: int, count: int):
        self.folder = folder
        self.seeds = range(first_seed, first_seed + count)

    def __len__(self) -> int:
        return len(self.seeds)

    def fill(self, workers: int | None = None) -> Iterator[int]:
        """Render what is missing; yields the number of phantoms that stand after each one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        missing = [seed for seed in self.seeds if not _labels_file(self.folder, seed).exists()]
        done = len(self) - len(missing)
        if not missing:
            return
        # Spawned, not forked: the parent may hold torch's threads.
        with ProcessPoolExecutor(
            workers or os.cpu_count() or 1, mp_context=get_context("spawn")
        ) as pool:
            for _ in pool.map(_render, [self.folder] * len(missing), missing, chunksize=4):
                done += 1
                yield done

    def volume(self, index: int) -> NDArray[np.int16]:
        """Return HU, int16 [D, H, W], of the whole volume."""
        return np.asarray(self._open(index)[:], dtype=np.int16)

    def crop(
        self, index: int, start: NDArray[np.int64], size: NDArray[np.int64]
    ) -> NDArray[np.int16]:
        """Return HU, int16, of a box of `size` [3] voxels from `start` [3]."""
        box = tuple(slice(int(a), int(a + n)) for a, n in zip(start, size, strict=True))
        return np.asarray(self._open(index)[box], dtype=np.int16)

    def patch_labels(self, index: int) -> NDArray[np.uint8]:
        """Return uint8 [18, d, h, w]: which finding lies in which patch."""
        labels = np.load(_labels_file(self.folder, self.seeds[index]), allow_pickle=False)
        return np.unpackbits(labels["bits"]).reshape(labels["shape"])

    def truth(self, index: int) -> Truth:
        """Return labels, report and questions."""
        return draw_truth(self.seeds[index])

    def _open(self, index: int) -> blosc2.NDArray:
        return blosc2.open(str(_volume_file(self.folder, self.seeds[index])), mode="r")


def _volume_file(folder: Path, seed: int) -> Path:
    return folder / f"{seed}.b2nd"


def _labels_file(folder: Path, seed: int) -> Path:
    return folder / f"{seed}.npz"


def _render(folder: Path, seed: int) -> None:
    """Render one phantom; the labels file is written last and marks it complete."""
    blosc2.set_nthreads(1)
    phantom = make_phantom(seed)
    target = _volume_file(folder, seed)
    target.unlink(missing_ok=True)
    blosc2.asarray(
        np.ascontiguousarray(phantom.volume.hu),
        urlpath=str(target),
        mode="w",
        chunks=(40, 80, 80),
        cparams={"codec": blosc2.Codec.ZSTD, "clevel": 1, "nthreads": 1},
    )
    labels = phantom.patch_labels()
    partial = folder / f"{seed}.part.npz"
    np.savez(partial, bits=np.packbits(labels), shape=labels.shape)
    partial.replace(_labels_file(folder, seed))
