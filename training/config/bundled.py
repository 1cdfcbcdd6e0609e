"""Find a recipe: a YAML file, or one of those that come with the package.

Most bundled recipes are a file each, `recipes/e3d_gpt/mae.yaml`. The demonstration model's are the
steps of one chain, `recipes/demo/chain.yaml`; each step is a recipe like any other, `demo/mae`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from napari_ct_assistant.support.yaml_models import Keys, YamlFile, YamlFileError, read_yaml
from napari_ct_assistant.training.config.chain_file import ChainFile, read_chain
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.recipe import Recipe

RECIPES = Path(__file__).parents[1] / "recipes"
CHAIN = "chain.yaml"


@dataclass(frozen=True)
class RecipeSource:
    """The keys and values of a recipe, not yet checked, and where they stand.

    Parameters
    ----------
    name : str
        How it was asked for.
    purpose : str
        One line about it.
    file : YamlFile
    values : dict
    places : tuple of key paths
        Where in the file its keys may stand, the nearest first.
    """

    name: str
    purpose: str
    file: YamlFile
    values: dict[str, Any]
    places: tuple[Keys, ...] = ((),)

    def locate(self, keys: Sequence[str | int], message: str) -> str:
        """Return a message with the file, the line that a key path stands on, and that line."""
        paths = [(*place, *keys) for place in self.places]
        # A missing key is told of at the group that should hold it, wherever that stands.
        paths += [path[:-n] for n in range(1, len(keys)) for path in paths[: len(self.places)]]
        found = next((path for path in paths if self.file.find(path) is not None), self.places[0])
        if not keys:
            return self.file.at(self.file.find(self.places[0]) or 1, message, quote=False)
        return self.file.locate(found, message)


def bundled_chain(family: str = "demo") -> ChainFile:
    """Return a bundled chain."""
    return _chain(RECIPES / family / CHAIN)[1]


def bundled_recipes() -> Iterator[RecipeSource]:
    """Yield the bundled recipes, those of a chain in its order."""
    for path in sorted(RECIPES.rglob("*.yaml")):
        family = path.parent.name
        if path.name == CHAIN:
            for step in _chain(path)[1].steps:
                yield _step_source(path, family, step.name)
        else:
            yield _file_source(f"{family}/{path.stem}", path)


def find_recipe(name: Path | str) -> RecipeSource:
    """Return the recipe in a file, or the bundled one of a name such as "demo/mae".

    Raises
    ------
    RecipeError
        If there is none, or the file is not YAML.
    """
    path = Path(name)
    if path.exists():
        return _file_source(str(name), path)
    known = {source.name: source for source in bundled_recipes()}
    if str(name) not in known:
        raise RecipeError(f"{name}: no such recipe; bundled are {', '.join(known)}")
    return known[str(name)]


def copy_recipe(name: str, target: Path) -> RecipeSource:
    """Write a bundled recipe to a file of one's own; a step of a chain becomes a whole recipe.

    Raises
    ------
    RecipeError
        If there is no such recipe, or the file is there already.
    """
    source = find_recipe(name)
    text = source.file.text
    if source.places != ((),):
        keys = sorted(source.values, key=list(Recipe.model_fields).index)
        text = yaml.safe_dump(
            {key: source.values[key] for key in keys}, sort_keys=False, allow_unicode=True
        )
        text = f"# {source.purpose}\n{text}"
    try:
        with target.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        raise RecipeError(f"{target}: is there already; give another name") from None
    return source


def _file_source(name: str, path: Path) -> RecipeSource:
    file = _read(path)
    if not isinstance(file.values, dict):
        found = type(file.values).__name__
        raise RecipeError(f"{path}: a recipe is a mapping of keys, found {found}")
    first = file.text.partition("\n")[0]
    purpose = first.removeprefix("#").strip() if first.startswith("#") else ""
    return RecipeSource(name, purpose, file, deepcopy(file.values))


def _step_source(path: Path, family: str, name: str) -> RecipeSource:
    file, chain = _chain(path)
    step = next(step for step in chain.steps if step.name == name)
    return RecipeSource(
        f"{family}/{name}",
        step.purpose,
        file,
        deepcopy(chain.values(name)),
        tuple(chain.places(name)),
    )


@cache
def _chain(path: Path) -> tuple[YamlFile, ChainFile]:
    file = _read(path)
    return file, read_chain(file)


def _read(path: Path) -> YamlFile:
    try:
        return read_yaml(path)
    except YamlFileError as error:
        raise RecipeError(str(error)) from None
