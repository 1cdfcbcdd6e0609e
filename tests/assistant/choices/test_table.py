"""The table of choices: written row by row, read back, refused in one line."""

from __future__ import annotations

import csv
import os
from dataclasses import replace
from pathlib import Path

import pytest

from napari_ct_assistant.assistant.choices.table import (
    COLUMNS,
    Choice,
    ChoicesError,
    append_choice,
    read_choices,
)

ROW = Choice("ab" * 32, "demo", "cd" * 32, "other", "ef" * 32, "left", 12.34, "yes", "Sharper.")


def test_rows_are_added_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "choices.csv"
    append_choice(path, ROW)
    append_choice(path, replace(ROW, choice="equal", note='Both, "alike"\nin all'))
    first, second = read_choices(path)
    assert first == replace(ROW, seconds=12.3)
    assert second.note == 'Both, "alike" in all'
    with path.open(newline="") as file:
        assert tuple(next(csv.reader(file))) == COLUMNS
    if os.name == "posix":
        assert path.stat().st_mode & 0o777 == 0o600


def test_a_table_from_a_spreadsheet_is_read(tmp_path: Path) -> None:
    """Excel writes a byte order mark, other columns may follow, and the last line has no end."""
    path = tmp_path / "choices.csv"
    head = ",".join((*COLUMNS, "mine"))
    path.write_text(f"\ufeff{head}\r\ns,a,,b,,right,3,no,,x", encoding="utf-8")
    (row,) = read_choices(path)
    assert (row.left, row.choice, row.seconds) == ("a", "right", 3.0)


def test_a_row_is_not_glued_to_an_unfinished_one(tmp_path: Path) -> None:
    path = tmp_path / "choices.csv"
    append_choice(path, ROW)
    path.write_text(path.read_text().rstrip())
    append_choice(path, ROW)
    assert len(read_choices(path)) == 2


def test_no_cell_is_a_formula(tmp_path: Path) -> None:
    path = tmp_path / "choices.csv"
    append_choice(path, replace(ROW, note="=HYPERLINK(1)"))
    assert ",'=HYPERLINK(1)" in path.read_text()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the column 'scan' is missing"),
        ("a,b\n1,2\n", "the column 'scan' is missing"),
        (",".join(COLUMNS) + "\ns,a,,b,,best,3,yes,\n", "row 2: choice 'best'"),
        (",".join(COLUMNS) + "\ns,a,,b,,left,soon,yes,\n", "row 2: seconds 'soon'"),
        (",".join(COLUMNS) + "\ns,a,,b,,left\n", "row 2: 6 values for 9 columns"),
        (",".join(COLUMNS) + "\ns,,,b,,left,3,yes,\n", "row 2: scan, left and right"),
    ],
)
def test_another_table_is_refused_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "choices.csv"
    path.write_text(text)
    with pytest.raises(ChoicesError, match=said) as error:
        read_choices(path)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith("choices.csv")


def test_a_foreign_file_is_not_written_to(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("name,age\n")
    with pytest.raises(ChoicesError):
        append_choice(path, ROW)
    assert path.read_text() == "name,age\n"
