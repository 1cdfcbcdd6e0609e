"""Stage `mae`: the encoder learns to reconstruct removed patches (E3D-GPT, Fig. 1a)."""

from __future__ import annotations

import torch

from napari_ct_assistant.model.mae import MaskedAutoencoder3D
from napari_ct_assistant.training.config.encoders import build_encoder
from napari_ct_assistant.training.config.recipe import Recipe
from napari_ct_assistant.training.data.volume_dataset import VolumeDataset
from napari_ct_assistant.training.data.volume_store import VolumeStore
from napari_ct_assistant.training.stages.job import Job, validation_samples
from napari_ct_assistant.training.stages.trainer import save_encoder


def job(recipe: Recipe, store: VolumeStore) -> Job:
    """Return the training of a masked autoencoder, which writes its encoder."""
    torch.manual_seed(recipe.seed)
    mae = MaskedAutoencoder3D(build_encoder(recipe), **recipe.mae.model_dump())

    def dataset(volumes: range, samples: int) -> VolumeDataset:
        noise = mae.num_patches
        return VolumeDataset(store, samples, recipe.seed, noise=noise, volumes=volumes)

    held_out = validation_samples(recipe, len(store.validation))
    return Job(
        mae,
        dataset(store.training, recipe.training.length(len(store.training))),
        lambda trainer: save_encoder(recipe, mae.encoder, trainer),
        validation=dataset(store.validation, held_out) if held_out else None,
        store=store,
    )
