"""The picture of a run: training and validation loss over the steps."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_ct_assistant.support import atomic

FILE = "losses.png"
# Okabe and Ito's palette, which colour-blind readers can tell apart.
_TRAINING, _VALIDATION = "#56B4E9", "#D55E00"


def draw(history: Sequence[Mapping[str, Any]], title: str, folder: Path, kept: int | None) -> None:
    """Draw the losses of a Trainer's log and write `losses.png`; without matplotlib, nothing.

    Parameters
    ----------
    history
        The Trainer's log: rows with `step` and `loss` or `eval_loss`.
    title
    folder
    kept
        The step whose weights are kept, if there was a choice.
    """
    rows = {
        name: [(row["step"], row[name]) for row in history if name in row]
        for name in ("loss", "eval_loss")
    }
    if not any(rows.values()) or importlib.util.find_spec("matplotlib") is None:
        return
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    marker = "o" if len(rows["loss"]) < 2 else None
    for name, label, colour, dots in (
        ("loss", "training", _TRAINING, marker),
        ("eval_loss", "validation (held-out patients)", _VALIDATION, "o"),
    ):
        if rows[name]:
            steps, losses = zip(*rows[name], strict=True)
            axis.plot(steps, losses, color=colour, label=label, marker=dots, markersize=4)
    if kept is not None:
        axis.axvline(
            kept, color="#666666", linewidth=0.8, linestyle=":", label=f"kept, step {kept:,}"
        )
    axis.set_title(title, fontsize=11)
    axis.set_xlabel("step")
    axis.set_ylabel("loss")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(color="#e5e5e5", linewidth=0.8)
    axis.legend(frameon=False)
    with atomic.replacing(folder / FILE) as part:
        figure.savefig(part, dpi=120)
