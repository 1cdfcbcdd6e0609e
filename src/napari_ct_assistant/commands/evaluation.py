"""`evaluate`, `compare` and `parameters`: what models are worth, and how large they are."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import typer

from napari_ct_assistant.commands.extras import evaluation_extra
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

_TASKS: Final = ("report", "vqa", "choice", "diagnosis")

Longest = Annotated[
    int | None,
    typer.Option(
        "--max-new-tokens", min=1, help="Of the longest answer; the model's own, if left out."
    ),
]


def evaluate(
    model: Annotated[str, typer.Argument(help="A bundled name, a local folder or a hub id.")],
    dataset: Annotated[
        str,
        typer.Argument(
            help="phantoms:A:B, a CSV, a recipe (.yaml) or KIND:FOLDER, e.g. ct_rate:FOLDER."
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Where answers, tables and the picture go.")
    ] = Path("evaluation"),
    task: Annotated[
        list[str] | None,
        typer.Option("--task", help="report, vqa, choice or diagnosis; all, if left out."),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Of a published data set: train, validation, test or all.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many scans.")] = None,
    baselines: Annotated[
        bool,
        typer.Option(
            "--baselines/--no-baselines",
            help="Also ask without the image and with another patient's.",
        ),
    ] = True,
    bertscore: Annotated[
        Path | None,
        typer.Option(help="A folder with an encoder for BERTScore, e.g. roberta-large's."),
    ] = None,
    green: Annotated[
        Path | None, typer.Option(help="A folder with GREEN's weights; needs radeval.")
    ] = None,
    skip_unreadable: Annotated[
        bool,
        typer.Option("--skip-unreadable", help="List scans that cannot be read; else they stop."),
    ] = False,
    max_new_tokens: Longest = None,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Measure a model on a data set, beside baselines that do not look.

    Reports, questions, multiple choice and the 18 findings; each figure with its 95 % interval
    and the implementation that computed it. Stopped (Ctrl-C) or cut off, it goes on where it
    was when it is run again.
    """
    with one_line_errors(), evaluation_extra():
        tasks = tuple(task or _TASKS)
        if wrong := [name for name in tasks if name not in _TASKS]:
            raise fail(f"--task {wrong[0]}: choose from {', '.join(_TASKS)}")
        from napari_ct_assistant.training.evaluation.metrics.text_metrics import text_metrics
        from napari_ct_assistant.training.evaluation.run import evaluate as run
        from napari_ct_assistant.training.evaluation.sources import open_cases

        cases = open_cases(dataset, split=split, limit=limit)
        note(f"{cases.name}: {len(cases.cases)} scans")
        assistant = load_model(model, load_options(device))
        if max_new_tokens is not None:
            assistant.settings = replace(assistant.settings, max_new_tokens=max_new_tokens)
        metrics = text_metrics(bertscore, device=assistant.device)
        if green is not None:
            from napari_ct_assistant.training.evaluation.metrics.green import green_metric

            metrics.append(green_metric(green, out))
        with _counting("answers") as show:
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
        if as_json:
            print_json(found)
        else:
            typer.echo((out / "figures.md").read_text(encoding="utf-8"))
            note(f"tables, picture and answers: {out}")


def compare(
    recipes: Annotated[
        list[str],
        typer.Argument(
            metavar="RECIPE [RECIPE] [KEY=VALUE]",
            help="align, or align and instruct; then values that replace the recipes'.",
        ),
    ],
    test: Annotated[
        str, typer.Option("--test", help="What to ask about: as the data set of `evaluate`.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where runs and tables go.")] = Path(
        "perceivers"
    ),
    seeds: Annotated[int, typer.Option(min=1, help="Train each perceiver with so many.")] = 1,
    start: Annotated[
        str | None,
        typer.Option("--from", help="A model whose encoder and language model are the start."),
    ] = None,
    perceiver: Annotated[
        list[str] | None, typer.Option("--perceiver", help="Only this one; all seven else.")
    ] = None,
    task: Annotated[
        list[str] | None,
        typer.Option("--task", help="vqa, choice or diagnosis; all, if left out."),
    ] = None,
    split: Annotated[str | None, typer.Option(help="Of the test data.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Test on the first so many.")] = None,
    bertscore: Annotated[
        Path | None, typer.Option(help="A folder with an encoder for BERTScore.")
    ] = None,
    max_new_tokens: Longest = None,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Train every perceiver alike and compare them: E3D-GPT's Table 5.

    Convolution, global and local Q-Former, MLP-Mixer, average and max pooling, spatial pooling:
    the same data, seeds and test questions. What is finished is kept, run again it goes on.
    """
    with one_line_errors(), evaluation_extra():
        from napari_ct_assistant.model.perceivers import PERCEIVERS
        from napari_ct_assistant.training.evaluation import compare_perceivers as comparison
        from napari_ct_assistant.training.evaluation.metrics.text_metrics import text_metrics
        from napari_ct_assistant.training.evaluation.sources import open_cases

        kinds = tuple(perceiver or PERCEIVERS)
        tasks = tuple(task or comparison.TASKS)
        for wrong, known, option in (
            ([k for k in kinds if k not in PERCEIVERS], PERCEIVERS, "--perceiver"),
            ([t for t in tasks if t not in comparison.TASKS], comparison.TASKS, "--task"),
        ):
            if wrong:
                raise fail(f"{option} {wrong[0]}: choose from {', '.join(known)}")
        folder = None
        if start is not None:
            from napari_ct_assistant.assistant.models.loading import find_model

            folder = find_model(start)
        cases = open_cases(test, split=split, limit=limit)
        with redirect_stdout(sys.stderr):  # what the stages print is no result
            cells = comparison.compare(
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
            print_json({"test": test, "cells": [vars(cell) for cell in cells]})
        else:
            typer.echo((out / "perceivers.md").read_text(encoding="utf-8"))
            note(f"tables and models: {out}")


def parameters(
    what: Annotated[
        str,
        typer.Argument(
            help="e3d_gpt, vit3d_llama3, m3d_llama2, a recipe, or a model: its name or folder."
        ),
    ] = "e3d_gpt",
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Values that replace the recipe's."),
    ] = None,
    perceiver: Annotated[
        str | None, typer.Option(help="Another perceiver of the seven, e.g. global_qformer.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Count a network's parameters, part by part, without making its weights.

    Also what LoRA adds and what is trained. The published architectures are counted as they
    are trained, at paper size.
    """
    with one_line_errors(), evaluation_extra():
        from napari_ct_assistant.training.parameters import count

        counts = count(what, overrides or (), perceiver=perceiver)
        if as_json:
            print_json({"network": what, "parameters": [vars(line) for line in counts]})
            return
        width = max(len(line.part) for line in counts)
        for line in counts:
            note_ = f"  {line.note}" if line.note else ""
            typer.echo(f"{line.part:<{width}}  {line.parameters:>15,}{note_}")


@contextmanager
def _counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a function that shows how much is done and what is left, at most every second."""
    begin, last, first = time.monotonic(), 0.0, -1
    terminal = sys.stderr.isatty()

    def show(done: int, total: int) -> None:
        nonlocal last, first
        now = time.monotonic()
        first = done if first < 0 else first
        if now - last < (1 if terminal else 30) and done < total:
            return
        last = now
        rate = (done - first) / max(now - begin, 1e-3)
        left = f", {(total - done) / rate / 60:.0f} min left" if rate and done < total else ""
        text = f"{what}: {done} of {total}{left}"
        typer.echo(f"\r{text}   " if terminal else text, nl=not terminal, err=True)

    yield show
    if terminal:
        typer.echo("", err=True)
