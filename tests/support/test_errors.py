"""The tree of errors: each derives from one base, and the drawing shows them all."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import napari_ct_assistant
from napari_ct_assistant.support import errors
from napari_ct_assistant.support.errors import CTAssistantError

ROOT = Path(__file__).parents[2]
STANDARD = re.compile(r"(Exception|(Value|OS|Runtime|Type|Key|Lookup)Error)$")


def _classes() -> dict[str, list[str]]:
    """Return each public exception that the sources define, with the names of its bases."""
    found: dict[str, list[str]] = {}
    for folder in (ROOT / "src", ROOT / "training"):
        for path in folder.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    found[node.name] = [ast.unparse(base) for base in node.bases]
    raised = {"CTAssistantError"}
    while True:
        more = {
            name
            for name, bases in found.items()
            if any(base in raised or STANDARD.match(base) for base in bases)
        }
        if more <= raised:
            return {name: found[name] for name in raised}
        raised |= more


def _drawn() -> dict[str, list[str]]:
    """Return the tree in the module's docstring in the same form."""
    above: list[str] = []
    found: dict[str, list[str]] = {}
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"    ([ │├└─]*)(\w+)(?: \[(\w+)\])?(?:  |$)", line)
        if match:
            depth = len(match[1]) // 4
            above = [*above[:depth], match[2]]
            standard = [match[3]] if match[3] else [] if depth else ["Exception"]
            found[match[2]] = [*above[depth - 1 : depth], *standard]
    return found


def test_every_error_is_in_the_tree_as_it_is_drawn() -> None:
    assert _drawn() == _classes()


def test_the_base_is_exported() -> None:
    assert napari_ct_assistant.CTAssistantError is CTAssistantError
    assert issubclass(napari_ct_assistant.CTReadError, CTAssistantError)


def test_a_journal_error_is_still_an_os_error() -> None:
    from napari_ct_assistant.assistant.journal.store import JournalError

    with pytest.raises(OSError, match=r"^the disk is full$"):
        raise JournalError("the disk is full")
