"""Run one stage of a recipe."""

from __future__ import annotations

import importlib.util
import json
import time
from collections.abc import Sequence
from pathlib import Path

from napari_ct_assistant.support import atomic
from napari_ct_assistant.training.config.device import for_device
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.load import load_recipe
from napari_ct_assistant.training.config.recipe import Recipe
from napari_ct_assistant.training.data.volume_store import VolumeStore
from napari_ct_assistant.training.distributed import (
    main_first,
    naming_lost_processes,
    process_state,
    wait_for_all,
)
from napari_ct_assistant.training.run_record import (
    check_same_recipe,
    check_same_scans,
    check_same_texts,
    reads_data,
    recorded_precision,
    remove_result,
    write_record,
)


def run_stage(
    stage: str,
    recipe: Path | str,
    overrides: Sequence[str] = (),
    *,
    restart: bool = False,
    check: bool = False,
) -> None:
    """Load a recipe and run it.

    Parameters
    ----------
    stage
        mae, ground, language, oracle_maps, align, instruct or probe; the recipe must be of it.
    recipe
        A YAML file or the name of a bundled recipe.
    overrides
        `key=value` pairs that replace values of the recipe.
    restart
        Remove what an earlier run wrote into the output folder.
    check
        Print the size of the run; prepare, train and write nothing.

    Raises
    ------
    RecipeError
        If the recipe is wrong, or is of another stage, before any data is read.
    """
    one = load_recipe(recipe, overrides)
    if one.stage != stage:
        raise RecipeError(f"{recipe}: is a recipe of stage {one.stage}, not {stage}")
    run_recipe(one, restart=restart, check=check)


@naming_lost_processes()
def run_recipe(recipe: Recipe, *, restart: bool = False, check: bool = False) -> None:
    """Run a recipe's stage, unless it is finished.

    Raises
    ------
    RecipeError
        If the output folder holds a run of another recipe or other data, unless `restart` is set.
    """
    done = recipe.folder / "done"
    if restart and not check:
        with main_first():
            remove_result(recipe)
    recipe = for_device(recipe, recorded_precision(recipe))
    if not (restart and check):
        check_same_recipe(recipe)
    if check:
        _check_predecessors(recipe)
        _check_machine(recipe)
        _run(recipe, check=True, fresh=restart)
        return
    if done.exists():
        _check_finished(recipe)
        print(f"{recipe.output}: already finished", flush=True)
        return
    _check_predecessors(recipe)
    _check_machine(recipe)
    # All processes must have checked before the main process writes what they look for.
    wait_for_all()
    recipe.folder.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    _run(recipe)
    wait_for_all()
    if process_state().is_main_process:
        seconds = round(time.monotonic() - start)
        atomic.write_text(done, f"{seconds} s\n")
        print(f"{recipe.output}: finished in {seconds} s", flush=True)
    wait_for_all()


def _run(recipe: Recipe, *, check: bool = False, fresh: bool = False) -> None:
    # Imported here, so that refusing a recipe does not wait for the Trainer's libraries.
    from napari_ct_assistant.training.data.leaks import RecipeLeaks
    from napari_ct_assistant.training.data.stores import fill_store, open_store, stand_in
    from napari_ct_assistant.training.stages import (
        align,
        ground,
        instruct,
        language,
        mae,
        oracle_maps,
        probe,
    )
    from napari_ct_assistant.training.stages.job import run_job

    if recipe.stage == "language":  # needs no volumes
        run_job(recipe, language.job(recipe), lambda: _record(recipe, None), check=check)
        return
    if recipe.stage == "probe":  # reads scans as they are
        probe.run(recipe, lambda: _record(recipe, None), check=check)
        return
    store = open_store(recipe)
    if not fresh:
        check_same_texts(recipe, store)
    leaks = RecipeLeaks(recipe, store)
    leaks.check_patients()
    if check:
        stand_in(store)
    else:
        fill_store(store)
        check_same_scans(recipe, store)
        leaks.check_scans()
    stages = {
        "mae": mae,
        "ground": ground,
        "oracle_maps": oracle_maps,
        "align": align,
        "instruct": instruct,
    }
    job = stages[recipe.stage].job(recipe, store)
    run_job(recipe, job, lambda: _record(recipe, store), check=check)


def _record(recipe: Recipe, store: VolumeStore | None) -> None:
    if process_state().is_main_process:
        write_record(recipe, store)
    wait_for_all()


def _check_finished(recipe: Recipe) -> None:
    """Refuse a finished stage whose data has changed; without its data it is kept as it is."""
    if not reads_data(recipe):
        return
    from napari_ct_assistant.training.data.stores import open_store

    try:
        store = open_store(recipe)
    except RecipeError as error:
        print(f"{recipe.output}: its data cannot be compared any more ({error})", flush=True)
        return
    check_same_texts(recipe, store)


def _check_predecessors(recipe: Recipe) -> None:
    """Refuse a stage whose start is missing, before any data is made or read."""
    starts = [recipe.encoder.start] if recipe.encoder and recipe.encoder.start else []
    if recipe.stage == "instruct" and recipe.model is not None and not recipe.joins:
        starts.append(recipe.model)
    starts += filter(None, (recipe.language.start, recipe.perceiver.start))
    for start in starts:
        folder = recipe.path(start)
        if not (folder / "config.json").is_file():
            raise RecipeError(f"{folder}: not there; run the stage that writes it first")
    if recipe.stage == "instruct" and recipe.model is not None and not recipe.joins:
        _check_preparation(recipe, recipe.path(recipe.model))


def _check_preparation(recipe: Recipe, folder: Path) -> None:
    """Refuse scans that are prepared differently from those that a model was trained on."""
    file = folder / "processor_config.json"
    seen = json.loads(file.read_text()).get("preparation", "spacing") if file.is_file() else None
    wanted = getattr(recipe.data, "preparation", seen)
    if seen is not None and wanted != seen:
        raise RecipeError(
            f"data.preparation: {wanted}, but {folder.name} was trained on scans prepared by {seen}"
        )


def _check_machine(recipe: Recipe) -> None:
    """Refuse settings that this machine cannot run, before any data is made or read."""
    if recipe.training.tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise RecipeError(
            "training.tensorboard: run pip install 'napari-ct-assistant[tensorboard]', or leave it "
            "out"
        )
