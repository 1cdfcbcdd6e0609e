"""Find and read the JSON files of data sets; handle samples that cannot be read."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from napari_ct_assistant.training.config.errors import RecipeError


@dataclass
class Skips:
    """Samples that cannot be read: the first is an error, or all are listed.

    An unreadable sample is never replaced by another one. notes: lines about what was read in a
    way that the user may not expect.
    """

    unreadable: Literal["error", "skip"] = "error"
    found: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, reason: str) -> None:
        """Add a sample; RecipeError unless the recipe says `unreadable: skip`."""
        if self.unreadable == "error":
            raise RecipeError(
                f"{name}: {reason}; correct it, or set data.unreadable=skip to leave it out"
            )
        self.found[name] = reason

    def write(self, file: Path) -> None:
        """Write the samples as CSV with the columns name and reason."""
        with file.open("w", newline="", encoding="utf-8") as stream:
            rows = csv.writer(stream)
            rows.writerow(["name", "reason"])
            rows.writerows(self.found.items())


def find(root: Path, *choices: str) -> Path:
    """Return the first of several relative paths that exists.

    Raises
    ------
    RecipeError
        If none exists; it names the first.
    """
    for choice in choices:
        if (root / choice).exists():
            return root / choice
    raise RecipeError(
        f"{root / choices[0]}: not there; docs/datasets.md shows the layout of the folder"
    )


def read_json(file: Path) -> Any:
    """Return the content of a JSON file; RecipeError if it is absent or damaged."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecipeError(f"{file}: no such file") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{file}: not valid JSON ({error})") from None


def iterate_json_array(file: Path, block: int = 1 << 20) -> Iterator[Any]:
    """Yield the items of a JSON array one by one; CT-RATE's file of questions has 1.2 GB.

    Raises
    ------
    RecipeError
        If the file is absent, damaged, or not a JSON array.
    """
    decoder, solid = json.JSONDecoder(), re.compile(r"[^\s,]|\Z")
    try:
        with file.open(encoding="utf-8") as stream:
            text = stream.read(block).lstrip()
            if not text.startswith("["):
                raise RecipeError(f"{file}: expected a JSON array")
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
