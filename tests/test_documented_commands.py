"""Every `ct-assistant` line of the pages is parsed by the real command line.

Unknown commands, options and arguments fail. Recipes that a line names are loaded with the
settings of the line, and stage folders that it names must be those that recipes write.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typer.exceptions import TyperException
from typer.main import get_command

from napari_ct_assistant.cli import app
from napari_ct_assistant.training.config.bundled import bundled_recipes
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.load import load_recipe
from napari_ct_assistant.training.config.recipe import Recipe
from tests.documentation import ROOT, Code, code, pages, recipes

COMMANDS: Any = get_command(app)
# What a page writes for the reader's own value: RECIPE, RECIPE.yaml, my_recipe.yaml, OWNER/NAME.
PLACEHOLDER = re.compile(r"[A-Z][A-Z_]*(\.[a-z.]+)?|[A-Z_]+/[A-Z_]+|.*\.ya?ml")
MENTION = "..."


@dataclass(frozen=True)
class Invocation:
    """The arguments of one `ct-assistant` command in a page."""

    code: Code
    arguments: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.code.page}:{self.code.line}: ct-assistant {' '.join(self.arguments)}"


def invocations(found: Code) -> Iterator[Invocation]:
    """Yield each `ct-assistant` command of a piece of code, without the notation around it.

    `[--option X]` is optional, `a|b` is a choice of which the first is taken, and `...` stands
    for what is left out.
    """
    text = found.text.replace("\\|", "|")
    first, space, _ = text.partition(" ")
    if found.inline and space and first in COMMANDS.commands:
        text = f"ct-assistant {text}"  # such as `train demo` and `models import`
    if "ct-assistant" not in text and "napari_ct_assistant" not in text:
        return
    text = re.sub(r"(?<=[\w.])(\|[\w.]+)+", "", text)
    words = shlex.shlex(text, posix=True, punctuation_chars="&|;")
    words.whitespace_split = True
    command: list[str] | None = None
    last = ""
    for word in [*words, ";"]:
        if set(word) <= set("&|;"):
            if command:
                yield Invocation(found, tuple(command))
            command = None
        elif command is not None:
            command += bare(word)
        elif program(last, word):
            command = []
        last = word


def program(before: str, word: str) -> bool:
    """Return whether a word starts the command line, by its name or as Python's module."""
    named = word == "ct-assistant" or word.endswith("bin/ct-assistant")
    return named or (before, word) == ("-m", "napari_ct_assistant")


def bare(word: str) -> list[str]:
    """Return a word without the brackets that mark what may be left out."""
    word = word.removeprefix("[")
    if word.count("]") > word.count("["):
        word = word.removesuffix("]")
    return [word] if word else []


def problem(invocation: Invocation, written: frozenset[Path]) -> str:
    """Return what is wrong with a command, or "" if nothing is.

    Parameters
    ----------
    invocation
        The command.
    written
        Folders that the bundled recipes and the page's own `train` lines write.
    """
    command, rest = COMMANDS, list(invocation.arguments)
    names = []
    while hasattr(command, "get_command"):
        if not rest or rest[0].startswith("-"):
            # A group by itself, or with its own options, such as --version.
            known = {name for option in command.params for name in option.opts} | {"--help"}
            return "" if set(rest) <= known else f"no such option: {rest[0]}"
        names.append(rest.pop(0))
        command = command.get_command(None, names[-1])
        if command is None:
            return f"no such command: {' '.join(names)}"
    cut = MENTION in rest
    rest = [word for word in rest if word != MENTION]
    # Inline code that only names a command needs no arguments.
    mention = cut or (invocation.code.inline and not rest)
    try:
        values = command.make_context(names[-1], rest, resilient_parsing=mention).params
        check_recipes(names, values, written)
    except (TyperException, RecipeError) as error:
        return str(error)
    return ""


def check_recipes(names: list[str], values: dict[str, Any], written: frozenset[Path]) -> None:
    """Load the bundled recipes that a command names; check its stage and folders.

    Raises
    ------
    RecipeError
        If a recipe or a setting is wrong, or a folder is none that a recipe writes.
    """
    overrides = [text for text in values.get("overrides") or () if text != "KEY=VALUE"]
    recipes = [values[name] for name in ("recipe", "what") if values.get(name)]
    for text in values.get("recipes") or ():  # `compare` takes both as one list
        (overrides if "=" in text else recipes).append(text)
    overrides = [text for text in overrides if text != "KEY=VALUE"]
    stage = values.get("stage")
    if names == ["train"] and stage == "demo":
        overrides += [text for text in recipes if "=" in text]
        recipes = ["demo/mae"] if overrides else []  # these hold for every stage
        stage = None
    for name in recipes:
        if PLACEHOLDER.fullmatch(name) or name in known_networks():
            continue
        recipe = load_recipe(name, overrides)
        if stage not in (None, "STAGE", recipe.stage):
            raise RecipeError(f"{name} is a recipe of stage {recipe.stage}, not {stage}")
        changed = {text.partition("=")[0] for text in overrides}
        for key, folder in stage_folders(recipe):
            if key in changed and not folder.is_absolute() and folder not in written:
                raise RecipeError(f"{key}={folder}: no recipe writes this folder")


