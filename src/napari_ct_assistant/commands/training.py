"""`train`: the stages that produce a model's weights."""

from __future__ import annotations

from typing import Annotated

import typer

from napari_ct_assistant.commands.terminal import one_line_errors


def train(
    stage: Annotated[
        str, typer.Argument(help="mae, ground, align, instruct; or demo: all of them.")
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
    with one_line_errors():
        from napari_ct_assistant.training.run import run_stage

        raise typer.Exit(run_stage(stage, recipe or stage, list(overrides or ())))
