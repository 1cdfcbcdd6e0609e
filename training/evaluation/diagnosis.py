"""Diagnosis as in E3D-GPT's Table 4: each finding asked for by its template, pooled and apart.

An answer that says neither yes nor no counts as no; the share of such answers is a figure too.
"""

from __future__ import annotations

import warnings
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
MACRO = "mean of the findings"  # macro-averaged; the pooled figures are the micro average
METRICS = ("BACC", "accuracy", "precision", "recall", "F1")  # of `RATES`
AUROC_OWN = "own count by ranks, of yes against no as first word"
AUROC_SCREEN = "own count by ranks, of the screen's score"


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
    if any(item.margin is not None for item in sets):
        # Margins of different findings are not on one scale: nothing is pooled.
        del groups[POOLED]
    whole = PatientBootstrap([item.patient for item in sets])
    made = {name: _Group(name, part, commonest, whole) for name, part in groups.items()}
    values = {name: group.values() for name, group in made.items()}
    findings = [group for name, group in made.items() if name != POOLED]
    macro = _macro_values(findings, whole, len(sets)) if len(findings) > 1 else []
    return [*values.pop(POOLED, []), *macro, *(one for part in values.values() for one in part)]


def _macro_values(
    findings: Sequence[_Group], whole: PatientBootstrap, items: int
) -> list[MetricValue]:
    """Return the mean of each figure over the findings for which it is defined."""
    rows = dict.fromkeys(key for group in findings for key in group.shared)
    values = []
    for source, metric in rows:
        of = [group for group in findings if (source, metric) in group.shared]
        each = np.array([group.found[source, metric].value for group in of])
        if not np.isfinite(each).any():
            continue
        with warnings.catch_warnings():  # a draw in which no finding has the figure is NaN
            warnings.simplefilter("ignore", RuntimeWarning)
            drawn = np.nanmean([group.shared[source, metric] for group in of], axis=0)
        low, high = whole.interval(PERCENT * drawn)
        how = of[0].found[source, metric].implementation
        mean = float(np.nanmean(each))
        values.append(
            MetricValue(
                "diagnosis", MACRO, source, metric, mean, low, high, items, whole.count, how
            )
        )
    return values


def predicted_yes(sets: Sequence[AnswerSet], source: str = MODEL) -> Array:
    """Return 1 for each answer that says yes, else 0: [items]."""
    return np.array([float(bool(yes_or_no(item.texts[source]))) for item in sets])


def yes_probabilities(sets: Sequence[AnswerSet], source: str = MODEL) -> Array | None:
    """Return the probability of "Yes" for each question, or its margin, [items].

    None if one has none.
    """
    found = [(item.margin or item.probability or {}).get(source) for item in sets]
    return None if any(p is None for p in found) else np.array(found, dtype=float)


class _Group:
    """The figures of one finding, or of all of them pooled.

    Parameters
    ----------
    group : str
    sets : list of AnswerSet
    commonest : dict
        {finding: 0 or 1}, the commoner of no and yes.
    whole : PatientBootstrap
        Draws of the patients of all groups.

    Attributes
    ----------
    found, draws
        {(source, metric): figure, its draws}
    shared
        {(source, metric): draws of the patients of all groups}, which can be averaged.
    """

    def __init__(
        self,
        group: str,
        sets: list[AnswerSet],
        commonest: dict[str, int],
        whole: PatientBootstrap,
    ):
        self.group = group
        self.sets = sets
        self.truth = np.array([float(item.truth) for item in sets])
        self.sources = [s for s in ASKED if all(s in item.texts for item in sets)]
        self.ordered = any(item.margin is not None for item in sets)  # no yes, no no
        self.predicted: dict[str, Array] = {}
        if not self.ordered:
            self.predicted = {source: predicted_yes(sets, source) for source in self.sources}
            self.predicted[ALL_YES] = np.ones_like(self.truth)
            self.predicted[MOST_COMMON] = np.array([float(commonest[item.group]) for item in sets])
        self.bootstrap = PatientBootstrap([item.patient for item in sets])
        self.whole = whole.over([item.patient for item in sets])
        self.draws: dict[tuple[str, str], Array] = {}
        self.shared: dict[tuple[str, str], Array] = {}
        self.found: dict[tuple[str, str], MetricValue] = {}

    def values(self) -> list[MetricValue]:
        """Return every figure of the group."""
        for source, predicted in self.predicted.items():
            each = rates(self.truth, predicted)
            terms = confusion(self.truth, predicted)
            for metric in METRICS:
                drawn = self.bootstrap.of_sums(terms, RATES[metric])
                self._add(source, metric, each[metric], drawn, OWN)
                self.shared[source, metric] = self.whole.of_sums(terms, RATES[metric])
        for source in self.sources:
            score = yes_probabilities(self.sets, source)
            if score is not None and 0 < self.truth.sum() < len(self.truth):
                drawn = self.bootstrap.of_auroc(self.truth, score)
                how = AUROC_SCREEN if self.ordered else AUROC_OWN
                self._add(source, "AUROC", auroc(self.truth, score), drawn, how)
                self.shared[source, "AUROC"] = self.whole.of_auroc(self.truth, score)
        for metric in ("BACC", "AUROC"):
            self._add_gain(metric)
        if self.ordered:
            self._add_mean(TRUTH, "present", self.truth)
            return list(self.found.values())
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
