"""The table of `napari_ct_assistant.model` names its files with their true length."""

from __future__ import annotations

import re
from pathlib import Path

from napari_ct_assistant import model


def test_the_table_is_true() -> None:
    folder = Path(str(model.__file__)).parent
    rows = re.findall(r"\| `(\w+\.py)` \| (\d+) \|", str(model.__doc__))
    assert len(rows) == 7
    for name, lines in rows:
        found = len((folder / name).read_text(encoding="utf-8").splitlines())
        assert abs(found - int(lines)) <= 15, f"{name} has {found} lines"


def test_every_file_is_named() -> None:
    folder = Path(str(model.__file__)).parent
    names = {file.name for file in folder.glob("*.py")} - {"__init__.py", "errors.py"}
    assert not [name for name in names if f"`{name}`" not in str(model.__doc__)]
