"""`models add`: download and import an optional model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_ct_assistant.commands.terminal.options import AsJson
from napari_ct_assistant.commands.terminal.output import (
    cancel_on_interrupt,
    end_if_stopped,
    fail,
    note,
    one_line_errors,
    print_json,
    say,
)
from napari_ct_assistant.commands.terminal.progress import byte_progress

if TYPE_CHECKING:
    from napari_ct_assistant.assistant.models.hub_parts import HubModel


def add_model(
    name: Annotated[str, typer.Argument(metavar="NAME", help="astra-backbone or colipri.")],
    folder: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="FOLDER",
            help="Folder with the files, downloaded before.",
        ),
    ] = None,
    revision: Annotated[
        str | None,
        typer.Option(
            "--revision",
            metavar="REVISION",
            help="Commit of the weights, for models on the hub. Default: its current one.",
        ),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Accept the terms without asking.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Download and import a model, pinned by hash or commit.

    Its licence and training data are shown first. Nothing of it comes with this package.
    """
    with one_line_errors():
        from napari_ct_assistant.assistant.models.added import add, addable
        from napari_ct_assistant.assistant.models.hub_parts import HubModel
        from napari_ct_assistant.assistant.models.installed import added_folder

        model = addable(name)
        if revision is not None and not isinstance(model, HubModel):
            raise fail(f"--revision is for models on the hub; {name} is pinned by its hash")
        for line in model.terms():
            note(line)
        if not yes and not typer.confirm("Download and import?", err=True):
            raise fail("nothing was downloaded; answer y, or give --yes")
        made = added_folder(name)
        if made is None:
            if isinstance(model, HubModel):
                made = _from_hub(model, folder, revision)
            else:
                made = add(model, folder)
        if as_json:
            print_json({"name": name, "path": str(made)})
        else:
            say(str(made))


def _from_hub(model: HubModel, folder: Path | None, revision: str | None) -> Path:
    """Fetch the parts of a model from the hub, or take them from a folder, and import them."""
    from napari_ct_assistant.assistant.models.download import DownloadCancelled

    if folder is not None:
        return model.put_together([folder.expanduser()], revision)
    plans = model.plan(revision)
    for plan in plans:
        note(f"{plan.repo} at {plan.commit}: {plan.to_fetch / 1e6:.0f} MB to download")
    with cancel_on_interrupt() as cancel, byte_progress() as show:
        try:
            return model.add(plans, progress=show, cancel=cancel)
        except DownloadCancelled:
            end_if_stopped(True, "run the command again to resume the download")
            raise
