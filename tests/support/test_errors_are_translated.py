"""The text of every error that a reader of the panel can meet is in the catalogue."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import napari_ct_assistant
from napari_ct_assistant.support import errors

PACKAGE = Path(napari_ct_assistant.__file__).parent
# What these folders raise reaches the panel.
FOLDERS = ("volume", "assistant", "backends", "model")
# What only the command line runs: it writes English.
COMMAND_LINE = frozenset((PACKAGE / "model" / "conversion").rglob("*.py"))
TREE = frozenset(re.findall(r"[├└]── (\w+)", errors.__doc__ or ""))


def untranslated(source: str) -> list[str]:
    """Return the texts that are given to an error of the tree as they are."""
    return [
        f"{text.lineno}: {ast.unparse(text)}"
        for call in ast.walk(ast.parse(source))
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") in TREE
        for text in call.args
        if isinstance(text, ast.JoinedStr)
        or (isinstance(text, ast.Constant) and isinstance(text.value, str) and " " in text.value)
    ]


def test_a_text_of_its_own_is_found() -> None:
    assert untranslated('raise CTReadError(path, f"{n} slices")')
    assert untranslated('raise ExportError("the report is empty")')
    assert not untranslated('raise CTReadError(path, said("{n} slices", n=n))')


@pytest.mark.parametrize("folder", FOLDERS)
def test_errors_that_reach_the_panel_are_translated(folder: str) -> None:
    files = sorted(set((PACKAGE / folder).rglob("*.py")) - COMMAND_LINE)
    assert files
    found = {path.name: untranslated(path.read_text(encoding="utf-8")) for path in files}
    assert {name: texts for name, texts in found.items() if texts} == {}
