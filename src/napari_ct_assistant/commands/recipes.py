"""`recipes`: list the bundled recipes, copy or check one, predict its cost; launchers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_ct_assistant.commands.terminal.extras import training_extra
from napari_ct_assistant.commands.terminal.options import AsJson, Overrides, RecipeFile
from napari_ct_assistant.commands.terminal.output import (
    fail,
    note,
    one_line_errors,
    print_json,
    say,
)

app = typer.Typer(no_args_is_help=True, help="List, copy, check and cost training recipes.")


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


@app.command()
def cost(
    recipe: RecipeFile,
    overrides: Overrides = None,
    gpus: Annotated[
        str, typer.Option("--gpus", metavar="N,N", help="Numbers of GPUs.")
    ] = "8,64,512",
    volumes: Annotated[
        int,
        typer.Option(
            "--volumes",
            metavar="N",
            min=1,
            help="Volumes of a pass; of question pairs, their number.",
        ),
    ] = 354_000,
    step_seconds: Annotated[
        float | None,
        typer.Option(
            "--step-seconds",
            metavar="S",
            help="Seconds of a step on one GPU, as `train --check` measures them. Without it, the "
            "FLOPs of a step are counted (stage mae).",
        ),
    ] = None,
    measure: Annotated[
        bool,
        typer.Option("--measure", help="Measure a step on this machine, on noise (stage mae)."),
    ] = False,
    gpu: Annotated[
        str, typer.Option("--gpu", metavar="NAME", help="A100, H100, H200, B200 or L40S.")
    ] = "H100",
    utilization: Annotated[
        float,
        typer.Option("--utilization", metavar="X", help="Share of its peak that a step reaches."),
    ] = 0.4,
    volume_bytes: Annotated[
        float, typer.Option("--volume-bytes", metavar="B", help="Bytes of a prepared volume.")
    ] = 4.53e6,
    read_speed: Annotated[
        float | None,
        typer.Option(
            "--read-speed", metavar="B", help="Bytes per second that the storage delivers in all."
        ),
    ] = None,
    write_speed: Annotated[
        float,
        typer.Option("--write-speed", metavar="B", help="Bytes per second of a checkpoint."),
    ] = 1e9,
    mtbf_hours: Annotated[
        float | None,
        typer.Option(
            "--mtbf-hours",
            metavar="H",
            help="Mean hours between failures of one GPU. Default: from Llama 3's training.",
        ),
    ] = None,
    restart_minutes: Annotated[
        float,
        typer.Option(
            "--restart-minutes", metavar="MIN", help="From a failure to the next training step."
        ),
    ] = 10.0,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Also write a plot (.svg, .png).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Predict what a run needs on many GPUs.

    Hours, bytes read per second, checkpoints and restarts, computed from the cost of one step. No
    run is made: docs/scaling.md says how it is computed.
    """
    with one_line_errors(), training_extra():
        from napari_ct_assistant.training.config.load import load_recipe
        from napari_ct_assistant.training.monitoring import run_cost

        numbers = [int(n) if n.strip().isdigit() else 0 for n in gpus.split(",")]
        if 0 in numbers:
            raise fail(f"--gpus {gpus}: give numbers of GPUs, e.g. 8,64,512")
        assumed = run_cost.Assumptions(
            gpu=gpu,
            utilization=utilization,
            volume_bytes=volume_bytes,
            write_speed=write_speed,
            read_speed=read_speed,
            mtbf_hours=mtbf_hours or run_cost.MTBF_HOURS,
            restart_minutes=restart_minutes,
        )
        one = load_recipe(recipe, list(overrides or ()))
        if measure and step_seconds is not None:
            raise fail("--measure and --step-seconds exclude each other")
        where = "one GPU"
        if measure:
            from napari_ct_assistant.training.monitoring.measured_step import measure_step

            step_seconds, where = measure_step(one)
        step = run_cost.step_cost(one, assumed, step_seconds, where)
        found = run_cost.predict(one, step, volumes, numbers, assumed)
        title = f"{recipe}, {one.training.length(volumes):,} volumes read"
        if plot is not None:
            from napari_ct_assistant.training.monitoring.run_cost_plot import plot_costs

            plot_costs(step, found, title, plot)
        if as_json:
            print_json(run_cost.to_json(step, found, assumed, volumes))
            return
        note(f"A prediction, not a measurement. {title}; one step of {step.volumes} on one GPU:")
        note(f"{step.seconds:.3g} s, {step.source}")
        say(run_cost.markdown_table(found))


@app.command()
def launcher(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="fsdp2, deepspeed_zero2 or deepspeed_zero3."),
    ] = None,
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="File to write (.yaml or .json).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List or copy configurations of the launcher for large models.

    They split a model among the GPUs of one or several machines.
    """
    with one_line_errors(), training_extra():
        from napari_ct_assistant.training.config.launchers import LAUNCHERS, copy_launcher

        if name is None:
            rows = [(one, purpose) for one, (_, purpose, _) in LAUNCHERS.items()]
            if as_json:
                print_json([{"name": one, "purpose": purpose} for one, purpose in rows])
            else:
                for one, purpose in rows:
                    say(f"{one:16}  {purpose}")
            return
        if file is None:
            raise fail(f"{name}: give a file to write, for example {LAUNCHERS['fsdp2'][0]}")
        options = copy_launcher(name, file)
        note(
            f"{file}: written; run: accelerate launch {options} --num_processes 4 "
            "-m napari_ct_assistant train STAGE RECIPE"
        )
