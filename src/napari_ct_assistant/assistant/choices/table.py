"""The table of choices: one row for each pair of reports that a reader compared.

The panel and the command line write and read the same CSV. It names no patient: a scan is the
hash of its voxels, a model its name and the hash of its weights.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Final, Literal, get_args

from napari_ct_assistant.support.errors import CTAssistantError
from napari_ct_assistant.support.plain_text import plain
from napari_ct_assistant.support.translation import said

Preference = Literal["left", "right", "equal"]
# A spreadsheet takes a cell that begins with one of these for a formula.
_FORMULA: Final = ("=", "+", "-", "@")


class ChoicesError(CTAssistantError, ValueError):
    """A table of choices that cannot be used; one line with the file's name and the row."""


@dataclass(frozen=True)
class Choice:
    """One comparison of two reports of one scan.

    Attributes
    ----------
    scan : str
        Hash of the scan's voxels (`CTVolume.fingerprint`).
    left, right : str
        The models' names, as they stood on the screen.
    left_weights, right_weights : str
        SHA-256 of their weights.
    choice : {"left", "right", "equal"}
    seconds : float
        From the moment at which both reports were shown.
    blind : str
        "yes" if the names were hidden.
    note : str
        Why, in the reader's words.
    """

    scan: str
    left: str
    left_weights: str
    right: str
    right_weights: str
    choice: Preference
    seconds: float
    blind: str = "yes"
    note: str = ""

    @property
    def models(self) -> tuple[str, str]:
        """Both models, each told from others of its name by the hash of its weights."""
        return (
            model_key(self.left, self.left_weights),
            model_key(self.right, self.right_weights),
        )


COLUMNS: Final = tuple(field.name for field in fields(Choice))


def model_key(name: str, weights: str) -> str:
    """Return a model's name with the beginning of the hash of its weights."""
    return f"{name} {weights[:8]}".strip()


def append_choice(path: str | Path, choice: Choice) -> None:
    """Add a row to a table; a new file gets a header and can be read by its owner only.

    Raises
    ------
    ChoicesError
        If the file is not a table of choices.
    OSError
        If it cannot be written.
    """
    path = Path(path)
    new = not path.exists() or path.stat().st_size == 0
    if not new:
        with path.open(encoding="utf-8", newline="") as file:
            _check_header(path, next(csv.reader(file), []))
            file.seek(0, io.SEEK_END)
            file.seek(file.tell() - 1)
            ends = file.read(1) in "\r\n"
    made = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(made, "a", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        if new:
            rows.writerow(COLUMNS)
        elif not ends:
            file.write("\n")
        rows.writerow(_cell(value) for value in astuple(choice))
        file.flush()
        os.fsync(file.fileno())


def read_choices(path: str | Path) -> list[Choice]:
    """Read a table of choices.

    Raises
    ------
    ChoicesError
        With the number of the row that is wrong, and what is wrong in it.
    OSError
        If the file cannot be read.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ChoicesError(
            said("{name}: not a CSV table: {error}", name=path.name, error=error)
        ) from error
    _check_header(path, rows[0] if rows else [])
    return list(_choices(path, rows))


def _choices(path: Path, rows: list[list[str]]) -> Iterator[Choice]:
    header = rows[0]
    for number, row in enumerate(rows[1:], 2):
        if not any(row):
            continue
        if len(row) != len(header):
            raise ChoicesError(
                said(
                    "{name}, row {number}: {count} values for {count2} columns",
                    name=path.name,
                    number=number,
                    count=len(row),
                    count2=len(header),
                )
            )
        cells = dict(zip(header, row, strict=True))
        if cells["choice"] not in get_args(Preference):
            raise ChoicesError(
                said(
                    "{name}, row {number}: choice {cells}; give left, right or equal",
                    name=path.name,
                    number=number,
                    cells=repr(cells["choice"][:40]),
                )
            )
        if not cells["left"] or not cells["right"] or not cells["scan"]:
            raise ChoicesError(
                said(
                    "{name}, row {number}: scan, left and right must be given",
                    name=path.name,
                    number=number,
                )
            )
        try:
            seconds = float(cells["seconds"])
        except ValueError:
            raise ChoicesError(
                said(
                    "{name}, row {number}: seconds {cells} is no number",
                    name=path.name,
                    number=number,
                    cells=repr(cells["seconds"][:40]),
                )
            ) from None
        choice: Preference = cells["choice"]  # type: ignore[assignment]
        yield Choice(
            **{name: cells[name] for name in COLUMNS if name not in ("choice", "seconds")},
            choice=choice,
            seconds=seconds,
        )


def _check_header(path: Path, header: list[str]) -> None:
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise ChoicesError(
            said(
                "{name}: no table of choices; the column {missing} is missing",
                name=path.name,
                missing=repr(missing[0]),
            )
        )


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.1f}"
    text = " ".join(plain(str(value)).split())
    return f"'{text}" if text.startswith(_FORMULA) else text
