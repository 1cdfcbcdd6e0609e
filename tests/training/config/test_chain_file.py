"""One file describes the demonstration model's chain; each step is a recipe."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_ct_assistant.support.yaml_models import YamlFile
from napari_ct_assistant.training.config.bundled import (
    RECIPES,
    Place,
    RecipeSource,
    bundled_chain,
    copy_recipe,
    find_recipe,
)
from napari_ct_assistant.training.config.chain_file import read_chain
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.load import load_recipe

CHAIN = """\
defaults:
  root: runs
  data: {kind: phantoms}
steps:
  - name: first
    branch: one
    source: ours
    purpose: Begin.
    effect: None.
    minutes: 1
    recipe: {stage: mae, data: {count: 3}, training: {samples: 4, batch_size: 2}}
  - name: second
    source: E3D-GPT
    purpose: Go on.
    effect: None.
    minutes: 2
    like: first
    recipe:
      training: {samples: 5}
"""


def step_source(text: str, name: str) -> RecipeSource:
    file = YamlFile("chain.yaml", text)
    chain = read_chain(file)
    places = tuple(Place(file, keys) for keys in chain.places(name))
    return RecipeSource(name, "", chain.values(name), places)


def test_a_step_overrides_the_step_it_is_like() -> None:
    assert step_source(CHAIN, "second").values == {
        "root": "runs",
        "data": {"kind": "phantoms", "count": 3},
        "stage": "mae",
        "training": {"samples": 5, "batch_size": 2},
    }


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (("training", "samples"), 19),
        (("training", "batch_size"), 11),
        (("data", "kind"), 3),
        (("training", "learning_rate"), 19),
        (("encoder",), 18),
    ],
    ids=["its own", "of the step it is like", "of all steps", "missing in a group", "missing"],
)
def test_an_error_names_the_line_of_the_value(keys: tuple[str, ...], line: int) -> None:
    assert (
        step_source(CHAIN, "second")
        .locate(keys, "wrong")
        .startswith(f"chain.yaml line {line}: wrong [")
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name: second", "name: first", "line 1: two steps are called first"),
        ("like: first", "like: third", "line 1: step second is like third, which is no earlier"),
        ("branch: one\n", "like: first\n", "step first is like first, which is no earlier"),
        ("source: ours", "source: theirs", r"line 7: steps\[0\].source: "),
        ("    minutes: 2\n", "", r"line 12: steps\[1\].minutes is missing"),
        ("    effect: None.\n", "", r"line 5: steps\[0\].effect is missing"),
        ("  - name: second\n", "  - name: second\n    branch: one\n", ""),
        ("    branch: one\n", "", ""),
    ],
)
def test_an_error_in_a_chain_is_one_line(old: str, new: str, message: str) -> None:
    file = YamlFile("chain.yaml", CHAIN.replace(old, new, 1))
    if not message:
        read_chain(file)
        return
    with pytest.raises(RecipeError, match=message) as error:
        read_chain(file)
    assert "\n" not in str(error.value)


def test_no_branch_continues_after_a_step_that_needs_all_branches() -> None:
    swapped = CHAIN.replace("    branch: one\n", "").replace("like: first", "branch: one")
    with pytest.raises(RecipeError, match="second of branch one comes after first"):
        read_chain(YamlFile("chain.yaml", swapped))


def test_each_step_of_the_demonstration_model_starts_from_an_earlier_one() -> None:
    steps = bundled_chain("demo").steps
    recipes = [load_recipe(f"demo/{step.name}") for step in steps]
    papers = [step.name for step in steps if step.source == "E3D-GPT"]
    assert papers == ["mae", "align", "instruct"]
    branches = {step.name: step.branch for step in steps}
    written: dict[str, str] = {}
    for number, (step, recipe) in enumerate(zip(steps, recipes, strict=True), start=1):
        assert str(recipe.output) == f"{number}-{step.name.replace('_', '-')}"
        encoder = recipe.encoder.start if recipe.encoder else None
        for start in filter(None, (encoder, recipe.model, recipe.language.start)):
            earlier = written[str(start)]
            assert step.branch in (None, branches[earlier]), "a branch needs no other"
        written[str(recipe.output)] = step.name


@pytest.mark.parametrize("name", ["demo/instruct_again", "demo/oracle_maps", "e3d_gpt/mae"])
def test_a_copy_is_the_same_recipe(tmp_path: Path, name: str) -> None:
    copy_recipe(name, tmp_path / "own.yaml")
    assert load_recipe(tmp_path / "own.yaml") == load_recipe(name)
    assert find_recipe(tmp_path / "own.yaml").purpose == find_recipe(name).purpose
    with pytest.raises(RecipeError, match="is there already"):
        copy_recipe(name, tmp_path / "own.yaml")


def test_a_copied_file_keeps_its_comments(tmp_path: Path) -> None:
    copy_recipe("e3d_gpt/align", tmp_path / "own.yaml")
    assert (tmp_path / "own.yaml").read_text() == (RECIPES / "e3d_gpt/align.yaml").read_text()
