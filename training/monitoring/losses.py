"""The losses of a run, beside its result: `losses.json`, `validation.json` and their picture."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from napari_ct_assistant.support import atomic
from napari_ct_assistant.training.config.recipe import Recipe
from napari_ct_assistant.training.monitoring.loss_curves import draw

FILE = "losses.json"
VALIDATION = "validation.json"


def write_losses(recipe: Recipe, history: Sequence[Mapping[str, Any]], kept: int | None) -> None:
    """Write what a Trainer has logged.

    Parameters
    ----------
    recipe
    history
        The Trainer's log.
    kept
        The step whose weights are the result, where the lowest validation loss has chosen it.
    """
    folder = recipe.folder
    training = [row for row in history if "loss" in row]
    atomic.write_text(folder / FILE, json.dumps(training, indent=1) + "\n")
    losses = [{"step": r["step"], "loss": r["eval_loss"]} for r in history if "eval_loss" in r]
    if losses:
        content = {"kept_step": kept or losses[-1]["step"], "losses": losses}
        atomic.write_text(folder / VALIDATION, json.dumps(content, indent=1) + "\n")
    draw(history, folder.name, folder, kept)
