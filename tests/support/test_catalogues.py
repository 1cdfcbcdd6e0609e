"""Every catalogue is complete, and its compiled form is that of its texts."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
from scripts.translations import (
    PACKAGE,
    catalogues,
    content,
    extract_texts,
    merged,
    mo_bytes,
    po_bytes,
    problems,
    read,
)

from napari_ct_assistant.support.translation import FOLDER, languages

UPDATE = "run `python scripts/translations.py`, then translate what it names"


@pytest.fixture(scope="module")
def texts() -> Any:
    return extract_texts()


def test_the_package_has_the_languages_of_the_catalogues() -> None:
    assert languages() == ["en", *catalogues()]
    assert "de" in languages()


@pytest.mark.parametrize("language", catalogues())
def test_a_catalogue_is_complete(language: str, texts: Any) -> None:
    path = catalogues()[language]
    wrong = list(problems(merged(path, texts)))
    assert not wrong, f"{language}: {UPDATE}:\n" + "\n".join(wrong)
    assert path.read_bytes() == po_bytes(merged(path, texts)), f"{language}: {UPDATE}"


@pytest.mark.parametrize("language", catalogues())
def test_the_compiled_catalogue_is_that_of_the_texts(language: str) -> None:
    path = catalogues()[language]
    installed = FOLDER / path.relative_to(PACKAGE / "locale").with_suffix(".mo")
    compiled = content(mo_bytes(path.read_bytes()))
    assert len(compiled) > 100
    assert content(installed.read_bytes()) == compiled, f"{language}: {UPDATE}"


def test_what_a_check_of_a_catalogue_finds(tmp_path: Path) -> None:
    path = tmp_path / "de" / "LC_MESSAGES" / "x.po"
    path.parent.mkdir(parents=True)
    head = 'msgid ""\nmsgstr "Plural-Forms: nplurals=2; plural=(n != 1);\\n"\n'
    entries = (
        ('msgid "right {n}"', 'msgstr "richtig {n}"'),
        ('msgid "missing"', 'msgstr ""'),
        ('#, fuzzy\nmsgid "in doubt"', 'msgstr "fraglich"'),
        ('msgid "{n} of {total}"', 'msgstr "{n} von {m}"'),
        ('msgid "Choose…"', 'msgstr "Wählen"'),
        ('msgid "{n} warnings: "', 'msgstr "{n} Warnungen:"'),
        ('msgid "{n} word"\nmsgid_plural "{n} words"', 'msgstr[0] "{n} Wort"\nmsgstr[1] ""'),
    )
    body = "\n\n".join("\n".join(entry) for entry in entries)
    path.write_text(f"{head}\n{body}\n", encoding="utf-8")
    found = list(problems(read(path)))
    assert [problem.partition(":")[0] for problem in found] == [
        "not translated",
        "in doubt (fuzzy)",
        "other places than ['{n}', '{total}']",
        "begins or ends with other spaces or signs",
        "begins or ends with other spaces or signs",
        "not translated",
    ]


def test_every_marked_text_is_extracted(texts: Any) -> None:
    """The extraction reads tokens; a text within an f-string would escape it."""
    extracted = {part for one in texts if one.id for part in _forms(one.id)}
    marked = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                first = {"_": 0, "N_": 0, "said": 0, "ngettext": 0, "pgettext": 1}.get(node.func.id)
                last = {"ngettext": 2, "pgettext": 2}.get(node.func.id, 1)
                if first is not None:
                    marked |= {
                        part.value
                        for part in node.args[first:last]
                        if isinstance(part, ast.Constant) and isinstance(part.value, str)
                    }
    assert marked == extracted


def _forms(text: str | tuple[str, ...]) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else text
