"""The tables of an evaluation: CSV and JSON for programs, Markdown for people."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from napari_ct_assistant.training.evaluation.answer_sets import ALL
from napari_ct_assistant.training.evaluation.diagnosis import MACRO, POOLED
from napari_ct_assistant.training.evaluation.metric_values import MetricValue
from napari_ct_assistant.training.evaluation.metrics.baselines import (
    ALL_YES,
    BLIND,
    CHANCE,
    GAIN,
    MODEL,
    MOST_COMMON,
    SHUFFLED,
    TRUTH,
)
from napari_ct_assistant.training.evaluation.metrics.bootstrap import DRAWS, MIN_PATIENTS

ROW_ORDER = (MODEL, GAIN, SHUFFLED, BLIND, MOST_COMMON, ALL_YES, CHANCE)
TITLES = {
    "report": "Report generation",
    "vqa": "Questions",
    "choice": "Multiple choice",
    "diagnosis": "Diagnosis",
}
LEGEND = f"""\
All figures are times 100, with their 95 % interval ({DRAWS} bootstrap draws of patients; none for
fewer than {MIN_PATIENTS} patients).

| answers | what they are |
| --- | --- |
| {MODEL} | the model's, with the right image |
| {GAIN} | the gain of the right image over another patient's, drawn in pairs |
| {SHUFFLED} | the model's, with another patient's image |
| {BLIND} | the model's, with every image token set to zero |
| {MOST_COMMON} | the commonest answer of the other patients, or the commoner of yes and no |
| {ALL_YES} | yes to every question |
| {TRUTH} | the data set itself |
"""


def write_tables(folder: Path, values: Sequence[MetricValue], about: dict[str, Any]) -> None:
    """Write figures.csv, figures.json and figures.md.

    Parameters
    ----------
    folder : Path
    values : sequence of MetricValue
    about
        Model and data set. Goes into the JSON, and into the head of the Markdown.
    """
    with (folder / "figures.csv").open("w", newline="", encoding="utf-8") as stream:
        rows = csv.DictWriter(stream, [field.name for field in fields(MetricValue)])
        rows.writeheader()
        for value in values:
            rows.writerow({k: _csv_cell(v) for k, v in asdict(value).items()})
    content = {**about, "figures": [finite_row(asdict(value)) for value in values]}
    (folder / "figures.json").write_text(
        json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    (folder / "figures.md").write_text(as_markdown(values, about), encoding="utf-8")


def as_markdown(values: Sequence[MetricValue], about: dict[str, Any]) -> str:
    """Return the tables for people; the findings share one table."""
    head = f"# {about['model']['name']} on {about['dataset']}\n\n"
    facts = [f"{about['scans']} scans of {about['patients']} patients."]
    if about.get("unreadable"):
        facts.append(f"Left out as unreadable: {', '.join(about['unreadable'])}.")
    parts = [head, " ".join(facts), "\n\n", LEGEND]
    for task, title in TITLES.items():
        groups = list(dict.fromkeys(v.group for v in values if v.task == task))
        findings = [g for g in groups if task == "diagnosis" and g not in (POOLED, MACRO)]
        for group in groups:
            if group in findings:
                continue
            part = [v for v in values if v.task == task and v.group == group]
            named = title if group in (ALL, POOLED) else f"{title}: {group.replace('_', ' ')}"
            items, patients = part[0].items, part[0].patients
            parts.append(f"\n## {named}\n\n{items} answers, {patients} patients.\n\n")
            parts.append(table_of(part))
        if findings:
            parts.append("\n## Diagnosis, finding by finding\n\n")
            parts.append(_findings_table(values, findings))
    used = dict.fromkeys((v.metric, v.implementation) for v in values)
    parts.append("\n## Computed by\n\n| metric | implementation |\n| --- | --- |\n")
    parts += [f"| {metric} | {implementation} |\n" for metric, implementation in used]
    return "".join(parts)


def overview(values: Sequence[MetricValue], about: dict[str, Any]) -> str:
    """Return one table for each task, over all its answers: what a model card has."""
    parts = [f"{about['scans']} scans of {about['patients']} patients. All figures are times 100."]
    for task, title in TITLES.items():
        part = [v for v in values if v.task == task and v.group in (ALL, POOLED)]
        if part:
            parts.append(f"**{title}**, {part[0].items} answers\n\n{table_of(part)}")
    return "\n\n".join(parts)


def table_of(values: Sequence[MetricValue]) -> str:
    """Return one table: a row for each source of answers, a column for each metric."""
    metrics = list(dict.fromkeys(v.metric for v in values))
    found = {(v.answers, v.metric): v for v in values}
    sources = sorted({v.answers for v in values}, key=_row_order)
    lines = [f"| answers | {' | '.join(metrics)} |\n|{' --- |' * (len(metrics) + 1)}\n"]
    for source in sources:
        cells = [as_cell(found.get((source, metric))) for metric in metrics]
        lines.append(f"| {source} | {' | '.join(cells)} |\n")
    return "".join(lines)


def _findings_table(values: Sequence[MetricValue], findings: Sequence[str]) -> str:
    columns = (
        ("present", TRUTH),
        ("BACC", MODEL),
        ("AUROC", MODEL),
        ("AUROC", SHUFFLED),
        ("F1", MODEL),
        ("F1", ALL_YES),
        ("precision", MODEL),
        ("recall", MODEL),
    )
    found = {(v.group, v.metric, v.answers): v for v in values if v.task == "diagnosis"}
    names = [m if a in (MODEL, TRUTH) else f"{m}, {a}" for m, a in columns]
    lines = [f"| finding | {' | '.join(names)} |\n|{' --- |' * (len(names) + 1)}\n"]
    for finding in findings:
        cells = [
            as_cell(found.get((finding, metric, source)), interval=metric in ("BACC", "AUROC"))
            for metric, source in columns
        ]
        lines.append(f"| {finding} | {' | '.join(cells)} |\n")
    return "".join(lines)


def as_cell(value: MetricValue | None, *, interval: bool = True) -> str:
    """Return a figure as a table shows it: "61.3 (55.0 to 67.2)"."""
    if value is None or not math.isfinite(value.value):
        return "-"
    form = "+.1f" if value.answers == GAIN else ".1f"
    text = f"{value.value:{form}}"
    if interval and math.isfinite(value.low):
        text += f" ({value.low:{form}} to {value.high:{form}})"
    return text


def finite_row(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with None for each number that JSON lacks."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}


def _row_order(source: str) -> tuple[int, str]:
    return (ROW_ORDER.index(source) if source in ROW_ORDER else len(ROW_ORDER), source)


def _csv_cell(value: object) -> object:
    if isinstance(value, float):
        return f"{value:.4f}" if math.isfinite(value) else ""
    return value