def known_networks() -> frozenset[str]:
    """Return what `parameters` counts besides recipes."""
    from napari_ct_assistant.training.parameters import PRESETS

    return frozenset({*PRESETS, "demo"})


def stage_folders(recipe: Recipe) -> Iterator[tuple[str, Path]]:
    """Yield the folders of earlier stages that a recipe starts from, with their keys."""
    if recipe.model is not None:
        yield "model", recipe.path(recipe.model)
    if recipe.encoder is not None and recipe.encoder.start is not None:
        yield "encoder.start", recipe.path(recipe.encoder.start)
    if recipe.language.start is not None:
        yield "language.start", recipe.path(recipe.language.start)


@cache
def bundled_folders() -> frozenset[Path]:
    """Return the folders that the bundled recipes write."""
    return frozenset(load_recipe(name).folder for name in bundled_names())


@cache
def bundled_names() -> frozenset[str]:
    """Return the names of the bundled recipes."""
    return frozenset(source.name for source in bundled_recipes())


def folders_written(page: Path) -> frozenset[Path]:
    """Return the folders that bundled recipes and the page's own `train` lines write."""
    found = set(bundled_folders())
    for one in (one for piece in code(page) for one in invocations(piece)):
        if one.arguments[:1] == ("train",) and len(one.arguments) > 2:
            recipe, *overrides = one.arguments[2:]
            if recipe in bundled_names():
                settings = [text for text in overrides if not text.startswith("-")]
                found.add(load_recipe(recipe, settings).folder)
    return frozenset(found)


@pytest.mark.parametrize(
    "page", [*pages(), *recipes()], ids=lambda page: page.relative_to(ROOT).as_posix()
)
def test_every_command_of_a_page_can_work(page: Path) -> None:
    written = folders_written(page)
    found = [one for piece in code(page) for one in invocations(piece)]
    wrong = [f"{one}: {what}" for one in found if (what := problem(one, written))]
    assert not wrong, "\n".join(wrong)


def test_the_pages_have_commands() -> None:
    """A reader of pages that finds nothing would make every other test here pass."""
    found = [one for page in pages() for piece in code(page) for one in invocations(piece)]
    assert len(found) > 60
    assert {one.code.inline for one in found} == {True, False}
    readme = [one for one in found if one.code.page == "README.md"]
    assert ("demo",) in [one.arguments for one in readme]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("ct-assistant reprot PATH", "no such command: reprot"),
        ("ct-assistant models fetch X", "no such command: models fetch"),
        ("ct-assistant report PATH --modle demo", "No such option: --modle"),
        ("ct-assistant report", "Missing"),
        ("ct-assistant report PATH SECOND", "unexpected extra argument"),
        ("ct-assistant report PATH --dtype bf17", "bf17"),
        ("ct-assistant report PATH | head && ct-assistant screen", "Missing"),
        ("torchrun -m napari_ct_assistant trian ...", "no such command: trian"),
        ("ct-assistant train mae demo/absent", "demo/absent"),
        ("ct-assistant train align demo/mae", "stage mae, not align"),
        ("ct-assistant train mae demo/mae training.sample=3", "sample"),
        ("ct-assistant compare perceivers/instruct model=4-nothing --test a.csv", "4-nothing"),
        ("ct-assistant train demo colour=red", "colour"),
    ],
)
def test_wrong_commands_are_found(line: str, said: str) -> None:
    found = list(invocations(Code("page.md", 1, line, inline=False)))
    assert said in "\n".join(problem(one, bundled_folders()) for one in found)


@pytest.mark.parametrize(
    "line",
    [
        ".venv/bin/pip install . && .venv/bin/ct-assistant demo",
        "ct-assistant report SCAN --model M [--device cuda] [--dtype auto|bf16] [--quantize 8bit]",
        "ct-assistant models import FOLDER_OR_HUB_ID [OUT] [--base MODEL]",
        "ct-assistant compare RECIPE [RECIPE] --test DATASET [KEY=VALUE ...]",
        "ct-assistant train mae my_recipe.yaml training.samples=1000   # one stage",
        "ct-assistant prepare e3d_gpt/mae 'data={kind: ct_rate, root: R, store: volumes}' root=r",
        "torchrun --nproc-per-node 2 -m napari_ct_assistant train ...",
        "ct-assistant --version",
    ],
)
def test_right_commands_pass(line: str) -> None:
    (one,) = invocations(Code("page.md", 1, line, inline=False))
    assert problem(one, bundled_folders()) == ""
