"""Stage `mae`: the encoder learns to reconstruct removed patches (E3D-GPT, Fig. 1a)."""

from __future__ import annotations

import torch

from napari_ct_assistant.model.mae import MaskedAutoencoder3D
from napari_ct_assistant.training.config.encoders import build_encoder
from napari_ct_assistant.training.config.recipe import Recipe
from napari_ct_assistant.training.data.volume_dataset import VolumeDataset
from napari_ct_assistant.training.data.volume_store import VolumeStore
from napari_ct_assistant.training.stages.trainer import finish, save_encoder, train


def run(recipe: Recipe, store: VolumeStore) -> None:
    """Train a masked autoencoder and write its encoder."""
    torch.manual_seed(recipe.seed)
    mae = MaskedAutoencoder3D(build_encoder(recipe), **recipe.mae.model_dump())
    dataset = VolumeDataset(
        store, recipe.training.length(len(store)), recipe.seed, noise=mae.num_patches
    )
    trainer = train(recipe, mae, dataset)
    save_encoder(recipe, mae.encoder, trainer)
    finish(recipe, trainer)
