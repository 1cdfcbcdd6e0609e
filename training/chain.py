"""The chain of stages that makes the bundled demonstration model."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from napari_ct_assistant.training import distributed as processes
from napari_ct_assistant.training.config.load import load_recipe
from napari_ct_assistant.training.config.recipe import Recipe
from napari_ct_assistant.training.data.stores import fill_store, open_store
from napari_ct_assistant.training.release.bundle import bundle
from napari_ct_assistant.training.run import run_recipe

# What the encoder and what the language model learn, neither of which needs the other.
BRANCHES = (
    ("demo/mae", "demo/ground_crops", "demo/ground_details", "demo/ground"),
    ("demo/language", "demo/language_scattered", "demo/oracle_maps", "demo/language_summing"),
)
TOGETHER = ("demo/align", "demo/instruct", "demo/instruct_again")
DEMO_CHAIN = (*BRANCHES[0], *BRANCHES[1], *TOGETHER)


def run_chain(overrides: Sequence[str]) -> None:
    """Run all stages and bundle what the last one wrote.

    On a CPU with several cores both branches run at once: such small networks gain little from
    a second thread.

    Parameters
    ----------
    overrides
        `key=value`, for every stage.

    Raises
    ------
    RecipeError
        If a recipe is wrong, before anything is done. What a branch finished is kept when the
        other fails.
    """
    recipes = {name: load_recipe(name, overrides) for name in DEMO_CHAIN}
    # Stage maps sees the labels of all phantoms that any stage sees.
    widest = recipes["demo/oracle_maps"]
    branches = [[recipes[name] for name in branch] for branch in BRANCHES]
    apart = [recipe for branch in branches for recipe in branch]
    threads = _threads_a_branch()
    if threads and not all((one.folder / "done").exists() for one in apart):
        fill_store(open_store(widest))  # or both branches would render the same volumes
        with ProcessPoolExecutor(len(BRANCHES), mp_context=get_context("spawn")) as pool:
            for branch in [pool.submit(_run_branch, one, threads) for one in branches]:
                branch.result()
    else:
        _run_all(apart)
    _run_all([recipes[name] for name in TOGETHER])
    last = recipes[TOGETHER[-1]]
    bundle(last, open_store(last), data=open_store(widest).key, seed=recipes[DEMO_CHAIN[0]].seed)


def _threads_a_branch() -> int:
    """Return how many threads each branch gets; 0 where they had better take turns."""
    import torch

    if processes.count() > 1 or torch.cuda.is_available():
        return 0
    return (os.cpu_count() or 1) // len(BRANCHES)


def _run_branch(recipes: Sequence[Recipe], threads: int) -> None:
    processes.use_threads(threads)
    _run_all(recipes)


def _run_all(recipes: Sequence[Recipe]) -> None:
    for recipe in recipes:
        run_recipe(recipe)
