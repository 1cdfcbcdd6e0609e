"""Data sets for the encoder's stages: volumes and crops of a store, with patch labels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.training.data.order import shuffled_index
from napari_ct_assistant.training.data.volume_files import HU_RANGE
from napari_ct_assistant.training.data.volume_store import VolumeStore


def to_pixel_values(hu: NDArray[np.int16]) -> Tensor:
    """Scale HU, int16 [D, H, W], to pixel values from 0 to 1, float32 [1, D, H, W]."""
    low, high = HU_RANGE
    # In place: temporary arrays of this size cost more than the arithmetic.
    values = hu.astype(np.float32)
    values -= low
    values /= high - low
    return torch.from_numpy(np.clip(values, 0, 1, out=values))[None]


class VolumeDataset(Dataset[dict[str, Tensor]]):
    """Whole volumes of a store, in shuffled rounds.

    What sample k is depends on (seed, k) alone. So a resumed run sees the same samples as an
    uninterrupted one, and several processes together the same as one.

    Parameters
    ----------
    store : VolumeStore
    samples, seed : int
    labels : bool
        Also return `patch_labels` [concepts, d, h, w].
    noise : int
        Also return this many random numbers from 0 to 1, which decide the mask of stage `mae`.
    volumes : range, optional
        The volumes to draw from; by default those that are trained on.
    """

    def __init__(
        self,
        store: VolumeStore,
        samples: int,
        seed: int,
        *,
        labels: bool = False,
        noise: int = 0,
        volumes: range | None = None,
    ):
        self.store = store
        self.samples = samples
        self.seed = seed
        self.volumes = store.training if volumes is None else volumes
        self.items = len(self.volumes)
        self.labels = labels
        self.noise = noise

    def __len__(self) -> int:
        return self.samples

    def __getitem__(self, k: int) -> dict[str, Tensor]:
        index = self.volumes[shuffled_index(self.seed, k, self.items)]
        sample = {
            "pixel_values": to_pixel_values(self.store.volume(index)),
            "volume": torch.tensor(index),
        }
        if self.labels:
            sample["patch_labels"] = torch.from_numpy(self.store.patch_labels(index))
        if self.noise:
            rng = np.random.default_rng([self.seed, k, 2])
            sample["noise"] = torch.from_numpy(rng.random(self.noise, dtype=np.float32))
        return sample

    def name(self, index: int) -> str:
        """Return a volume's name for error messages."""
        return self.store.name(index)


class CropDataset(Dataset[dict[str, Tensor]]):
    """Crops of `crop`^3 patches; more than half of them around a finding, if the volume has one.

    First a finding is drawn and then one of its patches, so that small findings are seen as often
    as large ones.

    Parameters
    ----------
    store : VolumeStore
    samples, seed : int
    patch : (D, H, W)
        Voxels of a patch.
    crop : int
        Patches along each side.
    focus : mapping
        Relative frequency of each finding where several are present; 1 by default.
    volumes : range, optional
        The volumes to draw from; by default those that are trained on.
    """

    def __init__(
        self,
        store: VolumeStore,
        samples: int,
        seed: int,
        patch: tuple[int, ...],
        crop: int,
        focus: Mapping[str, float] | None = None,
        volumes: range | None = None,
    ):
        self.store = store
        self.samples = samples
        self.seed = seed
        self.patch = patch
        self.crop = crop
        self.volumes = store.training if volumes is None else volumes
        self.focus = np.array([(focus or {}).get(name, 1.0) for name in FINDINGS])

    def __len__(self) -> int:
        return self.samples

    def __getitem__(self, k: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([self.seed, k])
        index = self.volumes[int(rng.integers(len(self.volumes)))]
        labels = self.store.patch_labels(index)  # [concepts, d, h, w]
        room = np.array(labels.shape[1:]) - self.crop
        start = rng.integers(0, room + 1)
        findings = labels[: len(FINDINGS)].any(axis=(1, 2, 3))
        if findings.any() and rng.random() < 0.6:
            weight = self.focus * findings
            where = np.argwhere(labels[rng.choice(len(FINDINGS), p=weight / weight.sum())])
            centre = where[rng.integers(len(where))]
            start = np.clip(centre - rng.integers(1, self.crop - 1, 3), 0, room)
        patch = np.array(self.patch)
        box = tuple(slice(int(a), int(a) + self.crop) for a in start)
        hu = self.store.crop(index, start * patch, self.crop * patch)
        return {
            "pixel_values": to_pixel_values(hu),
            "patch_labels": torch.from_numpy(np.ascontiguousarray(labels[(slice(None), *box)])),
            "start": torch.from_numpy(start.astype(np.int64)),
            "volume": torch.tensor(index),
        }

    def name(self, index: int) -> str:
        """Return a volume's name for error messages."""
        return self.store.name(index)
