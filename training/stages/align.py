"""Stage `align`: train the perceiver between encoder and language model (E3D-GPT, stage 1).

Encoder and language model are frozen. With `train_encoder`, the encoder is trained too.
"""

from __future__ import annotations

import torch

from napari_ct_assistant.training.config.recipe import Recipe
from napari_ct_assistant.training.data.volume_store import VolumeStore
from napari_ct_assistant.training.stages.assemble import assemble
from napari_ct_assistant.training.stages.conversations import conversation_job
from napari_ct_assistant.training.stages.job import Job


def job(recipe: Recipe, store: VolumeStore) -> Job:
    """Return the training of the perceiver, which writes the model."""
    torch.manual_seed(recipe.seed)
    model, processor = assemble(recipe)
    model.requires_grad_(False)
    model.projector.requires_grad_(True)
    model.vision_tower.requires_grad_(recipe.train_encoder)
    return conversation_job(recipe, model, processor, store)
