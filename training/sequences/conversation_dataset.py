"""Training sequences drawn from scans and what can be asked about them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from napari_ct_assistant.model.processor import VolumeLanguageProcessor
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.recipe import ConversationSettings, TrainingSettings
from napari_ct_assistant.training.data.order import shuffled_index
from napari_ct_assistant.training.sequences.packing import decisive_ids, pack_sequence
from napari_ct_assistant.training.sequences.turns import Turn


class ConversationSource(Protocol):
    """Scans with what can be asked about them; `text_only` sources have no images."""

    text_only: bool

    def __len__(self) -> int: ...

    def turns(self, index: int, rng: np.random.Generator, progress: float) -> list[Turn]:
        """Draw the turns of one training sample; `progress` is the share of samples before it."""
        ...

    def pairs(self, index: int) -> list[Turn] | None:
        """Return every pair of a scan, of which a sample is one; None if turns are drawn."""
        ...

    def tags(self, index: int) -> list[str]:
        """Return the names of what a scan shows, for training without its image."""
        ...

    def name(self, index: int) -> str:
        """Return a scan's name for error messages."""
        ...

    def dataset(self, index: int) -> str:
        """Return the name of the data set that a scan is from."""
        ...

    def detail_words(self) -> frozenset[str]:
        """Return the words, in lower case, for degrees, kinds and places of findings."""
        ...

    def inputs(self, index: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """Return `pixel_values` [1, D, H, W] or `vision_tokens` [N, C]; {} for text alone."""
        ...


class ConversationDataset(Dataset[dict[str, Any]]):
    """Training sequences; what sample k is depends on (seed, k) alone.

    Where the source lists its pairs, sample k is one pair, and each round of samples has every
    pair once. Otherwise each round has every scan once, with turns that are drawn.

    Raises
    ------
    RecipeError
        If the source lists its pairs and there are none.
    """

    def __init__(
        self,
        source: ConversationSource,
        processor: VolumeLanguageProcessor,
        settings: ConversationSettings,
        training: TrainingSettings,
        seed: int,
    ):
        self.source = source
        self.processor = processor
        self.settings = settings
        self.places = _places(source)
        self.items = len(source) if self.places is None else len(self.places)
        self.samples = training.length(self.items)
        self.seed = seed
        self.decisive: frozenset[int] = frozenset()
        if settings.detail_weight != 1:
            self.decisive = decisive_ids(processor, source.detail_words())

    def __len__(self) -> int:
        return self.samples

    def drawn(self, k: int) -> tuple[int, list[Turn], np.random.Generator]:
        """Return the scan of sample k, its turns, and the generator for the rest of it."""
        item = shuffled_index(self.seed, k, self.items)
        rng = np.random.default_rng([self.seed, k, 1])
        if self.places is None:
            index = item
            turns = self.source.turns(index, rng, k / self.samples)
        else:
            index, place = map(int, self.places[item])
            turns = [(self.source.pairs(index) or [])[place]]
        return index, turns, rng

    def __getitem__(self, k: int) -> dict[str, Any]:
        index, turns, rng = self.drawn(k)
        inputs = self.source.inputs(index, rng)
        prefix = self.prefix(index, rng)
        sequence = pack_sequence(prefix, turns, self.processor, self.settings, self.decisive)
        return {**sequence, **inputs, "volume": torch.tensor(index)}

    def prefix(self, index: int, rng: np.random.Generator) -> list[int]:
        """Return the beginning of the prompt: the image tokens, or what a scan shows in words."""
        if self.source.text_only:
            return self._text_prefix(index, rng)
        return self.processor.prefix_ids()

    def name(self, index: int) -> str:
        """Return a scan's name for error messages."""
        return self.source.name(index)

    def _text_prefix(self, index: int, rng: np.random.Generator) -> list[int]:
        """Write what a scan shows where its image would stand."""
        tags = [self.processor.text_ids(f" {tag}") for tag in self.source.tags(index)]
        if self.settings.scatter:
            blank = self.processor.image_token_id
            return scatter_tags(self.processor.prefix_ids(), blank, tags, rng)
        prefix = self.processor.opening_ids()
        for i in rng.permutation(len(tags)):
            prefix += tags[i]
        return prefix


def _places(source: ConversationSource) -> NDArray[np.int32] | None:
    """Return the scan and the place in its list of every pair [N, 2]; None if turns are drawn."""
    counts = []
    for index in range(len(source)):
        pairs = source.pairs(index)
        if pairs is None:
            return None
        counts.append(len(pairs))
    if not sum(counts):
        raise RecipeError(
            "data: no scan has a report or question that the recipe asks for; set "
            "conversation.report, conversation.questions or data.questions"
        )
    scans = np.repeat(np.arange(len(counts)), counts)
    firsts = np.repeat(np.cumsum([0, *counts[:-1]]), counts)
    return np.stack([scans, np.arange(len(scans)) - firsts], axis=1).astype(np.int32)


def scatter_tags(
    prefix: list[int], blank: int, tags: Sequence[list[int]], rng: np.random.Generator
) -> list[int]:
    """Write each tag over one to six places of a prefix's blanks, as an image would show it.

    Returns a prefix of the same length.
    """
    prefix = list(prefix)
    first, count = prefix.index(blank), prefix.count(blank)
    for tag in tags:
        for _ in range(int(rng.integers(1, 7))):
            at = first + int(rng.integers(count - len(tag) + 1))
            prefix[at : at + len(tag)] = tag
    return prefix
