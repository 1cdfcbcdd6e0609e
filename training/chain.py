"""Run the chain of stages that trains the bundled demonstration model."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from napari_ct_assistant.training.config.bundled import bundled_chain
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.load import load_recipe
from napari_ct_assistant.training.config.recipe import PhantomData, Recipe
from napari_ct_assistant.training.data.stores import fill_store, open_store
from napari_ct_assistant.training.distributed import process_state
from napari_ct_assistant.training.release.bundle import bundle
from napari_ct_assistant.training.run import run_recipe
from napari_ct_assistant.training.run_record import remove_result
from napari_ct_assistant.training.worker_pool import use_threads


def run_chain(overrides: Sequence[str], *, restart: bool = False) -> None:
    """Run all steps of `recipes/demo/chain.yaml` and bundle what the last one wrote.

    On a CPU with several cores the branches run side by side, because networks this small gain
    little from a second thread. Finished stages are kept: run again, the chain continues where it
    was interrupted.

    Parameters
    ----------
    overrides
        `key=value` pairs that replace values of every step's recipe.
    restart
        Remove what an earlier run of the chain wrote.

    Raises
    ------
    RecipeError
        If a recipe is wrong, before anything is run.
    """
    chain = bundled_chain("demo")
    recipes = {step.name: load_recipe(f"demo/{step.name}", overrides) for step in chain.steps}
    if restart:
        for recipe in recipes.values():
            remove_result(recipe)
    # The step whose phantoms include those of all other steps.
    widest = max(recipes.values(), key=lambda recipe: _phantoms(recipe).count)
    branches: dict[str, list[Recipe]] = {}
    together = []
    for step in chain.steps:
        if step.branch is None:
            together.append(recipes[step.name])
        else:
            branches.setdefault(step.branch, []).append(recipes[step.name])
    apart = [recipe for branch in branches.values() for recipe in branch]
    threads = _threads_per_branch(len(branches))
    if threads and not all((recipe.folder / "done").exists() for recipe in apart):
        fill_store(open_store(widest))  # so that branches do not render the same volumes
        with ProcessPoolExecutor(len(branches), mp_context=get_context("spawn")) as pool:
            runs = [pool.submit(_run_branch, branch, threads) for branch in branches.values()]
            for run in runs:
                run.result()
    else:
        _run_all(apart)
    _run_all(together)
    last = together[-1]
    first = recipes[chain.steps[0].name]
    bundle(last, open_store(last), data=open_store(widest).key, seed=first.seed)


def _phantoms(recipe: Recipe) -> PhantomData:
    if not isinstance(recipe.data, PhantomData):
        raise RecipeError(
            f"data.kind {recipe.data.kind}: the demonstration model is trained on phantoms"
        )
    return recipe.data


def _threads_per_branch(branches: int) -> int:
    """Return the number of threads of each branch; 0 where they should run one after another."""
    import torch

    if process_state().num_processes > 1 or torch.cuda.is_available():
        return 0
    return (os.cpu_count() or 1) // branches


def _run_branch(recipes: Sequence[Recipe], threads: int) -> None:
    use_threads(threads)
    _run_all(recipes)


def _run_all(recipes: Sequence[Recipe]) -> None:
    for recipe in recipes:
        run_recipe(recipe)
