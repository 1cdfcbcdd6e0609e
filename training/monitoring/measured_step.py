"""Measure what one optimizer step of stage `mae` takes on this machine, on noise."""

from __future__ import annotations

import statistics
import time

import torch

from napari_ct_assistant.model.mae import MaskedAutoencoder3D
from napari_ct_assistant.model.vit import set_grad_checkpointing
from napari_ct_assistant.training.config.encoders import build_encoder
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.recipe import Recipe

_COUNTED = 3


def measure_step(recipe: Recipe) -> tuple[float, str]:
    """Return the seconds of a step of the recipe's batch, and the device's name.

    On a GPU in bfloat16 and after a first step that does not count, otherwise in float32. The
    network has its full size, so this needs the memory that a run needs.

    Raises
    ------
    RecipeError
        If the recipe is of another stage, or the memory of the GPU is not enough.
    """
    if recipe.stage != "mae":
        raise RecipeError(
            f"stage {recipe.stage}: --measure is for stage mae; ct-assistant train STAGE RECIPE "
            "--check measures a step of any stage, and --step-seconds takes it"
        )
    gpu = torch.cuda.is_available()
    device = torch.device("cuda" if gpu else "cpu")
    mae = MaskedAutoencoder3D(build_encoder(recipe), **recipe.mae.model_dump()).to(device)
    if recipe.training.gradient_checkpointing:
        set_grad_checkpointing(mae, enable=True)
    optimizer = torch.optim.AdamW(mae.parameters(), lr=0.0)
    batch = recipe.training.batch_size
    image = torch.rand(batch, 1, *mae.encoder.config.image_size, device=device)
    seconds = []
    try:
        for _ in range(_COUNTED + gpu):
            start = time.monotonic()
            for _ in range(recipe.training.accumulate):
                with torch.autocast(device.type, torch.bfloat16, enabled=gpu):
                    loss = mae(image)["loss"]
                loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            if gpu:
                torch.cuda.synchronize()
            seconds.append(time.monotonic() - start)
    except torch.OutOfMemoryError:
        raise RecipeError(
            f"training.batch_size: the GPU has too little memory for {batch}; lower it"
        ) from None
    name = torch.cuda.get_device_name() if gpu else f"this CPU, {torch.get_num_threads()} threads"
    return statistics.median(seconds[gpu:]), name
