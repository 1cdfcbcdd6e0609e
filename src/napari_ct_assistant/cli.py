"""`ct-assistant`: the command line.

Only typer is imported here. Each command imports torch, napari and the DICOM
readers when it needs them, so `--help` is fast.
"""

from __future__ import annotations

import os
import signal
from typing import Annotated

import typer

from napari_ct_assistant import __version__
from napari_ct_assistant.commands import (
    data,
    dialogue,
    evaluation,
    evidence,
    journal,
    language_export,
    reading,
    recipes,
    rewriting,
    scan,
    servers,
    training,
)
from napari_ct_assistant.commands.models import files as model_files
from napari_ct_assistant.commands.terminal.output import INTERRUPTED, say
from napari_ct_assistant.commands.terminal.recipe_help import (
    InstructionsHelp,
    PrepareHelp,
    TrainHelp,
)

app = typer.Typer(
    name="ct-assistant",
    no_args_is_help=True,
    add_completion=False,
    # Plain text reads the same in a terminal, a log and a pipe.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        say(f"ct-assistant {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """View CT scans in napari with a 3D vision-language model that drafts reports."""


app.command("demo")(scan.demo)
app.command("view")(scan.view)
app.command("info")(scan.info)
app.command("report")(reading.report)
app.command("ask")(reading.ask)
app.command("screen")(reading.screen)
app.command("rewrite")(rewriting.rewrite)
model_files.app.command("export-llm")(language_export.export_llm)
app.command("places")(reading.places)
app.add_typer(model_files.app, name="models")
app.add_typer(servers.app, name="servers")
app.add_typer(journal.app, name="journal")
app.command("phantom")(scan.phantom)
app.command("prepare", cls=PrepareHelp)(data.prepare)
app.command("instructions", cls=InstructionsHelp)(data.instructions)
app.add_typer(recipes.app, name="recipes")
app.command("train", cls=TrainHelp)(training.train)
app.command("audit")(training.audit)
app.command("evidence")(evidence.evidence)
app.command("evaluate")(evaluation.evaluate)
app.command("dialogue")(dialogue.dialogue)
app.command("compare")(evaluation.compare)
app.command("compare-choices")(evaluation.compare_choices)
app.command("parameters")(evaluation.parameters)


def main() -> None:
    """Run the command line (the entry point of `ct-assistant`)."""
    try:
        app()
    except SystemExit as leaving:
        if leaving.code == INTERRUPTED:
            # Threads may still be at work; another Ctrl-C ends the process at once.
            signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
        raise
    except KeyboardInterrupt:
        # Ctrl-C while the first was dealt with.
        os._exit(INTERRUPTED)


if __name__ == "__main__":
    main()
