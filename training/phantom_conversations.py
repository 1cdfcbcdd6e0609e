"""What can be asked about phantoms, with their cached encoder tokens or as text alone."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from napari_ct_assistant.training.conversation import Turn, choose_turns
from napari_ct_assistant.training.phantoms import draw_truth
from napari_ct_assistant.training.recipe import Conversation
from napari_ct_assistant.training.token_cache import TokenCache


class PhantomConversations:
    """Questions and reports of phantoms, drawn from their seeds.

    Parameters
    ----------
    seeds : range
    settings : Conversation
    cache : TokenCache, optional
        The encoder's tokens; without it the samples are text alone.
    """

    def __init__(self, seeds: range, settings: Conversation, cache: TokenCache | None = None):
        self.seeds = seeds
        self.settings = settings
        self.cache = cache

    def __len__(self) -> int:
        return len(self.seeds)

    def turns(self, index: int, rng: np.random.Generator) -> list[Turn]:
        """Draw the turns of one training sample."""
        truth = draw_truth(self.seeds[index])
        return choose_turns(truth.report, truth.questions, self.settings, rng)

    def inputs(self, index: int) -> dict[str, Tensor]:
        """`vision_tokens` [N, C], or nothing."""
        return {} if self.cache is None else {"vision_tokens": self.cache[index]}
