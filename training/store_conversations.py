"""What can be asked about a store's scans, with cached encoder tokens or as text alone."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_ct_assistant.model.configuration import VisionConfig3D
from napari_ct_assistant.model.vit import with_pairs
from napari_ct_assistant.training.conversation import Turn
from napari_ct_assistant.training.recipe import Conversation
from napari_ct_assistant.training.token_cache import TokenCache
from napari_ct_assistant.training.volume_store import VolumeStore
from napari_ct_assistant.training.volumes import to_pixel_values


class StoreConversations:
    """Questions and reports of a store's scans.

    Parameters
    ----------
    store : VolumeStore
    settings : Conversation
    cache : TokenCache, optional
        The encoder's tokens of each scan.
    text_only : bool
        Without a cache: leave the scan out instead of giving its voxels.
    maps_for : VisionConfig3D, optional
        Give the true map of findings in the form of this encoder's tokens (stage `maps`).
    """

    def __init__(
        self,
        store: VolumeStore,
        settings: Conversation,
        cache: TokenCache | None = None,
        *,
        text_only: bool = False,
        maps_for: VisionConfig3D | None = None,
    ):
        self.store = store
        self.settings = settings
        self.cache = cache
        self.text_only = text_only
        self.maps_for = maps_for

    def __len__(self) -> int:
        return len(self.store)

    def turns(self, index: int, rng: np.random.Generator) -> list[Turn]:
        """Draw the turns of one training sample."""
        return self.store.turns(index, self.settings, rng)

    def tags(self, index: int) -> list[str]:
        """Return the names of what a scan shows."""
        return self.store.tags(index)

    def name(self, index: int) -> str:
        """Name a scan in an error."""
        return self.store.name(index)

    def inputs(self, index: int) -> dict[str, Tensor]:
        """Return `vision_tokens` [N, C], `pixel_values` [1, D, H, W], or nothing."""
        if self.cache is not None:
            return {"vision_tokens": self.cache[index]}
        if self.maps_for is not None:
            return {"vision_tokens": map_tokens(self.store.patch_labels(index), self.maps_for)}
        if self.text_only:
            return {}
        return {"pixel_values": to_pixel_values(self.store.volume(index))}


def map_tokens(patch_labels: NDArray[np.uint8], config: VisionConfig3D) -> Tensor:
    """Return what an encoder that sees everything would give: no features, certain findings.

    patch_labels: [concepts, d, h, w], 0 or 1 -> float32 [d*h*w, output_size]
    """
    patch_labels = patch_labels[: config.num_concepts]
    labels = torch.from_numpy(patch_labels.astype(np.float32)).flatten(1).T
    labels = with_pairs(labels, config.concept_pairs)
    features = torch.zeros(len(labels), config.hidden_size)
    return torch.cat([features, config.concept_scale * labels], dim=1)
