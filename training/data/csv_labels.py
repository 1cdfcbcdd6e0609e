"""A table of one's own labels: a column for each finding, with 1, 0 or nothing."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.data.csv_rows import find_encoding, read_rows

IMAGE: Final = "image"
# Columns that describe a scan and label nothing.
NO_LABELS: Final = frozenset({IMAGE, "patient", "split", "report", "masks"})
VALUES: Final = {"1": 1, "0": 0, "1.0": 1, "0.0": 0, "true": 1, "false": 0, "yes": 1, "no": 0}


def read_labels_table(file: Path, findings: Sequence[str] = ()) -> dict[Path, dict[str, int]]:
    """Return the labels of each image, {image: {finding: 0 or 1}}; empty cells are left out.

    Parameters
    ----------
    file : Path
        A CSV with the column `image`; paths are relative to it.
    findings
        The columns to read; every column that is not one of a scan's own when absent.

    Raises
    ------
    RecipeError
        If the table or a column is missing, or a cell is neither empty, 0 nor 1.
    """
    columns = list(findings) or [name for name in _header(file) if name.lower() not in NO_LABELS]
    if not columns:
        raise RecipeError(f"probe.labels: {file.name} has no column of labels beside {IMAGE}")
    found: dict[Path, dict[str, int]] = {}
    for number, row in read_rows(file, [IMAGE, *columns]):
        labels = {}
        for name in columns:
            text = row[name].strip().lower()
            if not text:
                continue
            if text not in VALUES:
                raise RecipeError(
                    f"probe.labels: {file.name}, row {number}: {name} is {text[:20]!r}; give 1, 0 "
                    "or leave it empty"
                )
            labels[name] = VALUES[text]
        found[(file.parent / row[IMAGE]).resolve()] = labels
    return found


def _header(file: Path) -> list[str]:
    encoding = find_encoding(file, [IMAGE])
    with file.open(newline="", encoding=encoding) as stream:
        text = stream.readline()
        if text.lower().startswith("sep="):
            text = stream.readline()
    separator = max(",;\t|", key=text.count)
    return [name.strip() for name in next(csv.reader([text], delimiter=separator), [])]
