"""From the last stage's folder to one that ships: half precision, with its familiarity."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from napari_ct_assistant.assistant.familiarity import Familiarity, summary
from napari_ct_assistant.model.modeling import VolumeLanguageModel
from napari_ct_assistant.model.processor import VolumeLanguageProcessor
from napari_ct_assistant.training.phantom_store import PhantomStore
from napari_ct_assistant.training.recipe import Recipe
from napari_ct_assistant.training.token_cache import TokenCache


def bundle(recipe: Recipe) -> Path:
    """Write `<root>/model`: weights in float16, processor, and what training scans look like.

    Parameters
    ----------
    recipe : Recipe
        Of the last stage.
    """
    model = VolumeLanguageModel.from_pretrained(recipe.folder)
    processor = VolumeLanguageProcessor.from_pretrained(recipe.folder)
    target = recipe.root / "model"
    data = recipe.data
    store = PhantomStore(recipe.path(data.store), data.first_seed, data.count)  # type: ignore[union-attr]
    cache = TokenCache(recipe.path(store.folder) / "tokens", model.vision_tower, store)
    scans = np.linspace(0, len(store) - 1, min(len(store), 600)).astype(int)
    Familiarity.fit(torch.stack([summary(cache[int(i)]) for i in scans])).save(_made(target))
    model.generation_config.update(do_sample=False, max_new_tokens=processor.max_new_tokens)
    model.half().save_pretrained(target)
    processor.save_pretrained(target)
    print(f"{target}: written", flush=True)
    return target


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
