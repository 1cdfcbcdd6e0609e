"""Rates and the area under the ROC curve of yes/no judgements.

All functions take sums or weights of many bootstrap draws at once. They agree with
scikit-learn's functions of the same name, which the tests hold them to.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def confusion(truth: Array, predicted: Array) -> Array:
    """Count each item's outcome. truth, predicted: [items], 0 or 1.

    Returns
    -------
    [items, 4]
        True positives, false positives, true negatives, false negatives. Their sums over items
        are what `RATES` takes.
    """
    return np.stack(
        [
            truth * predicted,
            (1 - truth) * predicted,
            (1 - truth) * (1 - predicted),
            truth * (1 - predicted),
        ],
        axis=1,
    )


def _ratio(numerator: Array, denominator: Array, empty: float) -> Array:
    """Divide; `empty` is the result where the denominator is zero."""
    result = np.full_like(numerator, empty)
    return np.divide(numerator, denominator, out=result, where=denominator > 0)


def _recall(counts: Array) -> Array:
    return _ratio(counts[:, 0], counts[:, 0] + counts[:, 3], np.nan)


def _specificity(counts: Array) -> Array:
    return _ratio(counts[:, 2], counts[:, 2] + counts[:, 1], np.nan)


# Each maps counts [n, 4], as summed from `confusion`, to [n]. Recall (sensitivity), specificity
# and BACC are NaN without the class that they are about; precision is 0 without a single yes,
# and F1 without a yes or a positive. Accuracy is the plain share of right answers.
RATES: dict[str, Callable[[Array], Array]] = {
    "BACC": lambda c: (_recall(c) + _specificity(c)) / 2,
    "accuracy": lambda c: _ratio(c[:, 0] + c[:, 2], c.sum(axis=1), np.nan),
    "precision": lambda c: _ratio(c[:, 0], c[:, 0] + c[:, 1], 0.0),
    "recall": _recall,
    "specificity": _specificity,
    "F1": lambda c: _ratio(2 * c[:, 0], 2 * c[:, 0] + c[:, 1] + c[:, 3], 0.0),
}


def rates(truth: Array, predicted: Array) -> dict[str, float]:
    """Return every rate of `RATES`, from 0 to 1. truth, predicted: [items], 0 or 1."""
    counts = confusion(truth, predicted).sum(axis=0, keepdims=True)
    return {name: float(rate(counts)[0]) for name, rate in RATES.items()}


def auroc(truth: Array, score: Array) -> float:
    """Return the area under the ROC curve; NaN with one class only.

    truth (0 or 1), score: [items].
    """
    if not len(truth):
        return float("nan")
    return float(weighted_auroc(truth, score, np.ones((1, len(truth))))[0])


def weighted_auroc(truth: Array, score: Array, weights: Array) -> Array:
    """Return the area under the ROC curve of weighted items; ties count half.

    Parameters
    ----------
    truth, score : [items]
        truth is 0 or 1.
    weights : [draws, items]
        One row for each set of weights, e.g. how often a bootstrap draw contains an item.

    Returns
    -------
    [draws]
        NaN where the weights leave one class only.
    """
    order = np.argsort(score, kind="stable")
    tied = np.flatnonzero(np.r_[True, np.diff(score[order]) > 0])
    positive = weights[:, order] * truth[order]
    negative = weights[:, order] * (1 - truth[order])
    positive = np.add.reduceat(positive, tied, axis=1)
    negative = np.add.reduceat(negative, tied, axis=1)
    below = negative.cumsum(axis=1) - negative / 2
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    return _ratio((positive * below).sum(axis=1), pairs, np.nan)
