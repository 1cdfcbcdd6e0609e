"""What a command line names: a stage, a recipe, or both; and what was meant by a near miss."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from napari_ct_assistant.training.config.bundled import bundled_recipes, find_recipe
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.recipe import Stage

STAGES: tuple[str, ...] = get_args(Stage)


def stage_and_recipe(stage: str, recipe: str | None) -> tuple[str, str, list[str]]:
    """Return the stage, the recipe, and the overrides among the two words after `train`.

    A recipe alone, such as `train e3d_gpt/mae`, is of the stage that it names.

    Raises
    ------
    RecipeError
        If the first word is neither a stage nor a recipe, or a stage has no recipe.
    """
    more = [recipe] if recipe is not None and "=" in recipe else []
    if stage in STAGES:
        if recipe is None or more:
            names = [one.name for one in bundled_recipes() if one.values.get("stage") == stage]
            raise RecipeError(
                f"{stage}: name a recipe of this stage, a .yaml file or one of {', '.join(names)}"
            )
        return stage, recipe, []
    if (recipe is None or more) and ("/" in stage or Path(stage).suffix in (".yaml", ".yml")):
        return str(find_recipe(stage).values.get("stage")), stage, more
    raise RecipeError(f"{stage}: {_hint(stage, [*STAGES, 'demo'])}")


def _hint(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, 3, cutoff=0.7)
    if near:
        return f"no such stage; is {' or '.join(near)} meant?"
    return f"no such stage; stages are {', '.join(STAGES)}; recipes: ct-assistant recipes list"
