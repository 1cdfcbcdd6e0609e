"""Phantoms as training volumes: rendered once, with their patch labels.

Their texts are drawn from the seed each time, which takes milliseconds.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.phantoms import (
    draw_truth,
    make_phantom,
    make_questions,
    write_excerpt,
    write_report,
)
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.recipe import ConversationSettings
from napari_ct_assistant.training.data.patch_concepts import Concept
from napari_ct_assistant.training.data.phantom_patch_labels import (
    CONCEPT_PAIRS,
    CONCEPTS,
    described,
    detail_maps,
    place_maps,
)
from napari_ct_assistant.training.data.phantom_seeds import WORDING_SEEDS
from napari_ct_assistant.training.data.volume_files import read_labels, write_labels, write_volume
from napari_ct_assistant.training.data.volume_store import VolumeStore
from napari_ct_assistant.training.sequences.turns import Turn, choose_turns
from napari_ct_assistant.training.worker_pool import WorkerPool


class PhantomStore(VolumeStore):
    """`count` phantoms from seed `first_seed` on, at the model's resolution.

    Parameters
    ----------
    folder : Path
    first_seed, count : int
    """

    def __init__(self, folder: Path, first_seed: int, count: int):
        super().__init__(folder)
        self.seeds = range(first_seed, first_seed + count)
        self._places: dict[int, NDArray[np.uint8]] = {}
        self._held_out = 0

    def hold_out(self, share: float | None) -> None:
        """Hold out the last phantoms for the validation loss, at least one; None holds out none."""
        self._held_out = max(1, round(len(self) * share)) if share else 0
        if self._held_out >= len(self):
            raise RecipeError(f"validation.share: {share} of {len(self)} phantom(s) leaves none")

    @property
    def validation(self) -> range:
        """The phantoms that are held out for the validation loss, the last ones."""
        return range(len(self) - self._held_out, len(self))

    def __len__(self) -> int:
        return len(self.seeds)

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels (D, H, W) of a phantom."""
        from napari_ct_assistant.model.presets import demo_vision

        return tuple(demo_vision().image_size)

    @property
    def key(self) -> str:
        """The seeds."""
        return f"phantoms {self.seeds.start}:{self.seeds.stop}"

    def volume_file(self, index: int) -> Path:
        """Return the file of a phantom."""
        return self.folder / f"{self.seeds[index]}.b2nd"

    def fill(self, workers: int | None = None) -> Iterator[int]:
        """Render missing phantoms; yields the number that are there after each one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        missing = [seed for seed in self.seeds if not _labels_file(self.folder, seed).exists()]
        done = len(self) - len(missing)
        if not missing:
            return
        with WorkerPool(workers or os.cpu_count() or 1, Path, self.folder) as pool:
            for _ in pool.map(_render, missing, chunk=4):
                done += 1
                yield done

    @property
    def concepts(self) -> tuple[Concept, ...]:
        """Findings, their degrees and kinds, lobes and sides."""
        return CONCEPTS

    @property
    def concept_pairs(self) -> tuple[tuple[int, int], ...]:
        """Pairs of a finding and a lobe or side that reports name for it."""
        return CONCEPT_PAIRS

    def patch_labels(self, index: int) -> NDArray[np.uint8]:
        """Return uint8 [concepts, d, h, w], 1 where a patch shows a concept."""
        seed = self.seeds[index]
        findings = read_labels(_labels_file(self.folder, seed))
        if seed not in self._places:  # 19 kB each
            self._places[seed] = place_maps(seed)
        return np.concatenate([findings, detail_maps(seed, findings), self._places[seed]])

    def turns(
        self, index: int, settings: ConversationSettings, rng: np.random.Generator
    ) -> list[Turn]:
        """Draw questions, answers and report of a phantom; no volume is rendered.

        Each call draws another wording.
        """
        findings = draw_truth(self.seeds[index]).findings
        drawn = rng.integers(WORDING_SEEDS.start, WORDING_SEEDS.stop, 1 + settings.impressions)
        words, *others = (int(seed) for seed in drawn)
        # Unpacked, one turn is chosen of all, so the impression turns may be the same.
        others = others if settings.packed else others[:1]
        reports = [_report(other, settings, rng) for other in others]
        return choose_turns(
            write_report(words, findings),
            make_questions(words, findings),
            settings,
            rng,
            others=reports if settings.packed else reports * settings.impressions,
        )

    def tags(self, index: int) -> list[str]:
        """Return the names of a phantom's findings, with their degrees, kinds and places."""
        findings = draw_truth(self.seeds[index]).findings
        names = [finding.name.lower() for finding in findings]
        return names + [words for finding in findings for words in described(finding)]


def _report(seed: int, settings: ConversationSettings, rng: np.random.Generator) -> str:
    truth = draw_truth(seed)
    if rng.random() < settings.excerpts:
        return write_excerpt(seed, truth.findings, rng, settings.most_findings)
    return truth.report


def _labels_file(folder: Path, seed: int) -> Path:
    return folder / f"{seed}.npz"


def _render(folder: Path, seed: int) -> None:
    """Render one phantom; the file of labels is written last and marks it as complete."""
    phantom = make_phantom(seed)
    write_volume(folder / f"{seed}.b2nd", phantom.volume.hu)
    write_labels(_labels_file(folder, seed), phantom.patch_labels())
