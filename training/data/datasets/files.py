"""Tables and JSON as data sets ship them, and what becomes of a sample that cannot be read."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from napari_ct_assistant.training.config.errors import RecipeError


@dataclass
class Skips:
    """Samples that cannot be read: an error that names the first, or a list of all.

    No other sample ever takes an unreadable one's place.
    """

    unreadable: Literal["error", "skip"] = "error"
    found: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, reason: str) -> None:
        """Note a sample; raises RecipeError unless the recipe says `unreadable: skip`."""
        if self.unreadable == "error":
            raise RecipeError(
                f"{name}: {reason}; mend it, or set data.unreadable=skip to go on without it"
            )
        self.found[name] = reason

    def write(self, file: Path) -> None:
        """List them as CSV: name, reason."""
        with file.open("w", newline="", encoding="utf-8") as stream:
            rows = csv.writer(stream)
            rows.writerow(["name", "reason"])
            rows.writerows(self.found.items())


def find(root: Path, *choices: str) -> Path:
    """Return the first of some relative paths that is there.

    Raises
    ------
    RecipeError
        If none is: it names the first.
    """
    for choice in choices:
        if (root / choice).exists():
            return root / choice
    raise RecipeError(f"{root / choices[0]}: not there; docs/datasets.md shows the folder's layout")


def read_rows(file: Path, needed: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (line number, row) of a CSV with a header.

    Raises
    ------
    RecipeError
        If the file is absent, lacks a needed column, or is not UTF-8.
    """
    # A report may be longer than csv's 128 KB.
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            rows = csv.DictReader(stream)
            missing = [name for name in needed if name not in (rows.fieldnames or ())]
            if missing:
                words = "column" if len(missing) == 1 else "columns"
                verb = "is" if len(missing) == 1 else "are"
                raise RecipeError(f"{file}: {words} {', '.join(missing)} {verb} missing")
            for row in rows:
                yield rows.line_num, {k: v or "" for k, v in row.items() if k is not None}
    except FileNotFoundError:
        raise RecipeError(
            f"{file}: no such table; a CSV with {', '.join(needed)} is read"
        ) from None
    except UnicodeDecodeError as error:
        raise RecipeError(f"{file}: not UTF-8 at byte {error.start}; save it as UTF-8") from None


def read_json(file: Path) -> Any:
    """Read a JSON file whole; RecipeError where it is absent or damaged."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecipeError(f"{file}: no such file") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{file}: not valid JSON ({error})") from None


def iterate_json_array(file: Path, block: int = 1 << 20) -> Iterator[Any]:
    """Yield the objects of a JSON array one by one: CT-RATE's questions are 1.2 GB.

    Raises
    ------
    RecipeError
        If the file is absent, no array, or damaged.
    """
    decoder, solid = json.JSONDecoder(), re.compile(r"[^\s,]|\Z")
    try:
        with file.open(encoding="utf-8") as stream:
            text = stream.read(block).lstrip()
            if not text.startswith("["):
                raise RecipeError(f"{file}: a JSON array is expected")
            at = 1
            while True:
                found = solid.search(text, at)
                at = found.start() if found else len(text)
                if text.startswith("]", at):
                    return
                try:
                    item, end = decoder.raw_decode(text, at)
                except json.JSONDecodeError as error:
                    added = stream.read(block)
                    if not added:
                        raise RecipeError(f"{file}: damaged or cut off ({error.msg})") from None
                    text, at = text[at:] + added, 0
                    continue
                yield item
                at = end
    except FileNotFoundError:
        raise RecipeError(f"{file}: no such file") from None
    except UnicodeDecodeError as error:
        raise RecipeError(f"{file}: not UTF-8 ({error.reason})") from None
