"""`train`: the stages that produce a model's weights."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from napari_ct_assistant.commands.terminal import fail, one_line_errors

_EXTRA: Final = {"accelerate", "peft", "pydantic", "yaml"}


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
    with one_line_errors():
        try:
            from napari_ct_assistant.training.run import run_stage
        except ModuleNotFoundError as error:
            if error.name not in _EXTRA:
                raise
            raise fail(
                f"training needs {error.name}: pip install 'napari-ct-assistant[train]'"
            ) from error
        raise typer.Exit(run_stage(stage, recipe or stage, list(overrides or ())))
