"""Settings of a recipe that follow the device: precision, and processes that read samples."""

from __future__ import annotations

import os
from typing import Literal

import torch

from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.recipe import Recipe

_MOST_WORKERS = 8


def for_device(recipe: Recipe, precision: str | None = None) -> Recipe:
    """Return a recipe whose precision and workers are those for this machine.

    Parameters
    ----------
    recipe : Recipe
    precision : str, optional
        What an earlier part of the run was trained in; "auto" keeps to it.

    Raises
    ------
    RecipeError
        If the recipe asks for a precision that this machine does not have.
    """
    t = recipe.training
    gpu = torch.cuda.is_available()
    if t.precision == "fp16" and not gpu:
        raise RecipeError("training.precision: fp16 needs a GPU; use auto, bf16 or fp32")
    chosen: str = t.precision
    if chosen == "auto":
        usable = ("fp32", "bf16", "fp16") if gpu else ("fp32", "bf16")
        chosen = best_precision() if precision not in usable else str(precision)
    workers = default_workers() if t.workers is None else t.workers
    changed = t.model_copy(update={"precision": chosen, "workers": workers})
    return recipe.model_copy(update={"training": changed})


def best_precision() -> Literal["fp32", "bf16", "fp16"]:
    """Return bf16 or fp16 for a GPU, whichever it has, and fp32 for a CPU."""
    if not torch.cuda.is_available():
        return "fp32"
    return "bf16" if torch.cuda.is_bf16_supported() else "fp16"


def default_workers() -> int:
    """Return how many processes read samples beside one that trains.

    A CPU that trains has no core to spare. The GPUs of a machine share its cores.
    """
    if not torch.cuda.is_available():
        return 0
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(0, min(_MOST_WORKERS, (os.cpu_count() or 1) // here - 1))
