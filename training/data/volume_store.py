"""Training volumes on disk, prepared once in the model's box and read back by index.

A volume is one lossless blosc2 file: about 6 MB at E3D-GPT's 224x224x112, and a crop of it is
read in milliseconds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

import blosc2
import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.training.config.recipe import ConversationSettings
from napari_ct_assistant.training.data.patch_concepts import FINDING_CONCEPTS, Concept
from napari_ct_assistant.training.sequences.turns import Turn


class VolumeStore(ABC):
    """Volumes with what can be asked about them.

    Parameters
    ----------
    folder : Path
        Where the prepared volumes lie.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    @abstractmethod
    def __len__(self) -> int: ...

    @property
    @abstractmethod
    def key(self) -> str:
        """What tells this store's volumes from another's, for caches made of them."""

    @abstractmethod
    def volume_file(self, index: int) -> Path:
        """Return where a prepared volume lies."""

    @abstractmethod
    def fill(self, workers: int | None = None) -> Iterator[int]:
        """Prepare what is missing; yields the number of volumes that stand after each one."""

    @abstractmethod
    def turns(
        self, index: int, settings: ConversationSettings, rng: np.random.Generator
    ) -> list[Turn]:
        """Draw the questions and answers of one training sample."""

    @property
    def skipped(self) -> str:
        """What was left out, in words; "" for nothing."""
        return ""

    def name(self, index: int) -> str:
        """Name a volume in an error."""
        return f"volume {index + 1} of {len(self)}"

    def tags(self, index: int) -> list[str]:  # noqa: ARG002
        """Return the names of what a scan shows, for a text that stands in for the image."""
        return []

    @property
    def concepts(self) -> tuple[Concept, ...]:
        """What the channels of `patch_labels` are, findings first."""
        return FINDING_CONCEPTS

    @property
    def annotated(self) -> NDArray[np.bool_]:
        """For which of `concepts` a label of 0 means absent: where False, it is not learned."""
        return np.ones(len(self.concepts), bool)

    @property
    def concept_pairs(self) -> tuple[tuple[int, int], ...]:
        """Concepts that are worth knowing to lie in one patch: a finding and where it is."""
        return ()

    def patch_labels(self, index: int) -> NDArray[np.uint8]:  # noqa: ARG002
        """Return uint8 [concepts, d, h, w]: what lies in which patch.

        Raises
        ------
        ValueError
            If the store has no masks.
        """
        raise ValueError(f"{self.folder}: these volumes have no finding masks")

    def volume(self, index: int) -> NDArray[np.int16]:
        """Return HU, int16 [D, H, W], of the whole box."""
        return np.asarray(self._open(index)[:], dtype=np.int16)

    def crop(
        self, index: int, start: NDArray[np.int64], size: NDArray[np.int64]
    ) -> NDArray[np.int16]:
        """Return HU, int16, of a box of `size` [3] voxels from `start` [3]."""
        box = tuple(slice(int(a), int(a + n)) for a, n in zip(start, size, strict=True))
        return np.asarray(self._open(index)[box], dtype=np.int16)

    def _open(self, index: int) -> blosc2.NDArray:
        return blosc2.open(str(self.volume_file(index)), mode="r")
