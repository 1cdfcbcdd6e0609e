"""Read a recipe and check it whole, before any data is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from napari_ct_assistant.support.yaml_models import Keys, Problem, dotted, explain
from napari_ct_assistant.training.config.bundled import RecipeSource, find_recipe
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.network_checks import WrongValueError, check
from napari_ct_assistant.training.config.recipe import Recipe

# Keys and stages that had another name in earlier versions.
RENAMED = {
    "maps": "oracle_maps",
    "mae.decoder_width": "decoder_embed_dim",
    "mae.decoder_heads": "decoder_num_heads",
    "perceiver.position": "pos_embed_scale",
    "encoder.changes.position": "pos_embed",
}

# What other programs call them.
ALIASES = {
    "lr": "training.learning_rate",
    "batch": "training.batch_size",
    "bs": "training.batch_size",
    "num_epochs": "training.epochs",
    "num_train_epochs": "training.epochs",
    "max_steps": "training.samples (steps x batch size)",
    "num_workers": "training.workers",
    "gradient_accumulation_steps": "training.accumulate",
    "early_stopping": "validation.patience",
    "early_stopping_patience": "validation.patience",
    "val_split": "validation.share",
    "max_seq_length": "conversation.max_length",
    "output_dir": "output",
    "out": "output",
    "dataset": "data",
    "fp16": "training.precision",
    "bf16": "training.precision",
}

# An override of one replaces the other.
_EITHER = {"samples": "epochs", "epochs": "samples"}


def load_recipe(name: Path | str, overrides: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe.

    Parameters
    ----------
    name
        A YAML file, or the name of a bundled recipe such as "demo/mae".
    overrides
        `key=value` with dots, e.g. `training.learning_rate=1e-4`.

    Raises
    ------
    RecipeError
        One line: file, line, key, what is wrong.
    """
    recipe, problems = check_recipe(name, overrides)
    if recipe is None:
        raise RecipeError(problems[0])
    return recipe


def check_recipe(
    name: Path | str, overrides: Sequence[str] = ()
) -> tuple[Recipe | None, list[str]]:
    """Return a recipe, or None and one line for each thing that is wrong with it.

    Raises
    ------
    RecipeError
        If there is no such recipe, or it is not YAML.
    """
    source = find_recipe(name)
    values = source.values
    for item in overrides:
        _override(values, item)
    problems = [*_renamed(values), *_aliased(values)]
    if not problems:
        try:
            recipe = Recipe.model_validate(values)
            check(recipe)
        except ValidationError as error:
            problems = explain(error, Recipe)
        except WrongValueError as error:
            keys = tuple(filter(None, error.keys))
            problems = [Problem(keys, f"{dotted(keys)}: {error}")]
        else:
            return recipe, []
    return None, [_in_words(source, overrides, *problem) for problem in problems]


def _in_words(source: RecipeSource, overrides: Sequence[str], keys: Keys, message: str) -> str:
    """Return a problem with the override or the line that is at fault."""
    name = dotted(keys)
    for item in overrides:
        key = item.partition("=")[0]
        if name == key or name.startswith(f"{key}."):
            return f"override {item}: {message}"
    return source.locate(keys, message)


def _renamed(values: dict[str, Any], above: Keys = ()) -> Iterator[Problem]:
    """Yield the keys, and the stage, that have another name now."""
    stage = values.get("stage") if not above else None
    if stage in RENAMED:
        yield Problem(("stage",), f"stage {stage} is called {RENAMED[stage]} now")
    for key, value in values.items():
        name = dotted((*above, key))
        if name in RENAMED:
            yield Problem((*above, key), f"{name} is called {RENAMED[name]} now")
        elif isinstance(value, dict):
            yield from _renamed(value, (*above, key))


def _aliased(values: dict[str, Any], above: Keys = ()) -> Iterator[Problem]:
    """Yield the keys that other programs use for one of ours."""
    for key, value in values.items():
        if key in ALIASES and above in ((), ("training",)):
            name = dotted((*above, key))
            yield Problem((*above, key), f"{name}: unknown key; is {ALIASES[key]} meant?")
        elif isinstance(value, dict) and not above:
            yield from _aliased(value, (key,))


def _override(values: dict[str, Any], item: str) -> None:
    key, found, text = item.partition("=")
    if not found or not key:
        raise RecipeError(f"override {item!r}: write key=value, e.g. training.samples=100")
    *parents, last = key.split(".")
    for parent in parents:
        values = values.setdefault(parent, {})
        if not isinstance(values, dict):
            raise RecipeError(f"override {item!r}: {parent} is not a group of keys")
    if parents == ["training"] and last in _EITHER:
        values.pop(_EITHER[last], None)
    try:
        values[last] = yaml.safe_load(text)
    except yaml.YAMLError:
        raise RecipeError(f"override {item!r}: the value is not valid YAML") from None
