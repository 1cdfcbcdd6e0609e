"""Run a stage of a recipe."""

from __future__ import annotations

import importlib.util
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

from napari_ct_assistant.training import distributed as processes
from napari_ct_assistant.training.config.recipe import PhantomData, Recipe, RecipeError, load_recipe

if TYPE_CHECKING:
    from napari_ct_assistant.training.data.volume_store import VolumeStore


def run_stage(stage: str, recipe: Path | str, overrides: list[str] | None = None) -> int:
    """Run one stage; stage "demo" runs the whole chain of the demonstration model.

    What a stage finished is kept: run again, the chain goes on where it was interrupted.

    Parameters
    ----------
    stage
        mae, ground, language, maps, align, instruct, or demo.
    recipe
        A YAML file or the name of a bundled recipe; ignored for demo.
    overrides
        `key=value`; for demo they apply to every stage (root, data.count, ...).

    Returns
    -------
    int
        0.

    Raises
    ------
    RecipeError
        If the recipe is wrong, or is of another stage, before any data is read.
    """
    overrides = list(overrides or [])
    if stage == "demo":
        if "=" in str(recipe):
            overrides.insert(0, str(recipe))
        from napari_ct_assistant.training.chain import run_chain

        run_chain(overrides)
        return 0
    one = load_recipe(recipe, overrides)
    if one.stage != stage:
        raise RecipeError(f"{recipe}: is a recipe of stage {one.stage}, not {stage}")
    run_recipe(one)
    return 0


def _check_predecessors(recipe: Recipe) -> None:
    """Refuse a stage whose start is not there, before any data is made or read."""
    starts = [recipe.encoder.start] if recipe.encoder and recipe.encoder.start else []
    if recipe.stage == "instruct" and recipe.model is not None and not recipe.joins:
        starts.append(recipe.model)
    if recipe.language.start is not None:
        starts.append(recipe.language.start)
    for start in starts:
        folder = recipe.path(start)
        if not (folder / "config.json").is_file():
            raise RecipeError(f"{folder}: not there; run the stage that writes it first")
    if recipe.stage == "instruct" and recipe.model is not None and not recipe.joins:
        _check_preparation(recipe, recipe.path(recipe.model))


def _check_preparation(recipe: Recipe, folder: Path) -> None:
    """Refuse scans prepared in another way than those that a model has seen."""
    file = folder / "processor_config.json"
    seen = json.loads(file.read_text()).get("preparation", "spacing") if file.is_file() else None
    wanted = getattr(recipe.data, "preparation", seen)
    if seen is not None and wanted != seen:
        raise RecipeError(
            f"data.preparation: {wanted}, but {folder.name} has seen scans prepared by {seen}"
        )


def _check_machine(recipe: Recipe) -> None:
    """Refuse what this machine cannot do, before any data is made or read."""
    import torch

    t = recipe.training
    if t.precision == "fp16" and not torch.cuda.is_available():
        raise RecipeError("training.precision: fp16 needs a GPU; use bf16 or fp32")
    if t.tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise RecipeError(
            "training.tensorboard: pip install 'napari-ct-assistant[tensorboard]', or leave it out"
        )


def open_store(recipe: Recipe) -> VolumeStore:
    """Return the volumes that a recipe trains on."""
    data = recipe.data
    folder = recipe.path(data.store)
    if isinstance(data, PhantomData):
        from napari_ct_assistant.training.data.phantom_store import PhantomStore

        return PhantomStore(folder, data.first_seed, data.count)
    from napari_ct_assistant.training.config.encoders import encoder_config
    from napari_ct_assistant.training.data.datasets.reading import open_dataset

    config = encoder_config(recipe)
    return open_dataset(data, folder, config.image_size, config.patch_size)


def fill_store(store: VolumeStore) -> None:
    """Make the volumes that are missing, and tell how far it is."""
    with processes.main_first():
        for number in store.fill():
            if processes.is_main() and (number % 100 == 0 or number == len(store)):
                print(f"volumes: {number} of {len(store)}", flush=True)
    if store.skipped and processes.is_main():
        print(store.skipped, flush=True)


def run_recipe(recipe: Recipe) -> None:
    """Run a recipe's stage, unless it is finished."""
    done = recipe.folder / "done"
    if done.exists():
        print(f"{recipe.output}: finished before, kept", flush=True)
        return
    _check_predecessors(recipe)
    _check_machine(recipe)
    processes.barrier()  # before rank 0 writes what the others look for
    recipe.folder.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    if recipe.stage == "language":
        from napari_ct_assistant.training.stages import language

        language.run(recipe)
    else:
        from napari_ct_assistant.training.data.leaks import RecipeLeaks
        from napari_ct_assistant.training.stages import align, ground, instruct, mae
        from napari_ct_assistant.training.stages import oracle_maps as maps

        store = open_store(recipe)
        leaks = RecipeLeaks(recipe, store)
        leaks.check_patients()
        fill_store(store)
        leaks.check_scans()
        stages = {"mae": mae, "ground": ground, "maps": maps, "align": align, "instruct": instruct}
        stages[recipe.stage].run(recipe, store)
    processes.barrier()
    if processes.is_main():
        seconds = round(time.monotonic() - start)
        done.write_text(f"{seconds} s\n")
        print(f"{recipe.output}: finished in {seconds} s", flush=True)
    processes.barrier()
