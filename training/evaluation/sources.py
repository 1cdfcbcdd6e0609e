"""The data sets that `ct-assistant evaluate` and `compare` can be given."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from napari_ct_assistant.training.config.bundled import bundled_recipes
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.load import load_recipe
from napari_ct_assistant.training.data.datasets.specs import KINDS, ScanData
from napari_ct_assistant.training.evaluation.cases import (
    CaseList,
    phantom_cases,
    record_cases,
    table_cases,
)

_HELP = (
    "give phantoms:A:B, a CSV file, a recipe (for its `data`), "
    "or KIND:FOLDER with KIND one of ct_rate, bimcv_r, amos_mm, m3d_cap"
)


def open_cases(text: str, *, split: str | None = None, limit: int | None = None) -> CaseList:
    """Return the cases of a data set.

    Parameters
    ----------
    text
        `phantoms:A:B`, the path of a CSV file or of a recipe, the name of a bundled recipe, or
        `KIND:FOLDER`, e.g. `ct_rate:/data/CT-RATE`.
    split
        By default "validation" for CT-RATE and AMOS-MM, whose test sets are not public, and
        "test" for the others; see `table_cases` for a CSV file. Phantoms have none.
    limit
        Use only the first `limit` scans.

    Raises
    ------
    RecipeError
        If the data set does not exist or cannot be read.
    """
    cases = _open(text, split)
    return replace(cases, cases=cases.cases[:limit])


def _open(text: str, split: str | None) -> CaseList:
    seeds = re.fullmatch(r"phantoms:(\d+):(\d+)", text)
    if seeds:
        if split:
            raise RecipeError(f"--split {split}: phantoms have no splits; give other seeds")
        first, end = int(seeds[1]), int(seeds[2])
        if first >= end:
            raise RecipeError(f"{text}: write phantoms:A:B with A smaller than B")
        return phantom_cases(first, end)
    if text.lower().endswith((".csv", ".tsv", ".txt")):
        return table_cases(Path(text), split)
    if text.endswith((".yaml", ".yml")) or text in {one.name for one in bundled_recipes()}:
        return _of_recipe(text, split)
    kind, colon, folder = text.partition(":")
    if not colon or kind not in KINDS or not folder:
        raise RecipeError(f"{text}: no such data set; {_HELP}")
    default = "validation" if kind in ("ct_rate", "amos_mm") else "test"
    try:
        data = TypeAdapter[ScanData](ScanData).validate_python(
            {"kind": kind, "root": folder, "split": split or default}
        )
    except ValidationError as error:
        first_error = error.errors(include_url=False)[0]
        where = ".".join(map(str, first_error["loc"]))
        raise RecipeError(f"{text}: {where}: {first_error['msg']}; {_HELP}") from None
    return _read(f"{kind} {split or default}", data)


def _of_recipe(path: str, split: str | None) -> CaseList:
    recipe = load_recipe(path, [f"data.split={split}"] if split else [])
    data = recipe.data
    if data.kind == "phantoms":
        return phantom_cases(data.first_seed, data.first_seed + data.count)
    return _read(f"{Path(path).name} {split or ''}".strip(), data)


def _read(name: str, data: ScanData) -> CaseList:
    from napari_ct_assistant.training.data.datasets.read_records import read_records

    records, _ = read_records(data)
    return record_cases(name, records)
