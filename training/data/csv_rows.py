"""Read a CSV as hospitals and data sets write them: any separator, encoding and header case."""

from __future__ import annotations

import codecs
import csv
import itertools
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from napari_ct_assistant.training.config.errors import RecipeError

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SEPARATORS = ",;\t|"
_SHOWN = 8  # rows and columns that a message lists before "..."


def read_rows(
    file: Path, needed: Sequence[str], optional: Sequence[str] = ()
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (row number, row) of a CSV with a header; the header is row 1, as in a spreadsheet.

    The separator is the one of `,`, `;`, tab and `|` that splits the header into the needed
    columns; Excel's line `sep=;` is understood. The encoding is UTF-8, UTF-16 or, if the file is
    neither, Windows-1252, in which Excel saves "CSV". Columns are found in upper and lower case,
    with spaces around or with `_` for a space, and are named as in `needed` and `optional`.

    Raises
    ------
    RecipeError
        If the file is absent, lacks a needed column, has one twice, cannot be decoded, or has
        rows with more cells than the header. The last names all such rows in one line.
    """
    # Reports may be longer than csv's limit of 128 KB.
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    encoding = find_encoding(file, needed)
    with file.open(newline="", encoding=encoding) as stream:
        header = stream.readline().rstrip("\r\n")
        named = re.fullmatch(r"(?i)sep=(.)", header)  # Excel's first line, not part of the table
        before = 1 if named else 0
        separator = named[1] if named else _separator(header, needed)
        stream.seek(0)
        lines = csv.reader(itertools.islice(stream, before, None), delimiter=separator, strict=True)
        yield from _rows(file, lines, needed, optional, before)


def find_encoding(file: Path, needed: Sequence[str] = ()) -> str:
    """Return the encoding of a text file, after reading all of it.

    Raises
    ------
    RecipeError
        If the file is absent, or is in no encoding that is tried.
    """
    try:
        with file.open("rb") as stream:
            head = stream.read(4096)
    except FileNotFoundError:
        expected = f"; expected a CSV with the columns {', '.join(needed)}" if needed else ""
        raise RecipeError(f"{file.name}: no such table{expected}") from None
    except IsADirectoryError:
        raise RecipeError(f"{file.name}: is a folder; name a CSV file") from None
    if head.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise RecipeError(f"{file.name}: is a spreadsheet; save it as CSV UTF-8 and name that file")
    for mark, name in _BOMS:
        if head.startswith(mark):
            return _decodes(file, name)
    if b"\0" in head:  # UTF-16 without a mark: half of the bytes of plain text are zero
        return _decodes(file, "utf-16-be" if head[:1] == b"\0" else "utf-16-le")
    try:
        return _decodes(file, "utf-8")
    except RecipeError:
        return _decodes(file, "cp1252")


def _decodes(file: Path, encoding: str) -> str:
    """Return the encoding if the whole file is in it; RecipeError otherwise."""
    decoder = codecs.getincrementaldecoder(encoding)()
    done = 0
    try:
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                decoder.decode(block)
                done += len(block)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise RecipeError(
            f"{file.name}: neither UTF-8, UTF-16 nor Windows-1252 (byte {done + error.start}); "
            "save it as CSV UTF-8"
        ) from None
    return encoding


def _separator(header: str, needed: Sequence[str]) -> str:
    """Return the separator that splits a header line into most of the needed columns."""

    def hits(separator: str) -> tuple[int, int]:
        cells = [_folded(cell) for cell in header.replace('"', "").split(separator)]
        return sum(_folded(name) in cells for name in needed), len(cells)

    return max(_SEPARATORS, key=hits)


def _rows(
    file: Path,
    lines: Iterator[list[str]],
    needed: Sequence[str],
    optional: Sequence[str],
    before: int,
) -> Iterator[tuple[int, dict[str, str]]]:
    names: list[str] | None = None
    long: list[int] = []
    number = before
    try:
        for number, cells in enumerate(lines, start=1 + before):
            if names is None:
                names = _columns(file, cells, needed, optional)
            elif any(cell.strip() for cell in cells):
                if any(cell.strip() for cell in cells[len(names) :]):
                    long.append(number)
                    continue
                filled = [*cells, *[""] * (len(names) - len(cells))]
                yield number, dict(zip(names, filled, strict=False))
    except csv.Error as error:
        raise RecipeError(
            f"{file.name} row {number + 1}: a quotation mark is not closed or not doubled ({error})"
        ) from None
    if names is None:
        _columns(file, [], needed, optional)
    if long:
        raise RecipeError(
            f"{file.name} {shown_rows(long)}: more cells than the header has columns; put reports "
            "that contain the separator in quotation marks"
        )


def _columns(
    file: Path, header: list[str], needed: Sequence[str], optional: Sequence[str]
) -> list[str]:
    """Return the columns of a header, with the names of `needed` and `optional` as given."""
    known = {_folded(name): name for name in (*needed, *optional)}
    names = [known.get(_folded(cell), cell.strip()) for cell in header]
    if missing := [name for name in needed if name not in names]:
        words, verb = ("column", "is") if len(missing) == 1 else ("columns", "are")
        there = ", ".join(names[:_SHOWN]) + (" ..." if len(names) > _SHOWN else "")
        raise RecipeError(
            f"{file.name}: {words} {', '.join(missing)} {verb} missing; the header has "
            f"{there or 'no columns'}"
        )
    if twice := [name for name in known.values() if names.count(name) > 1]:
        raise RecipeError(f"{file.name}: column {twice[0]} is there twice; rename one of them")
    return names


def _folded(name: str) -> str:
    return " ".join(name.replace("_", " ").casefold().split())


def shown_rows(rows: Sequence[int]) -> str:
    """Return "row 3", or "rows 3, 5, 8 ... (40 rows)"."""
    if len(rows) == 1:
        return f"row {rows[0]}"
    listed = ", ".join(map(str, rows[:_SHOWN]))
    return f"rows {listed}" + (f" ... ({len(rows)} rows)" if len(rows) > _SHOWN else "")
