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

from napari_ct_assistant.training.evaluation.metrics.bootstrap import MIN_PATIENTS, interval
from napari_ct_assistant.training.evaluation.tables import finite_row

Array = NDArray[np.float64]

REFERENCE = "convolution"  # the perceiver that the others are compared with: E3D-GPT's own


@dataclass(frozen=True)
class PerceiverValue:
    """One figure of one perceiver over all seeds, times 100.

    Parameters
    ----------
    perceiver, parameters
    metric
    value, low, high
        Mean over the seeds, with its 95 % interval over patients.
    seeds, seed_low, seed_high
        Number of seeds, and the range of their own figures.
    gain, gain_low, gain_high
        Gain over the convolution, drawn in pairs.
    items, patients
        How many answers and patients the figure is computed from.
    implementation
        What computed it.
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


def tabulate(out: Path, perceivers: Sequence[str], seeds: int) -> list[PerceiverValue]:
    """Return the figures of a folder's finished runs, each averaged over its seeds."""
    runs: dict[str, list[dict[str, Any]]] = {}
    for kind in perceivers:
        files = [out / f"{kind}-{seed}" / "draws.json" for seed in range(seeds)]
        finished = [json.loads(file.read_text(encoding="utf-8")) for file in files if file.exists()]
        if finished:
            runs[kind] = finished
    reference = runs.get(REFERENCE, [])
    return [
        _average(kind, metric, finished, reference)
        for kind, finished in runs.items()
        for metric in finished[0]["figures"]
    ]


def _average(
    kind: str, metric: str, runs: Sequence[dict[str, Any]], reference: Sequence[dict[str, Any]]
) -> PerceiverValue:
    first = runs[0]["figures"][metric]
    values = _values(runs, metric)
    drawn = _draws(runs, metric)
    gain = gain_low = gain_high = float("nan")
    if kind != REFERENCE and len(reference) == len(runs):
        gain = float(np.mean(values) - np.mean(_values(reference, metric)))
        gain_low, gain_high = interval(drawn - _draws(reference, metric), first["patients"])
    low, high = interval(drawn, first["patients"])
    return PerceiverValue(
        perceiver=kind,
        parameters=runs[0]["parameters"],
        metric=metric,
        value=float(np.mean(values)),
        low=low,
        high=high,
        seeds=len(runs),
        seed_low=min(values),
        seed_high=max(values),
        gain=gain,
        gain_low=gain_low,
        gain_high=gain_high,
        items=first["items"],
        patients=first["patients"],
        implementation=first["implementation"],
    )


def _values(runs: Sequence[dict[str, Any]], metric: str) -> list[float]:
    return [run["figures"][metric]["value"] for run in runs]


def _draws(runs: Sequence[dict[str, Any]], metric: str) -> Array:
    """Return the draws averaged over seeds, [draws]."""
    rows = np.array([run["figures"][metric]["draws"] for run in runs], dtype=float)
    mean: Array = rows.mean(axis=0)
    return mean


def write_table(
    out: Path,
    values: Sequence[PerceiverValue],
    recipes: Sequence[str],
    overrides: Sequence[str],
    test: str,
) -> None:
    """Write perceivers.csv, perceivers.json and perceivers.md."""
    rows = [finite_row(vars(value)) for value in values]
    about = {"recipes": list(recipes), "overrides": list(overrides), "test": test, "cells": rows}
    (out / "perceivers.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    with (out / "perceivers.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(PerceiverValue.__dataclass_fields__))
        writer.writeheader()
        writer.writerows(rows)
    (out / "perceivers.md").write_text(as_markdown(values, test), encoding="utf-8")


def as_markdown(values: Sequence[PerceiverValue], test: str) -> str:
    """Return the table of figures, and below it the gains over the convolution."""
    if not values:
        return ""
    metrics = list(dict.fromkeys(value.metric for value in values))
    kinds = list(dict.fromkeys(value.perceiver for value in values))
    found = {(value.perceiver, value.metric): value for value in values}
    head = f" {' | '.join(metrics)} |\n|{' --- |' * (len(metrics) + 2)}\n"
    lines = [
        f"# Perceivers on {test}\n\nTimes 100, with the 95 % interval over patients (none for "
        f"fewer than {MIN_PATIENTS}), mean of {max(value.seeds for value in values)} seed(s); in "
        "square brackets the range over seeds.\n\n| perceiver | parameters |" + head
    ]
    for kind in kinds:
        row = [found.get((kind, metric)) for metric in metrics]
        parameters = next(value.parameters for value in row if value)
        lines.append(f"| {kind} | {parameters:,} | {' | '.join(map(_figure_cell, row))} |\n")
    others = [kind for kind in kinds if kind != REFERENCE]
    if REFERENCE in kinds and others:
        lines.append(f"\nGain over the {REFERENCE}, drawn in pairs:\n\n| perceiver |")
        lines.append(f" {' | '.join(metrics)} |\n|{' --- |' * (len(metrics) + 1)}\n")
        for kind in others:
            cells = [_gain_cell(found.get((kind, metric))) for metric in metrics]
            lines.append(f"| {kind} | {' | '.join(cells)} |\n")
    lines.append("\n| metric | answers | patients | implementation |\n| --- | --- | --- | --- |\n")
    for metric in metrics:
        one = found[kinds[0], metric]
        lines.append(f"| {metric} | {one.items} | {one.patients} | {one.implementation} |\n")
    return "".join(lines)


def _figure_cell(value: PerceiverValue | None) -> str:
    if value is None or not np.isfinite(value.value):
        return "-"
    text = f"{value.value:.1f}"
    if np.isfinite(value.low):
        text += f" ({value.low:.1f} to {value.high:.1f})"
    return text + (f" [{value.seed_low:.1f}, {value.seed_high:.1f}]" if value.seeds > 1 else "")


def _gain_cell(value: PerceiverValue | None) -> str:
    if value is None or not np.isfinite(value.gain):
        return "-"
    text = f"{value.gain:+.1f}"
    if np.isfinite(value.gain_low):
        text += f" ({value.gain_low:+.1f} to {value.gain_high:+.1f})"
    return text
