"""`dialogue`: ask a model questions unlike those of its training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_ct_assistant.commands.evaluation import Limit, TestSplit
from napari_ct_assistant.commands.terminal.extras import evaluation_extra
from napari_ct_assistant.commands.terminal.loading import load_model_on, sending_agreed
from napari_ct_assistant.commands.terminal.options import (
    AsJson,
    Device,
    ModelArgument,
    SendScan,
    Unencrypted,
    agreement,
)
from napari_ct_assistant.commands.terminal.output import note, one_line_errors, print_json, say
from napari_ct_assistant.commands.terminal.progress import count_progress


def dialogue(
    model: ModelArgument = "demo",
    dataset: Annotated[
        str,
        typer.Argument(metavar="DATASET", help="Written like the DATASET of `evaluate`."),
    ] = "phantoms:1:4",
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="FOLDER", help="Folder for the page and the pictures."),
    ] = Path("dialogue"),
    split: TestSplit = None,
    limit: Limit = None,
    baselines: Annotated[
        bool,
        typer.Option(
            "--baselines/--no-baselines",
            help="Also answer without the image and with another patient's image.",
        ),
    ] = True,
    device: Device = None,
    send_scan: SendScan = False,
    unencrypted: Unencrypted = False,
    as_json: AsJson = False,
) -> None:
    """Ask a model questions unlike its training, as in E3D-GPT.

    The questions are a published list. The page shows each answer with what was right: by the
    labels of the scan, by a word that every right answer contains, or that no CT can tell. An
    answer counts as yes or no by its first word, or by whether it affirms the finding.
    """
    with one_line_errors(), evaluation_extra():
        from napari_ct_assistant.training.evaluation.dialogue.run import hold_dialogue
        from napari_ct_assistant.training.evaluation.sources import open_cases

        cases = open_cases(dataset, split=split, limit=limit)
        for line in cases.notes:
            note(line)
        assistant = load_model_on(model, device, agreement(send_scan, unencrypted))
        with count_progress("answers") as show, sending_agreed():
            found = hold_dialogue(assistant, cases, out, baselines=baselines, progress=show)
        if as_json:
            print_json({"dataset": dataset, "answers": [one.to_json() for one in found]})
        else:
            say((out / "dialogue.md").read_text(encoding="utf-8"))
            note(f"page, pictures and answers are in {out}")
