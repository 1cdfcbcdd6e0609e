"""Diagnosis as in E3D-GPT's Table 4: each finding asked for by its template, pooled and apart.

An answer that says neither yes nor no counts as no; the share of such answers is a figure too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.report_text.yes_no import yes_or_no
from napari_ct_assistant.training.evaluation.answer_sets import AnswerSet
from napari_ct_assistant.training.evaluation.metric_values import (
    ASKED,
    OWN,
    MetricValue,
    identical_values,
)
from napari_ct_assistant.training.evaluation.metrics.baselines import (
    ALL_YES,
    GAIN,
    MODEL,
    MOST_COMMON,
    SHUFFLED,
    TRUTH,
)
from napari_ct_assistant.training.evaluation.metrics.bootstrap import PatientBootstrap
from napari_ct_assistant.training.evaluation.metrics.classification import (
    RATES,
    auroc,
    confusion,
    rates,
)
from napari_ct_assistant.training.evaluation.metrics.text_metrics import PERCENT

Array = NDArray[np.float64]

POOLED = "pooled"
METRICS = ("BACC", "precision", "recall", "F1")  # of `RATES`
AUROC_OWN = "own count by ranks, of yes against no as first word"


def diagnosis_values(sets: Sequence[AnswerSet]) -> list[MetricValue]:
    """Return the figures of all findings pooled, then finding by finding."""
    if not sets:
        return []
    groups: dict[str, list[AnswerSet]] = {POOLED: list(sets)}
    for item in sets:
        groups.setdefault(item.group, []).append(item)
    commonest = {
        name: round(float(np.mean([item.truth == "1" for item in part])))
        for name, part in groups.items()
    }
    return [
        value for name, part in groups.items() for value in _Group(name, part, commonest).values()
    ]


def predicted_yes(sets: Sequence[AnswerSet], source: str = MODEL) -> Array:
    """Return 1 for each answer that says yes, else 0: [items]."""
    return np.array([float(bool(yes_or_no(item.texts[source]))) for item in sets])


def yes_probabilities(sets: Sequence[AnswerSet], source: str = MODEL) -> Array | None:
    """Return the probability of "Yes" for each question, [items]; None if one has none."""
    found = [(item.probability or {}).get(source) for item in sets]
    return None if any(p is None for p in found) else np.array(found, dtype=float)


class _Group:
    """The figures of one finding, or of all of them pooled.

    Parameters
    ----------
    group : str
    sets : list of AnswerSet
    commonest : dict
        {finding: 0 or 1}, the commoner of no and yes.
    """

    def __init__(self, group: str, sets: list[AnswerSet], commonest: dict[str, int]):
        self.group = group
        self.sets = sets
        self.truth = np.array([float(item.truth) for item in sets])
        self.sources = [s for s in ASKED if all(s in item.texts for item in sets)]
        self.predicted = {source: predicted_yes(sets, source) for source in self.sources}
        self.predicted[ALL_YES] = np.ones_like(self.truth)
        self.predicted[MOST_COMMON] = np.array([float(commonest[item.group]) for item in sets])
        self.bootstrap = PatientBootstrap([item.patient for item in sets])
        self.draws: dict[tuple[str, str], Array] = {}
        self.found: dict[tuple[str, str], MetricValue] = {}

    def values(self) -> list[MetricValue]:
        """Return every figure of the group."""
        for source, predicted in self.predicted.items():
            each = rates(self.truth, predicted)
            terms = confusion(self.truth, predicted)
            for metric in METRICS:
                drawn = self.bootstrap.of_sums(terms, RATES[metric])
                self._add(source, metric, each[metric], drawn, OWN)
        for source in self.sources:
            score = yes_probabilities(self.sets, source)
            if score is not None and 0 < self.truth.sum() < len(self.truth):
                drawn = self.bootstrap.of_auroc(self.truth, score)
                self._add(source, "AUROC", auroc(self.truth, score), drawn, AUROC_OWN)
        for metric in ("BACC", "AUROC"):
            self._add_gain(metric)
        unclear = np.array([float(yes_or_no(item.texts[MODEL]) is None) for item in self.sets])
        self._add_mean(MODEL, "neither yes nor no", unclear)
        self._add_mean(TRUTH, "present", self.truth)
        identical = identical_values("diagnosis", self.group, _as_yes_or_no(self.sets))
        return [*self.found.values(), *identical]

    def _add(self, source: str, metric: str, value: float, drawn: Array, how: str) -> None:
        """Keep a figure and its draws, both from 0 to 1."""
        self.draws[source, metric] = drawn
        low, high = self.bootstrap.interval(drawn)
        self.found[source, metric] = MetricValue(
            "diagnosis",
            self.group,
            source,
            metric,
            PERCENT * value,
            PERCENT * low,
            PERCENT * high,
            len(self.sets),
            self.bootstrap.count,
            how,
        )

    def _add_mean(self, source: str, metric: str, values: Array) -> None:
        self._add(source, metric, float(values.mean()), self.bootstrap.of_mean(values), OWN)

    def _add_gain(self, metric: str) -> None:
        """Keep what the right image adds over another patient's, drawn in pairs."""
        right, wrong = (MODEL, metric), (SHUFFLED, metric)
        if right in self.found and wrong in self.found:
            gain = (self.found[right].value - self.found[wrong].value) / PERCENT
            drawn = self.draws[right] - self.draws[wrong]
            self._add(GAIN, metric, gain, drawn, self.found[right].implementation)


def _as_yes_or_no(sets: Sequence[AnswerSet]) -> list[AnswerSet]:
    """Return sets whose texts are reduced to yes or no, for the share of identical answers."""
    return [
        AnswerSet(
            item.group,
            item.patient,
            item.question,
            item.truth,
            {MODEL: str(yes_or_no(item.texts[MODEL]))},
        )
        for item in sets
    ]
