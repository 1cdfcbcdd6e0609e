"""Read a recipe from its YAML file and check it whole, before any data is read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from napari_ct_assistant.training.config.checks import WrongValueError, check
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.recipe import Recipe
from napari_ct_assistant.training.data.datasets.specs import KINDS

RECIPES = Path(__file__).parents[1] / "recipes"

# Recipes of earlier versions: keys and stages that have another name now.
RENAMED = {"maps": "oracle_maps", "decoder_width": "decoder_embed_dim"}


def _line_of(node: yaml.Node | None, keys: tuple[Any, ...]) -> int:
    """Find the line (1-based) of a key path in a composed YAML document."""
    line = 1
    for key in keys:
        if not isinstance(node, yaml.MappingNode):
            break
        for name, value in node.value:
            if name.value == str(key):
                line, node = name.start_mark.line + 1, value
                break
    return line


def load_recipe(path: Path | str, overrides: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe.

    Parameters
    ----------
    path
        A YAML file, or the name of a bundled recipe such as "demo/mae".
    overrides
        `key=value` with dots, e.g. `training.learning_rate=1e-4`.

    Raises
    ------
    RecipeError
        One line: file, line, key, what is wrong.
    """
    file = Path(path)
    if not file.exists():
        bundled = RECIPES / f"{path}.yaml"
        if not bundled.exists():
            names = sorted(
                str(p.relative_to(RECIPES).with_suffix("")) for p in RECIPES.rglob("*.yaml")
            )
            raise RecipeError(f"{path}: no such recipe; bundled are {', '.join(names)}")
        file = bundled
    text = file.read_text(encoding="utf-8")
    try:
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark else ""
        raise RecipeError(f"{file}{where}: not valid YAML ({error.__class__.__name__})") from None
    if not isinstance(values, dict):
        raise RecipeError(f"{file}: a recipe is a mapping of keys, found {type(values).__name__}")
    for item in overrides:
        _override(values, item)
    try:
        recipe = Recipe.model_validate(values)
        check(recipe)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        # pydantic names the kind of data that it tried between `data` and the key.
        loc = first["loc"]
        keys = tuple(
            k
            for before, k in zip((None, *loc), loc, strict=False)
            if not (k in ("phantoms", *KINDS) and (before == "data" or isinstance(before, int)))
        )
        found = first["input"] if first["type"] not in ("missing", "value_error") else None
        shown = f" (got {found!r})" if found is not None else ""
        message = f"{first['msg']}{shown}"
        old = keys[-1] if first["type"] == "extra_forbidden" else first["input"]
        if keys and isinstance(old, str) and old in RENAMED:
            message = f"{old} is called {RENAMED[old]} now"
    except WrongValueError as error:
        keys, message = tuple(filter(None, error.keys)), str(error)
    else:
        return recipe
    name = ".".join(map(str, keys)) or "recipe"
    for item in overrides:
        key = item.partition("=")[0]
        if name == key or name.startswith(f"{key}."):
            raise RecipeError(f"override {item}: {name}: {message}")
    line = _line_of(tree, keys)
    quoted = f" [{text.splitlines()[line - 1].strip()}]" if keys else ""
    raise RecipeError(f"{file} line {line}: {name}: {message}{quoted}")


def _override(values: dict[str, Any], item: str) -> None:
    key, found, text = item.partition("=")
    if not found or not key:
        raise RecipeError(f"override {item!r}: write key=value, e.g. training.samples=100")
    *parents, last = key.split(".")
    for parent in parents:
        values = values.setdefault(parent, {})
        if not isinstance(values, dict):
            raise RecipeError(f"override {item!r}: {parent} is not a group of keys")
    values[last] = yaml.safe_load(text)
