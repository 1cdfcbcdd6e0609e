"""The plot of the table: how many times as long each peer takes, and what is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.rows import Row
from benchmarks.tables import rows


def plot(results: dict[str, Any], file: Path) -> None:
    """Write the plot as .svg."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    from napari_ct_assistant.support import atomic

    quiet = [row for row in rows(results) if row.ratio is not None and row.curve is None]
    busy = {row.step: row.ratio for row in rows(results, "busy")}
    curves = [row for row in rows(results) if row.curve is not None]
    figure = Figure(figsize=(9, 1.4 + 0.27 * max(8, len(quiet))), layout="constrained")
    FigureCanvasSVG(figure)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    for at, row in enumerate(quiet):
        ratio = row.ratio or 1.0
        asked = target(row)
        reached = asked is None or ratio >= asked
        left.barh(at, ratio - 1, left=1, height=0.6, color="C0" if reached else "C1")
        if busy.get(row.step):
            left.plot(busy[row.step], at, "|", color="black", markersize=9, markeredgewidth=1.6)
        if asked is not None:
            left.plot(asked, at, "D", mec="black", mfc="white", ms=4)
        left.annotate(f" {ratio:.3g}x", (max(ratio, 1), at), va="center", fontsize=7)
    left.set_yticks(range(len(quiet)), [row.step for row in quiet], fontsize=7)
    left.invert_yaxis()
    left.set_xscale("log")
    left.xaxis.set_major_formatter("{x:g}")
    left.set_xlabel(
        "times as long as here\n(line: beside a busy process; diamond: asked)", fontsize=8
    )
    left.margins(x=0.12)
    for row in curves:
        curve = row.curve
        if curve is None:
            continue
        size = [each / curve.sizes[0] for each in curve.sizes]
        label = row.step.partition(",")[0].partition("(")[0]
        right.plot(size, [t / curve.seconds[0] for t in curve.seconds], "o-", label=label, ms=3)
    right.set_xscale("log")
    right.set_yscale("log")
    right.set_xlabel("size, times the smallest", fontsize=8)
    right.set_ylabel("seconds, times those of the smallest", fontsize=8)
    if curves:
        right.legend(fontsize=6, frameon=False)
    for axes in (left, right):
        axes.tick_params(axis="x", labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    # Without a date and with a fixed salt, the same figures make the same file.
    with rc_context({"svg.hashsalt": "speed"}), atomic.replacing(file) as part:
        figure.savefig(part, format="svg", metadata={"Date": None})


def target(row: Row) -> float | None:
    """Return the ratio that is asked of a row, None if another quantity is."""
    for each in row.targets:
        if each.quantity == "ratio":
            return each.bound
        if each.quantity == "share":
            return 1 / each.bound
    return None
