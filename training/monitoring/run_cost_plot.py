"""The plot of a predicted run: hours, and bytes read per second, by the number of GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari_ct_assistant.support import atomic
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.monitoring.run_cost import Prediction, StepCost


def plot_costs(step: StepCost, found: Sequence[Prediction], title: str, file: Path) -> None:
    """Write the plot as .svg or .png."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter, NullLocator

    if file.suffix not in (".svg", ".png"):
        raise RecipeError(f"{file.name}: a plot is written as .svg or .png")
    gpus = [p.gpus for p in found]
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(f"Prediction, not measured: {title}\nstep {step.source}", fontsize=9)
    left, right = figure.subplots(1, 2)
    ideal = [found[0].hours * gpus[0] / n for n in gpus]
    left.plot(gpus, ideal, ":", color="0.6", label="in proportion")
    left.plot(gpus, [p.hours for p in found], "o-", label="predicted")
    left.set_ylabel("hours")
    left.legend(fontsize=8, frameon=False)
    right.plot(gpus, [p.bytes_per_second / 1e9 for p in found], "o-", color="C1")
    right.set_ylabel("GB read per second")
    for axes in (left, right):
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xticks(gpus, [f"{n:,}" for n in gpus])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.yaxis.set_major_formatter("{x:g}")
        axes.set_xlabel("GPUs")
        axes.spines[["top", "right"]].set_visible(False)
    # Without a date and with a fixed salt, the same prediction makes the same file.
    with rc_context({"svg.hashsalt": "prediction"}), atomic.replacing(file) as part:
        figure.savefig(part, dpi=150, metadata={"Date": None} if file.suffix == ".svg" else None)
