"""Linear heads for all findings at once: logistic regression, both classes with equal weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from napari_ct_assistant.training.places.cells import Cells

Floats = NDArray[np.float32]
STRENGTHS: Final = (0.01, 0.1, 1.0)  # of the penalty, on standardised features
FOLDS: Final = 3
STEPS: Final = 40


@dataclass(frozen=True, eq=False)
class Fit:
    """weight: float32 [C, findings]; bias: float32 [findings]."""

    weight: Floats
    bias: Floats

    def scores(self, features: Floats) -> Floats:
        """features: [..., C] -> [..., findings]."""
        found: Floats = features @ self.weight + self.bias
        return found


def fit(cells: Cells, strength: float, rows: NDArray[np.bool_] | None = None) -> Fit:
    """Fit the heads on some rows, all when absent."""
    pick = slice(None) if rows is None else rows
    features, present = cells.features[pick], cells.present[pick]
    mean, spread = features.mean(axis=0), features.std(axis=0) + 1e-3
    x = torch.from_numpy((features - mean) / spread)
    there = torch.from_numpy((present == 1).astype(np.float32))
    absent = torch.from_numpy((present == 0).astype(np.float32))
    shares = there / there.sum(0).clamp(min=1) + absent / absent.sum(0).clamp(min=1)
    weight = torch.zeros(x.shape[1], present.shape[1], requires_grad=True)
    bias = torch.zeros(present.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=STEPS, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            x @ weight + bias, there, reduction="none"
        )
        total = (loss * shares).sum() + strength * weight.square().sum() / 2
        total.backward()
        return total

    optimizer.step(closure)
    scaled = weight.detach().numpy() / spread[:, None]
    return Fit(
        scaled.astype(np.float32), (bias.detach().numpy() - mean @ scaled).astype(np.float32)
    )


def choose_strength(cells: Cells) -> tuple[float, dict[float, float]]:
    """Return the penalty with the best mean AUROC over findings on scans left out, and all."""
    found: dict[float, float] = {}
    for strength in STRENGTHS:
        values = []
        for fold in range(FOLDS):
            out = cells.scan % FOLDS == fold
            scores = fit(cells, strength, ~out).scores(cells.features[out])
            for number in range(scores.shape[1]):
                value = auroc(scores[:, number], cells.present[out, number])
                if value is not None:
                    values.append(value)
        found[strength] = float(np.mean(values))
    return max(found, key=lambda strength: found[strength]), found


def auroc(scores: Floats, present: NDArray[np.int8]) -> float | None:
    """Return the area under the ROC curve; None without both classes. -1 is left out."""
    there, absent = scores[present == 1], scores[present == 0]
    if not len(there) or not len(absent):
        return None
    order = np.argsort(np.concatenate([absent, there]), kind="stable")
    ranks = np.empty(len(order))
    ranks[order] = np.arange(1, len(order) + 1)
    above = ranks[len(absent) :].sum() - len(there) * (len(there) + 1) / 2
    return float(above / (len(there) * len(absent)))
