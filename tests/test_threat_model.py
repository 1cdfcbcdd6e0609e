"""Each statement of the threat model names tests, and these exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "threat-model.md"
NAMED = re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE.read_text(encoding="utf-8"))


@cache
def functions(file: str) -> set[str]:
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def rows() -> list[list[str]]:
    """Return the cells of each row of the tables whose last column is headed Test."""
    found, wanted = [], False
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line[:1] == "|" else []
        if not cells:
            wanted = False
        elif cells[-1] == "Test":
            wanted = True
        elif wanted and set(cells[-1]) != {"-"}:
            found.append(cells)
    return found


def test_every_statement_names_a_test() -> None:
    assert len(rows()) > 40
    for cells in rows():
        assert re.fullmatch(r"(`[\w/]+\.py::\w+`(, )?)+", cells[-1]), cells


@pytest.mark.parametrize(("file", "name"), sorted(set(NAMED)))
def test_the_tests_exist(file: str, name: str) -> None:
    assert name in functions(file), f"{file} has no test {name}"


def test_security_md_leads_to_it() -> None:
    assert "docs/threat-model.md" in (TESTS.parent / "SECURITY.md").read_text(encoding="utf-8")
