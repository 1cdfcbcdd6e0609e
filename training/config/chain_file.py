"""A chain of stages in one YAML file: its steps in order, each with its recipe and its purpose."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from napari_ct_assistant.support.yaml_models import Keys, YamlFile, explain
from napari_ct_assistant.training.config.errors import RecipeError


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ChainStep(_Strict):
    """One stage of the chain.

    Parameters
    ----------
    name
        The recipe is called CHAIN/NAME.
    branch
        Steps of different branches do not need each other; those without one need all before.
    source
        Whether the step is a paper's or our own addition.
    purpose, effect
        What the step is for, in one line, and what was measured of it.
    minutes
        How long it took, on the machine that the file names.
    like
        An earlier step whose recipe holds where this one says nothing else.
    recipe
        The keys of a recipe.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    branch: str | None = None
    source: Literal["E3D-GPT", "ours"]
    purpose: str
    effect: str
    minutes: float = Field(gt=0)
    like: str | None = None
    recipe: dict[str, Any]


class ChainFile(_Strict):
    """A chain of steps; `defaults` holds for every step that says nothing else."""

    defaults: dict[str, Any] = {}
    steps: tuple[ChainStep, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _clear(self) -> ChainFile:
        names: list[str] = []
        together: list[str] = []
        for step in self.steps:
            if step.name in names:
                raise ValueError(f"two steps are called {step.name}")
            if step.like is not None and step.like not in names:
                raise ValueError(f"step {step.name} is like {step.like}, which is no earlier step")
            if step.branch is not None and together:
                raise ValueError(
                    f"step {step.name} of branch {step.branch} comes after {together[0]}, which "
                    "needs all branches"
                )
            names.append(step.name)
            together += [step.name] if step.branch is None else []
        return self

    def values(self, name: str) -> dict[str, Any]:
        """Return the whole recipe of a step."""
        step = self._step(name)
        base = self.defaults if step.like is None else self.values(step.like)
        return merged(base, step.recipe)

    def places(self, name: str) -> list[Keys]:
        """Return where in the file the keys of a step's recipe may stand, the nearest first."""
        step = self._step(name)
        own: Keys = ("steps", self.steps.index(step), "recipe")
        return [own, *([("defaults",)] if step.like is None else self.places(step.like))]

    def _step(self, name: str) -> ChainStep:
        return next(step for step in self.steps if step.name == name)


def read_chain(file: YamlFile) -> ChainFile:
    """Return the chain in a file.

    Raises
    ------
    RecipeError
        One line: file, line, what is wrong.
    """
    try:
        return ChainFile.model_validate(file.values)
    except ValidationError as error:
        raise RecipeError(file.locate(*explain(error, ChainFile)[0])) from None


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return `base` with `changes`; of a group of keys in both, only the changed keys differ.

    A group of another `kind` has other keys, and one that names its source (an encoder's `preset`
    or `start`) has no other; both replace the old group whole.
    """
    result = dict(base)
    for key, value in changes.items():
        old = result.get(key)
        if isinstance(old, dict) and isinstance(value, dict) and not _replaces(old, value):
            value = merged(old, value)
        result[key] = value
    return result


def _replaces(old: dict[str, Any], new: dict[str, Any]) -> bool:
    if "kind" in new:
        return new["kind"] != old.get("kind")
    return any(key in new and key not in old for key in ("preset", "start")) and (
        "preset" in old or "start" in old
    )
