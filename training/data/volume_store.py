"""Training volumes on disk, prepared once for the model's input and read by index.

A volume is one lossless blosc2 file, about 6 MB at E3D-GPT's 224x224x112; a crop is read in
milliseconds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

import blosc2
import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.report_text.questions import FINDINGS_THEN_IMPRESSION, REPORT_QUESTION
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.recipe import ConversationSettings
from napari_ct_assistant.training.data.patch_concepts import FINDING_CONCEPTS, Concept
from napari_ct_assistant.training.sequences.turns import Turn


class VolumeStore(ABC):
    """Volumes with their questions, reports and patch labels.

    Parameters
    ----------
    folder : Path
        Folder of the prepared volumes.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        # Read in place of volumes that are not prepared, by a check that prepares none.
        self.stand_in: NDArray[np.int16] | None = None

    @abstractmethod
    def __len__(self) -> int: ...

    def hold_out(self, share: float | None) -> None:
        """Hold out a share of the patients for the validation loss; None for the default share.

        Their scans become the store's last ones (`validation`).

        Raises
        ------
        RecipeError
            If there are too few patients to hold out one.
        """
        if share:
            raise RecipeError("validation.share: these volumes have no patients to hold out")

    @property
    def validation(self) -> range:
        """The volumes that are held out for the validation loss, the last ones."""
        return range(len(self), len(self))

    @property
    def training(self) -> range:
        """The volumes that are trained on."""
        return range(self.validation.start)

    def patients(self, volumes: range) -> int:
        """Return how many patients some volumes are of."""
        return len(volumes)

    def dataset(self, index: int) -> str:  # noqa: ARG002
        """Return the name of the data set that a volume is from."""
        return "phantoms"

    @property
    def warnings(self) -> dict[str, str]:
        """What reading the scans warned about: {warning: a scan, and how many}."""
        return {}

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels (D, H, W) of a volume."""
        return self.volume(0).shape

    @property
    @abstractmethod
    def key(self) -> str:
        """Identifies the store's volumes, for caches made from them."""

    @abstractmethod
    def volume_file(self, index: int) -> Path:
        """Return the file of a prepared volume."""

    def is_prepared(self, index: int) -> bool:
        """Return whether a volume can be read."""
        return self.volume_file(index).exists()

    def stored_bytes(self, index: int) -> int:
        """Return the bytes of a prepared volume."""
        return self.volume_file(index).stat().st_size

    @abstractmethod
    def fill(self, workers: int | None = None) -> Iterator[int]:
        """Prepare missing volumes; yields the number that are there after each one."""

    @abstractmethod
    def turns(
        self, index: int, settings: ConversationSettings, rng: np.random.Generator
    ) -> list[Turn]:
        """Draw the questions and answers of one training sample."""

    def pairs(self, index: int, settings: ConversationSettings) -> list[Turn] | None:  # noqa: ARG002
        """Return every question about a scan with its answer, always in the same order.

        None if the questions are drawn anew for each sample (see `turns`).
        """
        return None

    def report_questions(self, settings: ConversationSettings) -> dict[str, str]:
        """Return {section: question} of the reports that training asks for; {} for none."""
        if not settings.report:
            return {}
        return dict(
            FINDINGS_THEN_IMPRESSION if settings.impressions else {"report": REPORT_QUESTION}
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """Lines about what was read in a way that the user may not expect."""
        return ()

    @property
    def skipped(self) -> str:
        """A line about the scans that were left out; "" if none were."""
        return ""

    def name(self, index: int) -> str:
        """Return a volume's name for error messages."""
        return f"volume {index + 1} of {len(self)}"

    def tags(self, index: int) -> list[str]:  # noqa: ARG002
        """Return the names of what a scan shows, for training without its image."""
        return []

    @property
    def concepts(self) -> tuple[Concept, ...]:
        """The channels of `patch_labels`, findings first."""
        return FINDING_CONCEPTS

    @property
    def annotated(self) -> NDArray[np.bool_]:
        """Whether a label of 0 means absent, for each concept; if not, it is not learned."""
        return np.ones(len(self.concepts), bool)

    @property
    def concept_pairs(self) -> tuple[tuple[int, int], ...]:
        """Pairs of concepts, a finding and a place, whose presence in the same patch is learned."""
        return ()

    def patch_labels(self, index: int) -> NDArray[np.uint8]:  # noqa: ARG002
        """Return uint8 [concepts, d, h, w], 1 where a patch shows a concept.

        Raises
        ------
        ValueError
            If the store has no masks.
        """
        raise ValueError(f"{self.folder}: these volumes have no finding masks")

    def volume(self, index: int) -> NDArray[np.int16]:
        """Return a whole volume in HU, int16 [D, H, W]."""
        if self.stand_in is not None and not self.is_prepared(index):
            return self.stand_in
        return np.asarray(self._open(index)[:], dtype=np.int16)

    def crop(
        self, index: int, start: NDArray[np.int64], size: NDArray[np.int64]
    ) -> NDArray[np.int16]:
        """Return a crop in HU, int16, of `size` [3] voxels from `start` [3]."""
        box = tuple(slice(int(a), int(a + n)) for a, n in zip(start, size, strict=True))
        return np.asarray(self._open(index)[box], dtype=np.int16)

    def _open(self, index: int) -> blosc2.NDArray:
        return blosc2.open(str(self.volume_file(index)), mode="r")
