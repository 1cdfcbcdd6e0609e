"""Stage `oracle_maps`: perceiver and language model learn to read true concept maps.

This stage is not in the papers; it is for a language model without pre-training. In place of the
encoder's tokens, each patch states with certainty what lies in it: findings, their degrees, the
lobe. The model thus learns to read and to locate findings without the encoder's errors, and nothing
is rendered or encoded. Stage `align` then puts the real encoder in.
"""

from __future__ import annotations

import torch

from napari_ct_assistant.training.config.recipe import Recipe
from napari_ct_assistant.training.data.volume_store import VolumeStore
from napari_ct_assistant.training.sequences.store_conversations import StoreConversations
from napari_ct_assistant.training.stages.assemble import assemble
from napari_ct_assistant.training.stages.conversations import model_job
from napari_ct_assistant.training.stages.job import Job


def job(recipe: Recipe, store: VolumeStore) -> Job:
    """Return the training on true concept maps, which writes the model."""
    torch.manual_seed(recipe.seed)
    model, processor = assemble(recipe, store)
    model.requires_grad_(True)
    model.vision_tower.requires_grad_(False)
    source = StoreConversations(
        store,
        recipe.conversation,
        maps_for=model.config.vision_config,
        mistakes=recipe.oracle_maps,
    )
    return model_job(recipe, model, processor, source)
