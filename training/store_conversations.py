"""What can be asked about a store's scans, with cached encoder tokens or as text alone."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from napari_ct_assistant.training.conversation import Turn
from napari_ct_assistant.training.recipe import Conversation
from napari_ct_assistant.training.token_cache import TokenCache
from napari_ct_assistant.training.volume_store import VolumeStore


class StoreConversations:
    """Questions and reports of a store's scans.

    Parameters
    ----------
    store : VolumeStore
    settings : Conversation
    cache : TokenCache, optional
        The encoder's tokens; without it the samples are text alone.
    """

    def __init__(self, store: VolumeStore, settings: Conversation, cache: TokenCache | None = None):
        self.store = store
        self.settings = settings
        self.cache = cache

    def __len__(self) -> int:
        return len(self.store)

    def turns(self, index: int, rng: np.random.Generator) -> list[Turn]:
        """Draw the turns of one training sample."""
        return self.store.turns(index, self.settings, rng)

    def inputs(self, index: int) -> dict[str, Tensor]:
        """`vision_tokens` [N, C], or nothing."""
        return {} if self.cache is None else {"vision_tokens": self.cache[index]}
