"""Stage `instruct`: train perceiver and language model on questions and reports (E3D-GPT, stage 2).

The encoder is frozen, or trained too (`train_encoder`, as in ViT3D-LLaMA3). A pre-trained language
model gets LoRA, which is merged into its weights at the end; the demonstration's small one, which
has no pre-training, is trained whole.
"""

from __future__ import annotations

import torch

from napari_ct_assistant.model.processor import VolumeLanguageProcessor
from napari_ct_assistant.training.config.recipe import Recipe
from napari_ct_assistant.training.data.volume_store import VolumeStore
from napari_ct_assistant.training.stages.assemble import assemble, load_trainable
from napari_ct_assistant.training.stages.conversations import conversation_job
from napari_ct_assistant.training.stages.job import Job


def job(recipe: Recipe, store: VolumeStore) -> Job:
    """Return the training of perceiver and language model, which writes the model."""
    torch.manual_seed(recipe.seed)
    assert recipe.model is not None  # noqa: S101  checked with the recipe
    if recipe.joins:
        model, processor = assemble(recipe)
    else:
        folder = recipe.path(recipe.model)
        model = load_trainable(folder)
        processor = VolumeLanguageProcessor.from_pretrained(folder)
    model.requires_grad_(True)
    model.vision_tower.requires_grad_(recipe.train_encoder)
    return conversation_job(recipe, model, processor, store)
