"""`evaluate`, `compare`, `compare-choices`, `parameters`: measure models and compare them."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import typer

from napari_ct_assistant.commands.terminal.extras import evaluation_extra
from napari_ct_assistant.commands.terminal.loading import load_model_on, sending_agreed
from napari_ct_assistant.commands.terminal.options import (
    AsJson,
    Device,
    MaxNewTokens,
    ModelArgument,
    Overrides,
    SendScan,
    Unencrypted,
    agreement,
)
from napari_ct_assistant.commands.terminal.output import (
    fail,
    note,
    one_line_errors,
    print_json,
    say,
)
from napari_ct_assistant.commands.terminal.progress import count_progress

_TASKS: Final = ("report", "vqa", "choice", "diagnosis")

TestSplit = Annotated[
    str | None,
    typer.Option(
        "--split",
        metavar="SPLIT",
        help="Split of the data set: train, validation, test or all.",
    ),
]
Limit = Annotated[
    int | None, typer.Option("--limit", metavar="N", min=1, help="Use only the first N scans.")
]
BertScore = Annotated[
    Path | None,
    typer.Option(
        "--bertscore",
        metavar="FOLDER",
        help="Folder of an encoder, e.g. roberta-large. Adds BERTScore.",
    ),
]


def evaluate(
    model: ModelArgument,
    dataset: Annotated[
        str,
        typer.Argument(
            metavar="DATASET",
            help="phantoms:A:B, a CSV file, a recipe or KIND:FOLDER, e.g. ct_rate:FOLDER.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", metavar="FOLDER", help="Folder for answers, tables and the figure."
        ),
    ] = Path("evaluation"),
    task: Annotated[
        list[str] | None,
        typer.Option(
            "--task",
            metavar="TASK",
            help="report, vqa, choice or diagnosis; repeat for several. Default: all four.",
        ),
    ] = None,
    split: TestSplit = None,
    limit: Limit = None,
    baselines: Annotated[
        bool,
        typer.Option(
            "--baselines/--no-baselines",
            help="Also answer without the image and with another patient's image.",
        ),
    ] = True,
    bertscore: BertScore = None,
    green: Annotated[
        Path | None,
        typer.Option(
            "--green",
            metavar="FOLDER",
            help="Folder of GREEN's weights. Adds GREEN; needs radeval.",
        ),
    ] = None,
    choices: Annotated[
        Path | None,
        typer.Option(
            "--choices",
            metavar="CSV",
            help="Readers' choices between reports (see compare-choices), added to the figures.",
        ),
    ] = None,
    skip_unreadable: Annotated[
        bool,
        typer.Option(
            "--skip-unreadable", help="Skip unreadable scans and list them instead of stopping."
        ),
    ] = False,
    max_new_tokens: MaxNewTokens = None,
    device: Device = None,
    send_scan: SendScan = False,
    unencrypted: Unencrypted = False,
    as_json: AsJson = False,
) -> None:
    """Evaluate a model on a data set, with baselines.

    The baselines ignore the image. Tasks: reports, questions, multiple choice and the 18
    findings. Each figure comes with its 95 % interval and the implementation that computed it.
    Run the command again to resume an interrupted run.
    """
    with one_line_errors(), evaluation_extra():
        tasks = tuple(task or _TASKS)
        if wrong := [name for name in tasks if name not in _TASKS]:
            raise fail(f"--task {wrong[0]}: choose from {', '.join(_TASKS)}")
        from napari_ct_assistant.assistant.choices.summary import summarize
        from napari_ct_assistant.assistant.choices.table import read_choices
        from napari_ct_assistant.training.evaluation.cases import refuse_empty_tasks
        from napari_ct_assistant.training.evaluation.metrics.text_metrics import text_metrics
        from napari_ct_assistant.training.evaluation.run import evaluate as run
        from napari_ct_assistant.training.evaluation.sources import open_cases

        preferred = None if choices is None else summarize(read_choices(choices))
        cases = open_cases(dataset, split=split, limit=limit)
        for line in (*cases.notes, f"{cases.name}: {len(cases.cases)} scans"):
            note(line)
        refuse_empty_tasks(cases, task or ())
        assistant = load_model_on(model, device, agreement(send_scan, unencrypted))
        if max_new_tokens is not None:
            assistant.settings = replace(assistant.settings, max_new_tokens=max_new_tokens)
        metrics = text_metrics(bertscore, device=assistant.device)
        if green is not None:
            from napari_ct_assistant.training.evaluation.metrics.green import green_metric

            metrics.append(green_metric(green, out))
        with count_progress("answers") as show, sending_agreed():
            found = run(
                assistant,
                cases,
                out,
                tasks=tasks,
                baselines=baselines,
                metrics=metrics,
                skip_unreadable=skip_unreadable,
                progress=show,
            )
        if preferred is not None:
            figures = out / "figures.md"
            table = f"\n## Readers' choices\n\n{preferred.markdown}\n"
            figures.write_text(figures.read_text(encoding="utf-8") + table, encoding="utf-8")
            found = {**found, "choices": preferred.to_json()}
        if as_json:
            print_json(found)
        else:
            say((out / "figures.md").read_text(encoding="utf-8"))
            note(f"answers, tables and figure are in {out}")


def compare(
    recipes: Annotated[
        list[str],
        typer.Argument(
            metavar="RECIPE [RECIPE] [KEY=VALUE]",
            help="Recipe of stage align or instruct, or of both; settings that replace theirs.",
        ),
    ],
    test: Annotated[
        str, typer.Option("--test", help="Test data, written like the DATASET of `evaluate`.")
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", metavar="FOLDER", help="Folder for the trained models and the tables."
        ),
    ] = Path("perceivers"),
    seeds: Annotated[
        int, typer.Option("--seeds", metavar="N", min=1, help="Number of seeds per perceiver.")
    ] = 1,
    start: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="MODEL", help="Model whose encoder and language model to start from."
        ),
    ] = None,
    perceiver: Annotated[
        list[str] | None,
        typer.Option(
            "--perceiver", metavar="NAME", help="Perceiver; repeat for several. Default: all."
        ),
    ] = None,
    task: Annotated[
        list[str] | None,
        typer.Option(
            "--task",
            metavar="TASK",
            help="vqa, choice or diagnosis; repeat for several. Default: all three.",
        ),
    ] = None,
    split: TestSplit = None,
    limit: Limit = None,
    bertscore: BertScore = None,
    max_new_tokens: MaxNewTokens = None,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Train and compare the perceivers, as in E3D-GPT's Table 5.

    The perceivers are convolution, global and local Q-Former, MLP-Mixer, average pooling, max
    pooling, spatial pooling (M3D) and resampler (RadFM). All use the same data, seeds and test
    questions. Run the command again to resume an interrupted run.
    """
    with one_line_errors(), evaluation_extra():
        from napari_ct_assistant.model.perceivers import PERCEIVERS
        from napari_ct_assistant.training.evaluation.cases import refuse_empty_tasks
        from napari_ct_assistant.training.evaluation.compare_perceivers import (
            TASKS,
            compare_perceivers,
        )
        from napari_ct_assistant.training.evaluation.metrics.text_metrics import text_metrics
        from napari_ct_assistant.training.evaluation.sources import open_cases

        kinds = tuple(perceiver or PERCEIVERS)
        tasks = tuple(task or TASKS)
        for wrong, known, option in (
            ([k for k in kinds if k not in PERCEIVERS], PERCEIVERS, "--perceiver"),
            ([t for t in tasks if t not in TASKS], TASKS, "--task"),
        ):
            if wrong:
                raise fail(f"{option} {wrong[0]}: choose from {', '.join(known)}")
        folder = None
        if start is not None:
            from napari_ct_assistant.assistant.models.installed import find_model

            folder = find_model(start)
        cases = open_cases(test, split=split, limit=limit)
        for line in cases.notes:
            note(line)
        refuse_empty_tasks(cases, task or (), among=TASKS)
        with redirect_stdout(sys.stderr):  # the stages print progress
            values = compare_perceivers(
                [text for text in recipes if "=" not in text],
                cases,
                out,
                overrides=[text for text in recipes if "=" in text],
                seeds=seeds,
                perceivers=kinds,
                tasks=tasks,
                metrics=text_metrics(bertscore, device=device or "cpu"),
                start=folder,
                device=device,
                max_new_tokens=max_new_tokens,
                progress=note,
            )
        if as_json:
            print_json({"test": test, "cells": [vars(value) for value in values]})
        else:
            say((out / "perceivers.md").read_text(encoding="utf-8"))
            note(f"tables and models are in {out}")


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


def parameters(
    what: Annotated[
        str,
        typer.Argument(
            metavar="NETWORK",
            help="e3d_gpt, vit3d_llama3, m3d_llama2, a recipe, or a model's name or folder.",
        ),
    ] = "e3d_gpt",
    overrides: Overrides = None,
    perceiver: Annotated[
        str | None,
        typer.Option(
            "--perceiver",
            metavar="NAME",
            help="Count with this perceiver instead, e.g. global_qformer.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Count a network's parameters, part by part.

    The weights are not allocated. LoRA and trained parameters are listed too. The published
    architectures are counted at the papers' sizes.
    """
    with one_line_errors(), evaluation_extra():
        from napari_ct_assistant.training.parameters import count_parameters

        counts = count_parameters(what, overrides or (), perceiver=perceiver)
        if as_json:
            print_json({"network": what, "parameters": [vars(line) for line in counts]})
            return
        width = max(len(line.part) for line in counts)
        for line in counts:
            note_ = f"  {line.note}" if line.note else ""
            say(f"{line.part:<{width}}  {line.parameters:>15,}{note_}")
