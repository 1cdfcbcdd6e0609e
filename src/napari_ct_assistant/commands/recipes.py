"""`recipes`: list the bundled recipes of `train`, copy one, check one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_ct_assistant.commands.terminal.extras import training_extra
from napari_ct_assistant.commands.terminal.options import AsJson, Overrides, RecipeFile
from napari_ct_assistant.commands.terminal.output import note, one_line_errors, print_json, say

app = typer.Typer(no_args_is_help=True, help="List, copy and check training recipes.")


@app.command("list")
def list_recipes(as_json: AsJson = False) -> None:
    """List the bundled recipes with their stages."""
    with one_line_errors(), training_extra():
        from napari_ct_assistant.training.config.bundled import bundled_recipes

        rows = [(one.name, str(one.values["stage"]), one.purpose) for one in bundled_recipes()]
        if as_json:
            print_json([dict(zip(("name", "stage", "purpose"), row, strict=True)) for row in rows])
            return
        width = max(len(stage) for _, stage, _ in rows)
        for name, stage, purpose in rows:
            # The few longer names push their line to the right.
            say(f"{name:28}  {stage:{width}}  {purpose}")


@app.command()
def copy(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of a bundled recipe.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File to write (.yaml).")],
) -> None:
    """Copy a bundled recipe to a file that you can edit."""
    with one_line_errors(), training_extra():
        from napari_ct_assistant.training.config.bundled import copy_recipe

        stage = copy_recipe(name, file).values["stage"]
        note(f"{file}: written; run it with: ct-assistant train {stage} {file}")


@app.command()
def check(
    recipe: RecipeFile,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Check a recipe without running it.

    Prints one line per error, with file and line number.
    """
    with one_line_errors(), training_extra():
        from napari_ct_assistant.training.config.load import check_recipe

        found, problems = check_recipe(recipe, overrides or ())
        if as_json:
            print_json({"recipe": recipe, "valid": found is not None, "errors": problems})
        elif found is not None:
            say(f"{recipe}: valid recipe of stage {found.stage}; writes {found.folder}")
        else:
            for problem in problems:
                note(f"error: {problem}")
        if found is None:
            raise typer.Exit(1)
