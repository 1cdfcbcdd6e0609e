"""Stage `mae`: the encoder learns to reconstruct removed patches (E3D-GPT, Fig. 1a)."""

from __future__ import annotations

import torch

from napari_ct_assistant.model.mae import MaskedAutoencoder3D
from napari_ct_assistant.training.config.encoders import build_encoder
from napari_ct_assistant.training.config.recipe import Recipe
from napari_ct_assistant.training.data.volume_dataset import VolumeDataset
from napari_ct_assistant.training.data.volume_store import VolumeStore
from napari_ct_assistant.training.stages.trainer import Job, save_encoder


def job(recipe: Recipe, store: VolumeStore) -> Job:
    """Return the training of a masked autoencoder, which writes its encoder."""
    torch.manual_seed(recipe.seed)
    mae = MaskedAutoencoder3D(build_encoder(recipe), **recipe.mae.model_dump())
    dataset = VolumeDataset(
        store, recipe.training.length(len(store)), recipe.seed, noise=mae.num_patches
    )
    return Job(mae, dataset, lambda trainer: save_encoder(recipe, mae.encoder, trainer))
