"""Find a recipe: a YAML file, or one of those that come with the package.

Most bundled recipes are a file each, `recipes/e3d_gpt/mae.yaml`. The demonstration model's are the
steps of one chain, `recipes/demo/chain.yaml`; each step is a recipe like any other, `demo/mae`.

A recipe may begin with `like: e3d_gpt/align`, the name of a bundled recipe or a file beside it.
That recipe then holds where this one says nothing else.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from napari_ct_assistant.support.yaml_models import Keys, YamlFile, YamlFileError, read_yaml
from napari_ct_assistant.training.config.chain_file import ChainFile, merged, read_chain
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.recipe import Recipe

RECIPES = Path(__file__).parents[1] / "recipes"
CHAIN = "chain.yaml"
LIKE = "like"
# Bundled recipes that had another name in earlier versions.
RENAMED_RECIPES = {"vit3d_llama3/instruct": "vit3d_llama3/mrg"}


class Place(NamedTuple):
    """Where keys of a recipe may stand: under a key path of a file."""

    file: YamlFile
    keys: Keys = ()


@dataclass(frozen=True)
class RecipeSource:
    """The keys and values of a recipe, not yet checked, and where they stand.

    Parameters
    ----------
    name : str
        How it was asked for.
    purpose : str
        One line about it.
    values : dict
    places : tuple of Place
        The nearest first.
    """

    name: str
    purpose: str
    values: dict[str, Any]
    places: tuple[Place, ...]

    @property
    def file(self) -> YamlFile:
        """The recipe's own file."""
        return self.places[0].file

    def locate(self, keys: Sequence[str | int], message: str) -> str:
        """Return a message with the file, the line that a key path stands on, and that line."""
        if not keys:
            file, start = self.places[0]
            return file.at(file.find(start) or 1, message, quote=False)
        # A missing key is told of at the group that should hold it, wherever that stands.
        for length in range(len(keys), 0, -1):
            for file, start in self.places:
                if file.find((*start, *keys[:length])) is not None:
                    return file.locate((*start, *keys), message)
        return self.file.locate((*self.places[0].keys, *keys), message)


def bundled_chain(family: str = "demo") -> ChainFile:
    """Return a bundled chain."""
    return _chain(RECIPES / family / CHAIN)[1]


def bundled_names() -> list[str]:
    """Return the names of the bundled recipes, those of a chain in its order."""
    names: list[str] = []
    for path in sorted(RECIPES.rglob("*.yaml")):
        folder = path.parent.relative_to(RECIPES).as_posix()
        if path.name == CHAIN:
            names += [f"{folder}/{step.name}" for step in _chain(path)[1].steps]
        else:
            names.append(f"{folder}/{path.stem}")
    return names


def bundled_recipes() -> Iterator[RecipeSource]:
    """Yield the bundled recipes, those of a chain in its order."""
    return map(_bundled, bundled_names())


def find_recipe(name: Path | str) -> RecipeSource:
    """Return the recipe in a file, or the bundled one of a name such as "demo/mae".

    Raises
    ------
    RecipeError
        If there is none, or the file is not YAML.
    """
    path = Path(name)
    if path.is_file() or path.suffix in (".yaml", ".yml"):
        if not path.exists():
            raise RecipeError(f"{name}: no such recipe file")
        return _file_source(str(name), path)
    return _bundled(str(name))


def copy_recipe(name: str, target: Path) -> RecipeSource:
    """Write a bundled recipe to a file of one's own; a step of a chain becomes a whole recipe.

    A recipe that is like another stays so; the lines of the other follow it as comments.

    Raises
    ------
    RecipeError
        If there is no such recipe, or the file is there already.
    """
    source = find_recipe(name)
    text = source.file.text
    if source.places[0].keys:
        keys = sorted(source.values, key=list(Recipe.model_fields).index)
        text = yaml.safe_dump(
            {key: source.values[key] for key in keys}, sort_keys=False, allow_unicode=True
        )
        text = f"# {source.purpose}\n{text}"
    else:
        for base, _ in source.places[1:]:
            lines = [f"# {line}".rstrip() for line in base.text.splitlines() if line[:1] != "#"]
            shown = Path(base.name).with_suffix("")
            shown = shown.relative_to(RECIPES) if shown.is_relative_to(RECIPES) else shown
            text += f"\n# {shown} holds where the lines above say nothing else:\n#\n"
            text += "\n".join(lines) + "\n"
    try:
        with target.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        raise RecipeError(f"{target}: is there already; give another name") from None
    return source


def _bundled(name: str, above: tuple[Path, ...] = ()) -> RecipeSource:
    name = RENAMED_RECIPES.get(name, name)
    names = bundled_names()
    if name not in names:
        near = difflib.get_close_matches(name, names, 3)
        hint = f"is {' or '.join(near)} meant? " if near else ""
        raise RecipeError(
            f"{name}: no such recipe; {hint}`ct-assistant recipes list` shows the bundled ones"
        )
    path = RECIPES / f"{name}.yaml"
    if path.is_file():
        return _file_source(name, path, above)
    family, _, step = name.rpartition("/")
    return _step_source(RECIPES / family / CHAIN, family, step)


def _file_source(name: str, path: Path, above: tuple[Path, ...] = ()) -> RecipeSource:
    """Read a recipe's file. above: the files that are like this one."""
    file = _read(path)
    if not isinstance(file.values, dict):
        found = type(file.values).__name__
        raise RecipeError(f"{path}: a recipe is a mapping of keys, found {found}")
    first = file.text.partition("\n")[0]
    purpose = first.removeprefix("#").strip() if first.startswith("#") else ""
    values = deepcopy(file.values)
    places: tuple[Place, ...] = (Place(file),)
    if LIKE in values:
        base = _base(file, values.pop(LIKE), path, (*above, path.resolve()))
        values, places = merged(deepcopy(base.values), values), (*places, *base.places)
    return RecipeSource(name, purpose, values, places)


def _base(file: YamlFile, name: object, path: Path, above: tuple[Path, ...]) -> RecipeSource:
    """Return the recipe that the one in `file` is like."""
    if not isinstance(name, str):
        raise RecipeError(file.locate((LIKE,), f"{LIKE}: expected the name of a recipe"))
    beside = path.parent / name
    try:
        if beside.is_file():
            if beside.resolve() in above:
                raise RecipeError(f"{name} is like this recipe itself")
            return _file_source(name, beside, above)
        return _bundled(name, above)
    except RecipeError as error:
        raise RecipeError(file.locate((LIKE,), f"{LIKE}: {error}")) from None


def _step_source(path: Path, family: str, name: str) -> RecipeSource:
    file, chain = _chain(path)
    step = next(step for step in chain.steps if step.name == name)
    places = tuple(Place(file, keys) for keys in chain.places(name))
    return RecipeSource(f"{family}/{name}", step.purpose, deepcopy(chain.values(name)), places)


@cache
def _chain(path: Path) -> tuple[YamlFile, ChainFile]:
    file = _read(path)
    return file, read_chain(file)


def _read(path: Path) -> YamlFile:
    try:
        return read_yaml(path)
    except YamlFileError as error:
        raise RecipeError(str(error)) from None
