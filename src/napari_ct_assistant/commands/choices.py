"""`compare-choices`: sum up which of two reports readers preferred."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_ct_assistant.commands.terminal.options import AsJson
from napari_ct_assistant.commands.terminal.output import one_line_errors, print_json, say


def compare_choices(
    tables: Annotated[
        list[Path],
        typer.Argument(metavar="CSV...", help="Tables of choices that the panel wrote."),
    ],
    bootstraps: Annotated[
        int, typer.Option("--bootstraps", metavar="N", min=0, help="Bootstraps for the intervals.")
    ] = 1000,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Seed of the bootstraps.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Sum up readers' choices between the reports of two models.

    Prints each model's Bradley-Terry strength with its 95 % interval. An equal pair counts as
    half a win for each model.
    """
    from napari_ct_assistant.assistant.choices.summary import summarize
    from napari_ct_assistant.assistant.choices.table import read_choices

    with one_line_errors():
        rows = [row for path in tables for row in read_choices(path)]
        found = summarize(rows, bootstraps=bootstraps, seed=seed)
        if as_json:
            print_json(found.to_json())
        else:
            say(found.markdown)
