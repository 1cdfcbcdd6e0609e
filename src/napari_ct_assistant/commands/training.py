"""`train` and `audit`: how a model comes about, and whether it looks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_ct_assistant.commands.extras import training_extra
from napari_ct_assistant.commands.terminal import (
    AsJson,
    Device,
    fail,
    load_model,
    load_options,
    note,
    one_line_errors,
    print_json,
)


def train(
    stage: Annotated[
        str, typer.Argument(help="mae, ground, language, align or instruct; demo: all of them.")
    ],
    recipe: Annotated[
        str | None,
        typer.Argument(metavar="RECIPE.yaml", help="A recipe file; `demo` brings its own."),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Values that replace the recipe's."),
    ] = None,
) -> None:
    """Train one stage of a model from a recipe.

    `train demo` runs every stage of the bundled demonstration model.
    """
    with one_line_errors(), training_extra():
        if stage == "demo":
            from napari_ct_assistant.training.chain import run_chain

            run_chain([*([] if recipe is None else [recipe]), *(overrides or ())])
        else:
            from napari_ct_assistant.training.run import run_stage

            run_stage(stage, recipe or stage, overrides or ())


def audit(
    model: Annotated[
        str, typer.Argument(help="A bundled name, a local folder or a hub id.")
    ] = "demo",
    seeds: Annotated[
        str, typer.Option("--seeds", metavar="A:B", help="Phantoms A to B - 1; training used none.")
    ] = "0:100",
    device: Device = None,
    card: Annotated[
        Path | None, typer.Option("--card", help="Also write the model card to this file.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Tell whether a model looks at the scan.

    Phantoms it was not trained on are screened, reported and asked about; each figure
    stands beside what is reached without looking.
    """
    with one_line_errors(), training_extra():
        first, end = _seed_range(seeds)
        from napari_ct_assistant.training.evaluation.audit.phantom_audit import audit as run_audit

        assistant = load_model(model, load_options(device))
        found = run_audit(
            assistant,
            first_seed=first,
            count=end - first,
            progress=lambda done, count: note(f"phantom {done} of {count}"),
            # On CPU, phantoms are drawn and read by a process a core.
            workers=os.cpu_count() or 1 if assistant.device == "cpu" else 1,
        )
        if card is not None:
            from napari_ct_assistant.training.release.model_card import card_facts, write_card

            text = write_card(found, card_facts(assistant.info.files[0].parent))
            card.write_text(text, encoding="utf-8")
        result = {**found, "model": assistant.info.to_json()}
        if as_json:
            print_json(result)
        else:
            typer.echo(in_words(result))


def _seed_range(text: str) -> tuple[int, int]:
    """Return first and end of `A:B`; exit where it is no range of seeds."""
    first, found, end = text.partition(":")
    if not (found and first.isdecimal() and end.isdecimal() and int(first) < int(end)):
        raise fail(f"--seeds {text}: write A:B with A smaller than B, e.g. 0:100")
    return int(first), int(end)


def in_words(value: Any, indent: str = "") -> str:
    """Return nested figures as lines; a list of rows becomes a table."""
    if isinstance(value, dict) and value:
        lines = []
        for name, item in value.items():
            nested = (isinstance(item, dict) and item) or _is_table(item)
            shown = f"\n{in_words(item, indent + '  ')}" if nested else f" {in_words(item)}"
            lines.append(f"{indent}{str(name).replace('_', ' ')}:{shown}")
        return "\n".join(lines)
    if _is_table(value):
        rows = [list(value[0]), *([in_words(cell) for cell in row.values()] for row in value)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            indent
            + "  ".join(
                cell.rjust(width) if column else cell.ljust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            for row in rows
        )
    if isinstance(value, dict | list | tuple):
        return (" to " if len(value) == 2 else ", ").join(map(in_words, value)) or "none"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)
