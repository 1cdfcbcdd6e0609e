"""One picture of an evaluation: the model beside what needs no looking."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_ct_assistant.training.evaluation.metric_values import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colours, told apart by colour-blind readers; the model alone is filled dark.
COLOURS = {
    "model": "#0072B2",
    "shuffled": "#E69F00",
    "blind": "#999999",
    "most common": "#56B4E9",
    "all yes": "#CC79A7",
    "chance": "#BBBBBB",
}
PANELS = {
    "report": ("Report generation", "all"),
    "vqa": ("Questions", "all"),
    "choice": ("Multiple choice", "all"),
    "diagnosis": ("Diagnosis, all findings", "pooled"),
}
LEFT_OUT = ("identical answers", "neither yes nor no", "no choice named", "present")


def draw(figures: Sequence[Figure], title: str, file: Path) -> None:
    """Draw the tasks side by side, and each finding's AUROC beneath; write a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    tasks = {
        task: [f for f in figures if f.task == task and f.group == group and _is_bar(f)]
        for task, (_, group) in PANELS.items()
    }
    tasks = {task: part for task, part in tasks.items() if part}
    findings = [
        f
        for f in figures
        if f.task == "diagnosis" and f.group != "pooled" and f.metric == "AUROC"
        if f.answers in ("model", "shuffled") and math.isfinite(f.value)
    ]
    names = list(dict.fromkeys(f.group for f in findings))
    rows = bool(tasks) + bool(names)
    if not rows:
        return
    heights = ([3.6] if tasks else []) + ([0.9 + 0.26 * len(names)] if names else [])
    canvas = Canvas(figsize=(11, sum(heights) + 0.9), layout="constrained")
    FigureCanvasAgg(canvas)
    canvas.suptitle(title, fontsize=12)
    parts: Any = canvas.subfigures(rows, 1, height_ratios=heights, squeeze=False)[:, 0]
    if tasks:
        widths = [max(1, len({f.metric for f in part})) + 0.6 for part in tasks.values()]
        axes = parts[0].subplots(1, len(tasks), squeeze=False, width_ratios=widths)[0]
        for axis, (task, part) in zip(axes, tasks.items(), strict=True):
            _bars(axis, PANELS[task][0], part)
        handles = {h.get_label(): h for axis in axes for h in axis.containers}
        shown = [name for name in COLOURS if name in handles]
        parts[0].legend(
            [handles[name] for name in shown],
            shown,
            loc="outside lower center",
            ncols=len(shown),
            frameon=False,
        )
    if names:
        _findings(parts[-1].subplots(), names, findings)
    canvas.savefig(file, dpi=130)


def _is_bar(figure: Figure) -> bool:
    return (
        figure.metric not in LEFT_OUT and figure.answers in COLOURS and math.isfinite(figure.value)
    )


def _bars(axis: Axes, title: str, figures: Sequence[Figure]) -> None:
    metrics = list(dict.fromkeys(f.metric for f in figures))
    answers = [name for name in COLOURS if any(f.answers == name for f in figures)]
    width = 0.8 / len(answers)
    for number, name in enumerate(answers):
        part = {f.metric: f for f in figures if f.answers == name}
        x = [i - 0.4 + (number + 0.5) * width for i, m in enumerate(metrics) if m in part]
        values = [part[m].value for m in metrics if m in part]
        errors = [_whisker(part[m]) for m in metrics if m in part]
        axis.bar(
            x,
            values,
            width,
            label=name,
            color=COLOURS[name],
            yerr=[[e[0] for e in errors], [e[1] for e in errors]],
            error_kw={"elinewidth": 0.8, "ecolor": "#333333"},
        )
    axis.set_xticks(range(len(metrics)), metrics)
    axis.set_ylim(0, 100)
    axis.set_title(title, fontsize=10)
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    axis.set_axisbelow(True)
    axis.grid(axis="y", color="#e5e5e5", linewidth=0.8)


def _findings(axis: Axes, names: Sequence[str], figures: Sequence[Figure]) -> None:
    found = {(f.group, f.answers): f for f in figures}
    order = sorted(names, key=lambda name: _value(found.get((name, "model"))))
    for answers, marker, shift in (("shuffled", "x", -0.18), ("model", "o", 0.0)):
        rows = [(y, found.get((name, answers))) for y, name in enumerate(order)]
        there = [(y + shift, f) for y, f in rows if f is not None]
        if not there:
            continue
        errors = [_whisker(f) for _, f in there]
        axis.errorbar(
            [f.value for _, f in there],
            [y for y, _ in there],
            xerr=[[e[0] for e in errors], [e[1] for e in errors]],
            fmt=marker,
            color=COLOURS[answers],
            ecolor=COLOURS[answers],
            elinewidth=1,
            markersize=5,
            label=answers,
        )
    axis.axvline(50, color="#666666", linewidth=0.8, linestyle=":")
    axis.set_yticks(range(len(order)), order)
    axis.set_xlim(0, 102)
    axis.set_ylim(-0.7, len(order) - 0.3)
    axis.set_xlabel("AUROC x 100, 95 % interval; dotted: chance")
    axis.set_title("Diagnosis, finding by finding", fontsize=10)
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    # Above the axes: beneath, it would lie on the last findings.
    axis.legend(frameon=False, fontsize=8, ncols=2, loc="lower right", bbox_to_anchor=(1, 1))


def _whisker(figure: Figure) -> tuple[float, float]:
    """Return how far the interval reaches below and above; nothing where there is none."""
    if not (math.isfinite(figure.low) and math.isfinite(figure.high)):
        return 0.0, 0.0
    return max(0.0, figure.value - figure.low), max(0.0, figure.high - figure.value)


def _value(figure: Figure | None) -> float:
    return figure.value if figure is not None else -1.0
