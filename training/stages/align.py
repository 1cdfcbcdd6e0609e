"""Stage `align`: train the perceiver between encoder and language model (E3D-GPT, stage 1).

Encoder and language model are frozen. With `train_encoder`, the encoder is trained too.
"""

from __future__ import annotations

import torch

from napari_ct_assistant.training.config.recipe import Recipe
from napari_ct_assistant.training.data.volume_store import VolumeStore
from napari_ct_assistant.training.stages.assemble import assemble
from napari_ct_assistant.training.stages.conversations import train_conversations


def run(recipe: Recipe, store: VolumeStore) -> None:
    """Train the perceiver and write the model."""
    torch.manual_seed(recipe.seed)
    model, processor = assemble(recipe)
    model.requires_grad_(False)
    model.projector.requires_grad_(True)
    model.vision_tower.requires_grad_(recipe.train_encoder)
    train_conversations(recipe, model, processor, store)
