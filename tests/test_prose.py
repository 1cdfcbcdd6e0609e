"""The pages and help texts keep the project's rules: width, vocabulary, links, examples."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from napari_ct_assistant.cli import app
from tests.documentation import ROOT, pages, split

WIDTH = 120
# What the command line's list of commands shows of a help text without cutting it.
SUMMARY = 62
# Words that the project gave a meaning of its own, and the field's term for each.
NOT_THE_FIELDS = {
    r"familiarity": "out-of-distribution detector",
    r"untaught": "unreliable",
    r"\bjudged\b": "assessable",
    r"ReadingRoom|\w+Desk\b|\bdesks\b": "model session, controller",
    r"\bTracer\b|tracer\.": "attributor",
    r"num_visual_tokens": "num_image_tokens",
    r"\bwords\.py\b|\blook\.py\b": "texts, theme",
    r"stage `?maps`?\b": "stage oracle_maps",
    r"\bso many\b": "the number",
    r"what it says of\b": "what it says about",
    r"\bgoes on where it (?:was|stopped)\b": "resumes",
}
PAGES = pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())


def commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield a command and all below it, each with its full name."""
    yield name, command
    for below in getattr(command, "commands", {}).values():
        yield from commands(below, f"{name} {below.name}")


COMMANDS = dict(commands(get_command(app), "ct-assistant"))


def help_texts(command: Any) -> Iterator[str]:
    """Yield every text that `--help` of a command shows."""
    yield command.help or ""
    for parameter in command.params:
        yield getattr(parameter, "help", None) or ""


def banned(text: str) -> list[str]:
    """Return what of a text is not the field's vocabulary, each with the better term."""
    return [
        f"{found[0]!r}: write {better}"
        for pattern, better in NOT_THE_FIELDS.items()
        for found in re.finditer(pattern, text, re.IGNORECASE)
    ]


@PAGES
def test_lines_are_narrow(page: Path) -> None:
    """The rows of a table cannot be wrapped, nor can an address."""
    wide = [
        f"{page.name}:{number}: {len(line)} columns"
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1)
        if len(line) > WIDTH and not line.lstrip().startswith(("|", "![")) and "://" not in line
    ]
    assert not wide, "\n".join(wide)


@PAGES
def test_pages_use_the_fields_terms(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    if page.name == "CHANGELOG.md":  # it names what was renamed
        pytest.skip("history")
    assert not banned(text)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_texts_use_the_fields_terms(name: str) -> None:
    assert not [wrong for text in help_texts(COMMANDS[name]) for wrong in banned(text)]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_explained(name: str) -> None:
    for text in help_texts(COMMANDS[name]):
        assert text.endswith("."), f"{name}: not a sentence: {text!r}"


@pytest.mark.parametrize("name", [name for name in COMMANDS if name.count(" ")])
def test_summaries_fit_into_the_list_of_commands(name: str) -> None:
    summary = COMMANDS[name].help.partition("\n\n")[0]
    assert len(" ".join(summary.split())) <= SUMMARY, summary


@PAGES
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in anchors(file), f"{page.name} links to {target}"


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    prose, _ = split(page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-") for text in headings}


def python_examples() -> list[Any]:
    """Return the Python code blocks of the pages, named by page and line."""
    found = []
    for page in pages():
        text = page.read_text(encoding="utf-8")
        for block in re.finditer(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            line = text.count("\n", 0, block.start()) + 2
            found.append(pytest.param(block[1], id=f"{page.name}:{line}"))
    return found


@pytest.mark.parametrize("example", python_examples())
def test_python_examples_import_what_exists(example: str) -> None:
    for node in ast.walk(ast.parse(example)):
        if isinstance(node, ast.ImportFrom) and node.module:
            module = importlib.import_module(node.module)
            for alias in node.names:
                assert hasattr(module, alias.name), f"{node.module} has no {alias.name}"


def test_the_api_pages_name_modules_that_exist() -> None:
    for page in (ROOT / "docs" / "api").glob("*.md"):
        for module in re.findall(r"^::: ([\w.]+)", page.read_text(encoding="utf-8"), re.MULTILINE):
            importlib.import_module(module)


def test_the_architecture_page_names_files_that_exist() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z_]+(?:/\w+)*(?:/|/\w+\.py))`", text))
    assert len(named) > 40
    homes = (ROOT, ROOT / "src" / "napari_ct_assistant")
    missing = [name for name in named if not any((home / name).exists() for home in homes)]
    assert not missing


def test_the_index_lists_every_page() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"\]\(([^)#]+)\)", index))
    there = {path.name for path in (ROOT / "docs").glob("*.md")} - {"index.md"}
    assert there <= listed
