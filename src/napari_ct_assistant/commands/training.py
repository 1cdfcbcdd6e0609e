"""`train` and `audit`: train a model and test whether it uses the scan."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from napari_ct_assistant.commands.figures import figures_as_text
from napari_ct_assistant.commands.terminal.extras import training_extra
from napari_ct_assistant.commands.terminal.loading import load_model_on, sending_agreed
from napari_ct_assistant.commands.terminal.options import (
    AsJson,
    Device,
    ModelArgument,
    Overrides,
    SeedRange,
    SendScan,
    Unencrypted,
    agreement,
    seed_range,
)
from napari_ct_assistant.commands.terminal.output import (
    fail,
    note,
    one_line_errors,
    print_json,
    say,
)


def train(
    stage: Annotated[
        str,
        typer.Argument(
            metavar="STAGE",
            help="mae, ground, language, oracle_maps, align, instruct or probe; demo for all "
            "stages of the demonstration model. A recipe alone is run as the stage that it is for.",
        ),
    ],
    recipe: Annotated[
        str | None,
        typer.Argument(
            metavar="RECIPE",
            help="Recipe file (.yaml) or name of a bundled recipe. `train demo` needs none.",
        ),
    ] = None,
    overrides: Overrides = None,
    restart: Annotated[
        bool,
        typer.Option(
            "--restart", help="Remove an earlier run in the output folder and start anew."
        ),
    ] = False,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Print what the run would train on, need and take, from a few timed steps; "
            "train and write nothing.",
        ),
    ] = False,
) -> None:
    """Train one stage of a model, or the demonstration model.

    Run the command again to resume an interrupted run. A folder with a run of another recipe is
    refused.
    """
    with one_line_errors(), training_extra():
        if stage == "demo":
            from napari_ct_assistant.training.chain import run_chain

            if check:
                raise fail("--check: train demo has many stages; check one, e.g. train demo/mae")
            run_chain([*([] if recipe is None else [recipe]), *(overrides or ())], restart=restart)
        else:
            from napari_ct_assistant.training.config.names import stage_and_recipe
            from napari_ct_assistant.training.run import run_stage

            named, file, more = stage_and_recipe(stage, recipe)
            run_stage(named, file, [*more, *(overrides or ())], restart=restart, check=check)


def audit(
    model: ModelArgument = "demo",
    seeds: SeedRange = "0:100",
    device: Device = None,
    send_scan: SendScan = False,
    unencrypted: Unencrypted = False,
    card: Annotated[
        Path | None,
        typer.Option("--card", metavar="FILE", help="Also write a model card to this file."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Test on phantoms whether a model uses the scan.

    The model screens phantoms that it was not trained on, reports on them and answers questions.
    Each figure is printed with the result of a baseline that ignores the image.
    """
    with one_line_errors(), training_extra():
        first, end = seed_range(seeds)
        from napari_ct_assistant.training.evaluation.audit.phantom_audit import audit as run_audit

        assistant = load_model_on(model, device, agreement(send_scan, unencrypted))
        # A model on a server has no files that other processes could load.
        by_core = assistant.device == "cpu" and bool(assistant.info.files)
        with sending_agreed():
            found = run_audit(
                assistant,
                first_seed=first,
                count=end - first,
                progress=lambda done, count: note(f"phantom {done} of {count}"),
                # On a CPU, one process per core generates and reads phantoms.
                workers=os.cpu_count() or 1 if by_core else 1,
            )
        if card is not None:
            from napari_ct_assistant.training.release.model_card import card_facts, write_card

            text = write_card(found, card_facts(assistant.info.files[0].parent))
            card.write_text(text, encoding="utf-8")
        if assistant.info.files:
            from napari_ct_assistant.training.release.measured import add_figures
            from napari_ct_assistant.training.release.model_card import audit_tables

            unreliable = list(assistant.info.unreliable_findings)
            title = f"phantoms, seeds {first} to {end - 1}"
            add_figures(assistant.info.files[0].parent, title, audit_tables(found, unreliable))
        result = {**found, "model": assistant.info.to_json()}
        if as_json:
            print_json(result)
        else:
            say(figures_as_text(result))
