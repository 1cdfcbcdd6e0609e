"""The tables of an evaluation: CSV for programs, Markdown for people, JSON for both."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from napari_ct_assistant.training.evaluation.metric_values import Figure

ORDER = ("model", "model - shuffled", "shuffled", "blind", "most common", "all yes", "chance")
TITLES = {
    "report": "Report generation",
    "vqa": "Questions",
    "choice": "Multiple choice",
    "diagnosis": "Diagnosis",
}
LEGEND = """\
All figures are times 100, with their 95 % interval (1000 bootstraps over patients; none for fewer
than 5 patients).
*model*: the model with the right image. *shuffled*: the model with another patient's image.
*model - shuffled*: what the right image adds, drawn in pairs. *blind*: the model with all image
tokens zero. *most common*: the commonest answer of the other patients, or of a finding. *all yes*:
yes to every question. *truth*: the data set itself.
"""


def write_tables(folder: Path, figures: Sequence[Figure], about: dict[str, Any]) -> None:
    """Write figures.csv, figures.json and figures.md.

    Parameters
    ----------
    about
        What was evaluated on what: goes into the JSON and on top of the Markdown.
    """
    with (folder / "figures.csv").open("w", newline="", encoding="utf-8") as stream:
        rows = csv.DictWriter(stream, [field.name for field in fields(Figure)])
        rows.writeheader()
        for figure in figures:
            rows.writerow({k: _cell(v) for k, v in asdict(figure).items()})
    content = {**about, "figures": [_finite(asdict(figure)) for figure in figures]}
    (folder / "figures.json").write_text(
        json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    (folder / "figures.md").write_text(as_markdown(figures, about), encoding="utf-8")


def as_markdown(figures: Sequence[Figure], about: dict[str, Any]) -> str:
    """Return the tables as a person reads them; findings in a table of their own."""
    head = f"# {about['model']['name']} on {about['dataset']}\n\n"
    facts = [f"{about['scans']} scans of {about['patients']} patients."]
    if about.get("unreadable"):
        facts.append(f"Left out as unreadable: {', '.join(about['unreadable'])}.")
    parts = [head, " ".join(facts), "\n\n", LEGEND]
    for task, title in TITLES.items():
        groups = list(dict.fromkeys(f.group for f in figures if f.task == task))
        findings = [g for g in groups if task == "diagnosis" and g != "pooled"]
        for group in groups:
            if group in findings:
                continue
            part = [f for f in figures if f.task == task and f.group == group]
            named = title if group in ("all", "pooled") else f"{title}: {group.replace('_', ' ')}"
            items, patients = part[0].items, part[0].patients
            parts.append(f"\n## {named}\n\n{items} answers, {patients} patients.\n\n")
            parts.append(table_of(part))
        if findings:
            parts.append("\n## Diagnosis, finding by finding\n\n")
            parts.append(_findings_table(figures, findings))
    used = dict.fromkeys((f.metric, f.implementation) for f in figures)
    parts.append("\n## Computed by\n\n| metric | implementation |\n| --- | --- |\n")
    parts += [f"| {metric} | {what} |\n" for metric, what in used]
    return "".join(parts)


def table_of(figures: Sequence[Figure]) -> str:
    """Return one table: a row for each kind of answers, a column for each metric."""
    metrics = list(dict.fromkeys(f.metric for f in figures))
    found = {(f.answers, f.metric): f for f in figures}
    names = sorted({f.answers for f in figures}, key=_place)
    lines = [f"| answers | {' | '.join(metrics)} |\n|{' --- |' * (len(metrics) + 1)}\n"]
    for name in names:
        cells = [shown(found.get((name, metric))) for metric in metrics]
        lines.append(f"| {name} | {' | '.join(cells)} |\n")
    return "".join(lines)


def _findings_table(figures: Sequence[Figure], findings: Sequence[str]) -> str:
    columns = (
        ("present", "truth"),
        ("BACC", "model"),
        ("AUROC", "model"),
        ("AUROC", "shuffled"),
        ("F1", "model"),
        ("F1", "all yes"),
        ("precision", "model"),
        ("recall", "model"),
    )
    found = {(f.group, f.metric, f.answers): f for f in figures if f.task == "diagnosis"}
    names = [m if a in ("model", "truth") else f"{m}, {a}" for m, a in columns]
    lines = [f"| finding | {' | '.join(names)} |\n|{' --- |' * (len(names) + 1)}\n"]
    for finding in findings:
        cells = [
            shown(found.get((finding, metric, answers)), interval=metric in ("BACC", "AUROC"))
            for metric, answers in columns
        ]
        lines.append(f"| {finding} | {' | '.join(cells)} |\n")
    return "".join(lines)


def shown(figure: Figure | None, *, interval: bool = True) -> str:
    """Return a figure as a table shows it: "61.3 (55.0 to 67.2)"."""
    if figure is None or not math.isfinite(figure.value):
        return "-"
    signed = "+.1f" if " - " in figure.answers else ".1f"
    text = f"{figure.value:{signed}}"
    if interval and math.isfinite(figure.low):
        text += f" ({figure.low:{signed}} to {figure.high:{signed}})"
    return text


def _place(name: str) -> tuple[int, str]:
    return (ORDER.index(name) if name in ORDER else len(ORDER), name)


def _cell(value: object) -> object:
    return (
        f"{value:.4f}"
        if isinstance(value, float) and math.isfinite(value)
        else ("" if isinstance(value, float) else value)
    )


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
