"""Questions and reports of a store's scans, with voxels, cached encoder tokens or text only."""

from __future__ import annotations

from copy import copy

import numpy as np
from torch import Tensor

from napari_ct_assistant.model.grounded.configuration import GroundedVisionConfig3D
from napari_ct_assistant.training.config.recipe import ConversationSettings, OracleMapSettings
from napari_ct_assistant.training.data.oracle_tokens import map_tokens, with_mistakes
from napari_ct_assistant.training.data.patch_concepts import detail_words
from napari_ct_assistant.training.data.token_cache import StandInTokens, TokenCache
from napari_ct_assistant.training.data.volume_dataset import to_pixel_values
from napari_ct_assistant.training.data.volume_store import VolumeStore
from napari_ct_assistant.training.sequences.turns import Turn


class StoreConversations:
    """Questions and reports of a store's scans.

    Parameters
    ----------
    store : VolumeStore
    settings : ConversationSettings
    cache : TokenCache, optional
        The encoder's tokens of each scan.
    text_only : bool
        Without a cache: return no voxels, for training on text.
    maps_for : GroundedVisionConfig3D, optional
        Return true concept maps in the form of this encoder's tokens (stage `oracle_maps`).
    mistakes : OracleMapSettings, optional
        The errors to put into these maps.
    volumes : range, optional
        The scans of the store to ask about; by default those that are trained on.
    """

    def __init__(
        self,
        store: VolumeStore,
        settings: ConversationSettings,
        cache: TokenCache | StandInTokens | None = None,
        *,
        text_only: bool = False,
        maps_for: GroundedVisionConfig3D | None = None,
        mistakes: OracleMapSettings | None = None,
        volumes: range | None = None,
    ):
        self.store = store
        self.settings = settings
        self.cache = cache
        self.text_only = text_only
        self.maps_for = maps_for
        self.mistakes = mistakes
        self.volumes = store.training if volumes is None else volumes

    def __len__(self) -> int:
        return len(self.volumes)

    def held_out(self) -> StoreConversations:
        """Return the same for the scans that are held out for the validation loss."""
        other = copy(self)
        other.volumes = self.store.validation
        return other

    def dataset(self, index: int) -> str:
        """Return the name of the data set that a scan is from."""
        return self.store.dataset(self.volumes[index])

    def turns(self, index: int, rng: np.random.Generator, progress: float) -> list[Turn]:
        """Draw the turns of one training sample; `progress` is the share of samples before it."""
        return self.store.turns(self.volumes[index], self.settings.at(progress), rng)

    def pairs(self, index: int) -> list[Turn] | None:
        """Return every pair of a scan, of which a sample is one; None if turns are drawn."""
        return (
            None if self.settings.packed else self.store.pairs(self.volumes[index], self.settings)
        )

    def tags(self, index: int) -> list[str]:
        """Return the names of what a scan shows."""
        return self.store.tags(self.volumes[index])

    def name(self, index: int) -> str:
        """Return a scan's name for error messages."""
        return self.store.name(self.volumes[index])

    def detail_words(self) -> frozenset[str]:
        """Return the words, in lower case, for degrees, kinds and places of findings."""
        return detail_words(self.store.concepts)

    def inputs(self, index: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """Return `vision_tokens` [N, C] or `pixel_values` [1, D, H, W]; {} for text alone."""
        index = self.volumes[index]
        if self.cache is not None:
            return {"vision_tokens": self.cache[index]}
        if self.maps_for is not None:
            tokens = map_tokens(self.store.patch_labels(index), self.maps_for)
            if self.mistakes is not None:
                tokens = with_mistakes(tokens, self.maps_for, self.mistakes, rng)
            return {"vision_tokens": tokens}
        if self.text_only:
            return {}
        return {"pixel_values": to_pixel_values(self.store.volume(index))}
