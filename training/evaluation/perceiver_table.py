"""The table of compared perceivers: figures averaged over seeds, and gains drawn in pairs."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.training.evaluation.metrics.bootstrap import PatientBootstrap

Array = NDArray[np.float64]

REFERENCE = "convolution"  # what the others are compared with: E3D-GPT's own


@dataclass(frozen=True)
class Cell:
    """One figure of one perceiver, times 100, over all seeds.

    low, high: 95 % interval over patients; seed_low, seed_high: the seeds' own figures;
    gain, gain_low, gain_high: what it has more than the convolution, drawn in pairs.
    """

    perceiver: str
    parameters: int
    metric: str
    value: float
    low: float
    high: float
    seeds: int
    seed_low: float
    seed_high: float
    gain: float
    gain_low: float
    gain_high: float
    items: int
    patients: int
    implementation: str


def tabulate(out: Path, perceivers: Sequence[str], seeds: int) -> list[Cell]:
    """Put the finished runs of a folder together, each figure averaged over its seeds."""
    runs: dict[str, list[dict[str, Any]]] = {}
    for kind in perceivers:
        files = [out / f"{kind}-{seed}" / "draws.json" for seed in range(seeds)]
        there = [json.loads(file.read_text(encoding="utf-8")) for file in files if file.exists()]
        if there:
            runs[kind] = there
    cells = []
    for kind, there in runs.items():
        for metric, one in there[0]["figures"].items():
            values = [run["figures"][metric]["value"] for run in there]
            drawn = _draws(there, metric)
            gain = gain_low = gain_high = float("nan")
            if kind != REFERENCE and len(runs.get(REFERENCE, ())) == len(there):
                theirs = [run["figures"][metric]["value"] for run in runs[REFERENCE]]
                gain = float(np.mean(values) - np.mean(theirs))
                gain_low, gain_high = _interval(
                    drawn - _draws(runs[REFERENCE], metric), one["patients"]
                )
            low, high = _interval(drawn, one["patients"])
            cells.append(
                Cell(
                    kind,
                    there[0]["parameters"],
                    metric,
                    float(np.mean(values)),
                    low,
                    high,
                    len(there),
                    min(values),
                    max(values),
                    gain,
                    gain_low,
                    gain_high,
                    one["items"],
                    one["patients"],
                    one["implementation"],
                )
            )
    return cells


def _draws(runs: Sequence[dict[str, Any]], metric: str) -> Array:
    """Return the mean over seeds of the draws, [draws]."""
    rows = np.array([run["figures"][metric]["draws"] for run in runs], dtype=float)
    mean: Array = rows.mean(axis=0)
    return mean


def _interval(drawn: Array, patients: int) -> tuple[float, float]:
    return PatientBootstrap(range(patients), draws=1).interval(drawn)


def write(
    out: Path,
    cells: Sequence[Cell],
    recipes: Sequence[str],
    overrides: Sequence[str],
    test: str,
) -> None:
    """Write perceivers.csv, perceivers.json and perceivers.md."""
    rows = [
        {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in vars(c).items()}
        for c in cells
    ]
    about = {"recipes": list(recipes), "overrides": list(overrides), "test": test, "cells": rows}
    (out / "perceivers.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    with (out / "perceivers.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(Cell.__dataclass_fields__))
        writer.writeheader()
        writer.writerows(rows)
    (out / "perceivers.md").write_text(as_markdown(cells, test), encoding="utf-8")


def as_markdown(cells: Sequence[Cell], test: str) -> str:
    """Return the table, and beneath it what each has more than the convolution."""
    if not cells:
        return ""
    metrics = list(dict.fromkeys(cell.metric for cell in cells))
    kinds = list(dict.fromkeys(cell.perceiver for cell in cells))
    found = {(cell.perceiver, cell.metric): cell for cell in cells}
    head = f" {' | '.join(metrics)} |\n|{' --- |' * (len(metrics) + 2)}\n"
    lines = [
        f"# Perceivers on {test}\n\nTimes 100, with the 95 % interval over patients (none for "
        f"fewer than 5), mean of {max(cell.seeds for cell in cells)} seed(s); in square brackets "
        "the seeds' own figures.\n\n| perceiver | parameters |" + head
    ]
    for kind in kinds:
        row = [found.get((kind, metric)) for metric in metrics]
        parameters = next(cell.parameters for cell in row if cell)
        lines.append(f"| {kind} | {parameters:,} | {' | '.join(map(_value, row))} |\n")
    gains = [
        (kind, [found.get((kind, metric)) for metric in metrics])
        for kind in kinds
        if kind != REFERENCE
    ]
    if REFERENCE in kinds and gains:
        lines.append(f"\nMore than the {REFERENCE}, drawn in pairs:\n\n| perceiver |")
        lines.append(f" {' | '.join(metrics)} |\n|{' --- |' * (len(metrics) + 1)}\n")
        for kind, row in gains:
            lines.append(f"| {kind} | {' | '.join(map(_gain, row))} |\n")
    lines.append("\n| metric | answers | patients | implementation |\n| --- | --- | --- | --- |\n")
    for metric in metrics:
        cell = found[kinds[0], metric]
        lines.append(f"| {metric} | {cell.items} | {cell.patients} | {cell.implementation} |\n")
    return "".join(lines)


def _value(cell: Cell | None) -> str:
    if cell is None or not np.isfinite(cell.value):
        return "-"
    text = f"{cell.value:.1f}"
    if np.isfinite(cell.low):
        text += f" ({cell.low:.1f} to {cell.high:.1f})"
    return text + (f" [{cell.seed_low:.1f}, {cell.seed_high:.1f}]" if cell.seeds > 1 else "")


def _gain(cell: Cell | None) -> str:
    if cell is None or not np.isfinite(cell.gain):
        return "-"
    interval = (
        f" ({cell.gain_low:+.1f} to {cell.gain_high:+.1f})" if np.isfinite(cell.gain_low) else ""
    )
    return f"{cell.gain:+.1f}{interval}"
