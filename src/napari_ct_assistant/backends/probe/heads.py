"""Linear heads on what an encoder gives for a scan. Importing it brings no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

POOLINGS: Final = ("mean", "max", "mean_max")
POINTS: Final = ("points_logit", "points_probability")  # stored names of isotonic calibration


@dataclass(frozen=True, eq=False)
class Heads:
    """A logistic regression for each finding, and the calibration behind it.

    Attributes
    ----------
    labels : tuple of str
        The findings, in their order.
    pooling : "mean", "max" or "mean_max"
        What of the encoder's places is read, along each channel.
    weight : [labels, F]
        For standardised features.
    bias : [labels]
    mean, scale : [F]
        By which features are standardised.
    slope, shift : [labels]
        Platt's calibration: sigmoid(slope * logit + shift).
    points : ([labels, K], [labels, K]) or None
        Isotonic calibration, in place of Platt's: logits in ascending order, and the probability
        of each. Between two points it is linear, beyond the outer ones constant.
    thresholds : [labels]
        Probability from which on a finding counts as present.
    """

    labels: tuple[str, ...]
    pooling: str
    weight: Floats
    bias: Floats
    mean: Floats
    scale: Floats
    slope: Floats
    shift: Floats
    thresholds: Floats
    points: tuple[Floats, Floats] | None = None

    def tensors(self) -> dict[str, NDArray[np.float32]]:
        """Return the numbers as they are stored."""
        kept = ("weight", "bias", "mean", "scale", "slope", "shift", "thresholds")
        stored = {key: getattr(self, key) for key in kept}
        if self.points is not None:
            stored |= dict(zip(POINTS, self.points, strict=True))
        return {key: np.asarray(value, dtype=np.float32) for key, value in stored.items()}

    def logits(self, features: Floats) -> Floats:
        """Return each head's logit. [..., F] -> [..., labels]."""
        standard = (features - self.mean) / self.scale
        result: Floats = standard @ self.weight.T + self.bias
        return result

    def probabilities(self, features: Floats) -> Floats:
        """Return calibrated probabilities. [..., F] -> [..., labels]."""
        logits = self.logits(features)
        if self.points is None:
            return sigmoid(self.slope * logits + self.shift)
        found: Floats = np.empty_like(logits)
        for label, (x, y) in enumerate(zip(*self.points, strict=True)):
            found[..., label] = np.interp(logits[..., label], x, y)
        return found

    def contributions(self, label: int, tokens: Floats) -> Floats:
        """Return what each place adds to a finding's logit. tokens: [N, C] -> [N].

        A mean spreads over all places; a maximum belongs to the place that has it.
        """
        n, width = tokens.shape
        weight = self.weight[label] / self.scale
        found: Floats = np.zeros(n)
        parts = {"mean": ("mean",), "max": ("max",), "mean_max": ("mean", "max")}[self.pooling]
        for number, part in enumerate(parts):
            own = slice(number * width, (number + 1) * width)
            if part == "mean":
                found += (tokens - self.mean[own]) @ weight[own] / n
            else:
                gains = weight[own] * (tokens.max(0) - self.mean[own])
                np.add.at(found, tokens.argmax(0), gains)
        return found


def pooled(tokens: Floats, pooling: str) -> Floats:
    """Return the features of a scan. [N, C] -> [C], or [2 C] for "mean_max"."""
    parts = {"mean": tokens.mean(0), "max": tokens.max(0)}
    if pooling in parts:
        return parts[pooling]
    return np.concatenate([parts["mean"], parts["max"]])


def sigmoid(x: NDArray[Any]) -> Floats:
    """Return 1 / (1 + exp(-x)), without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)), dtype=np.float64)
