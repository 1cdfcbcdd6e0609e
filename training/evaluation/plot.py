"""The picture of an evaluation: the model beside the baselines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_ct_assistant.training.evaluation.answer_sets import ALL
from napari_ct_assistant.training.evaluation.diagnosis import MACRO, POOLED
from napari_ct_assistant.training.evaluation.metric_values import MetricValue
from napari_ct_assistant.training.evaluation.metrics.baselines import (
    ALL_YES,
    BLIND,
    CHANCE,
    MODEL,
    MOST_COMMON,
    SHUFFLED,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's palette, which colour-blind readers can tell apart; only the model is dark.
COLOURS = {
    MODEL: "#0072B2",
    SHUFFLED: "#E69F00",
    BLIND: "#999999",
    MOST_COMMON: "#56B4E9",
    ALL_YES: "#CC79A7",
    CHANCE: "#BBBBBB",
}
PANELS = {
    "report": ("Report generation", ALL),
    "vqa": ("Questions", ALL),
    "choice": ("Multiple choice", ALL),
    "diagnosis": ("Diagnosis, all findings", POOLED),
}
LEFT_OUT = ("identical answers", "neither yes nor no", "no choice named", "present")


def draw(values: Sequence[MetricValue], title: str, file: Path) -> None:
    """Draw the tasks side by side, each finding's AUROC below them, and write a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    tasks = {
        task: [v for v in values if v.task == task and v.group == group and _is_bar(v)]
        for task, (_, group) in PANELS.items()
    }
    tasks = {task: part for task, part in tasks.items() if part}
    findings = [
        v
        for v in values
        if v.task == "diagnosis" and v.group not in (POOLED, MACRO) and v.metric == "AUROC"
        if v.answers in (MODEL, SHUFFLED) and math.isfinite(v.value)
    ]
    names = list(dict.fromkeys(v.group for v in findings))
    rows = bool(tasks) + bool(names)
    if not rows:
        return
    heights = ([3.6] if tasks else []) + ([0.9 + 0.26 * len(names)] if names else [])
    canvas = Figure(figsize=(11, sum(heights) + 0.9), layout="constrained")
    FigureCanvasAgg(canvas)
    canvas.suptitle(title, fontsize=12)
    parts: Any = canvas.subfigures(rows, 1, height_ratios=heights, squeeze=False)[:, 0]
    if tasks:
        widths = [max(1, len({v.metric for v in part})) + 0.6 for part in tasks.values()]
        axes = parts[0].subplots(1, len(tasks), squeeze=False, width_ratios=widths)[0]
        for axis, (task, part) in zip(axes, tasks.items(), strict=True):
            _draw_bars(axis, PANELS[task][0], part)
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
        _draw_findings(parts[-1].subplots(), names, findings)
    canvas.savefig(file, dpi=130)


def _is_bar(value: MetricValue) -> bool:
    return value.metric not in LEFT_OUT and value.answers in COLOURS and math.isfinite(value.value)


def _draw_bars(axis: Axes, title: str, values: Sequence[MetricValue]) -> None:
    metrics = list(dict.fromkeys(v.metric for v in values))
    answers = [name for name in COLOURS if any(v.answers == name for v in values)]
    width = 0.8 / len(answers)
    for number, name in enumerate(answers):
        part = {v.metric: v for v in values if v.answers == name}
        x = [i - 0.4 + (number + 0.5) * width for i, m in enumerate(metrics) if m in part]
        heights = [part[m].value for m in metrics if m in part]
        errors = [_whisker(part[m]) for m in metrics if m in part]
        axis.bar(
            x,
            heights,
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


def _draw_findings(axis: Axes, names: Sequence[str], values: Sequence[MetricValue]) -> None:
    found = {(v.group, v.answers): v for v in values}
    order = sorted(names, key=lambda name: _value(found.get((name, MODEL))))
    for answers, marker, shift in ((SHUFFLED, "x", -0.18), (MODEL, "o", 0.0)):
        rows = [(y, found.get((name, answers))) for y, name in enumerate(order)]
        there = [(y + shift, v) for y, v in rows if v is not None]
        if not there:
            continue
        errors = [_whisker(v) for _, v in there]
        axis.errorbar(
            [v.value for _, v in there],
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
    # Above the axes: inside, it would cover the last findings.
    axis.legend(frameon=False, fontsize=8, ncols=2, loc="lower right", bbox_to_anchor=(1, 1))


def _whisker(value: MetricValue) -> tuple[float, float]:
    """Return the interval's extent below and above the figure; zeros without an interval."""
    if not (math.isfinite(value.low) and math.isfinite(value.high)):
        return 0.0, 0.0
    return max(0.0, value.value - value.low), max(0.0, value.high - value.value)


def _value(value: MetricValue | None) -> float:
    return value.value if value is not None else -1.0
