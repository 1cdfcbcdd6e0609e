"""Confidence intervals by drawing patients, not scans: scans of one patient are alike."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
DRAWS = 1000
FEWEST = 5  # patients: from fewer, no interval is drawn
_CHUNK = 64  # draws at a time where every item has a weight: memory


class PatientBootstrap:
    """Draws of patients with replacement; one draw takes all items of the patients in it.

    Parameters
    ----------
    patients : sequence, [items]
        Whose item each is.
    draws : int
    seed : int

    Attributes
    ----------
    count : int
        Patients.
    """

    def __init__(self, patients: Sequence[Hashable], *, draws: int = DRAWS, seed: int = 0):
        number = {patient: i for i, patient in enumerate(dict.fromkeys(patients))}
        self.count = len(number)
        self.owner = np.array([number[patient] for patient in patients], dtype=np.int64)
        share = np.full(self.count, 1 / self.count)
        rng = np.random.default_rng(seed)
        self.times: Array = rng.multinomial(self.count, share, size=draws).astype(np.float64)

    def interval(self, drawn: Array) -> tuple[float, float]:
        """95 % interval of a figure [draws]; NaN with fewer than 5 patients."""
        nowhere = float("nan"), float("nan")
        return interval(drawn) if self.count >= FEWEST else nowhere

    def of_sums(self, terms: Array, figure: Callable[[Array], Array]) -> Array:
        """Return a figure that is made of sums over items, [draws].

        Parameters
        ----------
        terms : [items, k]
            What is summed, e.g. true positives and positives.
        figure
            Takes sums [draws, k], gives the figure [draws] (NaN where it has none).
        """
        by_patient = np.zeros((self.count, terms.shape[1]))
        np.add.at(by_patient, self.owner, terms)
        return figure(self.times @ by_patient)

    def of_mean(self, values: Array) -> Array:
        """Return the mean over items, [items] -> [draws]."""
        terms = np.stack([values, np.ones_like(values)], axis=1)
        return self.of_sums(terms, lambda sums: sums[:, 0] / sums[:, 1])

    def of_auroc(self, truth: Array, score: Array) -> Array:
        """Return the area under the ROC curve. truth (0 or 1), score: [items] -> [draws]."""
        return np.concatenate([weighted_auroc(truth, score, w) for w in self._item_weights()])

    def _item_weights(self) -> Iterator[Array]:
        for begin in range(0, len(self.times), _CHUNK):
            yield self.times[begin : begin + _CHUNK, self.owner]


def interval(values: Array) -> tuple[float, float]:
    """95 % interval: 2.5 % and 97.5 % quantile of what is finite in [draws]; NaN without any."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return float("nan"), float("nan")
    low, high = np.quantile(finite, [0.025, 0.975])
    return float(low), float(high)


def weighted_auroc(truth: Array, score: Array, weights: Array) -> Array:
    """Area under the ROC curve with weighted items, ties counted half.

    truth (0 or 1), score: [items]; weights: [draws, items] -> [draws], NaN with one class only.
    """
    order = np.argsort(score, kind="stable")
    tied = np.flatnonzero(np.r_[True, np.diff(score[order]) > 0])
    positive = weights[:, order] * truth[order]
    negative = weights[:, order] * (1 - truth[order])
    positive = np.add.reduceat(positive, tied, axis=1)
    negative = np.add.reduceat(negative, tied, axis=1)
    below = negative.cumsum(axis=1) - negative / 2
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    with np.errstate(invalid="ignore"):
        area: Array = (positive * below).sum(axis=1) / pairs
    return area
