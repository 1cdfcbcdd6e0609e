"""Confidence intervals from a bootstrap that draws patients: two scans of one patient are alike."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from copy import copy

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.training.evaluation.metrics.classification import weighted_auroc

Array = NDArray[np.float64]
DRAWS = 1000
MIN_PATIENTS = 5  # fewer patients get no interval
_CHUNK = 64  # draws held in memory at a time, each with a weight per item


class PatientBootstrap:
    """Draws of patients with replacement; each draw takes all items of the drawn patients.

    Parameters
    ----------
    patients : sequence, [items]
        The patient that each item belongs to.
    draws : int
    seed : int

    Attributes
    ----------
    count : int
        Number of patients.
    owner : int64 [items]
        Number of each item's patient.
    times : float64 [draws, patients]
        How often each draw contains each patient.
    """

    def __init__(self, patients: Sequence[Hashable], *, draws: int = DRAWS, seed: int = 0):
        number = {patient: i for i, patient in enumerate(dict.fromkeys(patients))}
        self._number = number
        self.count = len(number)
        self.owner = np.array([number[patient] for patient in patients], dtype=np.int64)
        if not self.count:
            self.times: Array = np.zeros((draws, 0))
            return
        share = np.full(self.count, 1 / self.count)
        rng = np.random.default_rng(seed)
        self.times = rng.multinomial(self.count, share, size=draws).astype(np.float64)

    def over(self, patients: Sequence[Hashable]) -> PatientBootstrap:
        """Return the same draws for other items, whose patients are all among those drawn."""
        other = copy(self)
        other.owner = np.array([self._number[patient] for patient in patients], dtype=np.int64)
        return other

    def interval(self, values: Array) -> tuple[float, float]:
        """Return the 95 % interval of a figure's draws, see `interval`."""
        return interval(values, self.count)

    def of_sums(self, terms: Array, figure: Callable[[Array], Array]) -> Array:
        """Draw a figure that is computed from sums over items.

        Parameters
        ----------
        terms : [items, k]
            What is summed, e.g. true positives and positives.
        figure
            Maps sums [draws, k] to the figure [draws], NaN where it is undefined.

        Returns
        -------
        [draws]
        """
        by_patient = np.zeros((self.count, terms.shape[1]))
        np.add.at(by_patient, self.owner, terms)
        return figure(self.times @ by_patient)

    def of_mean(self, values: Array) -> Array:
        """Draw the mean over items, [items] -> [draws]."""
        terms = np.stack([values, np.ones_like(values)], axis=1)
        return self.of_sums(terms, lambda sums: sums[:, 0] / sums[:, 1])

    def of_auroc(self, truth: Array, score: Array) -> Array:
        """Draw the area under the ROC curve. truth (0 or 1), score: [items] -> [draws]."""
        return np.concatenate([weighted_auroc(truth, score, w) for w in self._item_weights()])

    def _item_weights(self) -> Iterator[Array]:
        for begin in range(0, len(self.times), _CHUNK):
            yield self.times[begin : begin + _CHUNK, self.owner]


def interval(values: Array, patients: int) -> tuple[float, float]:
    """Return the 95 % interval of a figure from its draws.

    Parameters
    ----------
    values : [draws]
        Draws in which the figure is undefined (NaN) are left out.
    patients : int
        Number of patients drawn from; fewer than `MIN_PATIENTS` give no interval.

    Returns
    -------
    low, high : float
        The 2.5 % and 97.5 % quantiles; NaN without an interval.
    """
    finite = values[np.isfinite(values)]
    if patients < MIN_PATIENTS or not len(finite):
        return float("nan"), float("nan")
    low, high = np.quantile(finite, [0.025, 0.975])
    return float(low), float(high)
