"""A store without files: noise with a finding in one patch of each volume."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.training.config.recipe import ConversationSettings
from napari_ct_assistant.training.data.volume_store import VolumeStore
from napari_ct_assistant.training.sequences.turns import Turn


class Balls(VolumeStore):
    """Three volumes of 32x64x64 voxels."""

    def __len__(self) -> int:
        return 3

    @property
    def key(self) -> str:
        """What tells it from others."""
        return "balls"

    def volume_file(self, index: int) -> Path:
        """Return where a volume would lie."""
        return self.folder / f"{index}.b2nd"

    def fill(self, workers: int | None = None) -> Iterator[int]:
        """Do nothing: volumes are drawn when they are read."""
        yield len(self)

    def turns(
        self, index: int, settings: ConversationSettings, rng: np.random.Generator
    ) -> list[Turn]:
        """Return no questions."""
        return []

    def volume(self, index: int) -> NDArray[np.int16]:
        """Return noise, int16 [32, 64, 64]."""
        return np.random.default_rng(index).integers(-1000, 1000, (32, 64, 64), dtype=np.int16)

    def patch_labels(self, index: int) -> NDArray[np.uint8]:
        """Return uint8 [18, 4, 4, 4]."""
        labels = np.zeros((18, 4, 4, 4), np.uint8)
        labels[index, 1, 2, index] = 1
        return labels
