"""From answers to figures, each with its interval, its patients and what computed it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.report_text.yes_no import chosen_letter, normalize_text, yes_or_no
from napari_ct_assistant.training.evaluation.answer_sets import ALL, AnswerSet
from napari_ct_assistant.training.evaluation.cases import YES_NO
from napari_ct_assistant.training.evaluation.metrics.baselines import (
    BLIND,
    CHANCE,
    GAIN,
    MODEL,
    MOST_COMMON,
    SHUFFLED,
    TRUTH,
    commonest_count,
    commonest_of_others,
    most_central,
)
from napari_ct_assistant.training.evaluation.metrics.bootstrap import PatientBootstrap
from napari_ct_assistant.training.evaluation.metrics.text_metrics import PERCENT, TextMetric

Array = NDArray[np.float64]

REGIONS = "mean of the regions"  # ViT3D-LLaMA3's "Avg."
ASKED = (MODEL, BLIND, SHUFFLED)  # the sources that are the model's own answers
OWN = "own count"


@dataclass(frozen=True)
class MetricValue:
    """One figure of the tables.

    Parameters
    ----------
    task
        report, vqa, choice or diagnosis.
    group
        Kind of question, region or finding.
    answers
        The source of the answers: the model, or a baseline.
    metric
    value, low, high
        The figure and its 95 % interval, times 100.
    items, patients
        How many answers and patients the figure is computed from.
    implementation
        What computed it.
    """

    task: str
    group: str
    answers: str
    metric: str
    value: float
    low: float
    high: float
    items: int
    patients: int
    implementation: str


def text_values(
    task: str, sets: Sequence[AnswerSet], metrics: Sequence[TextMetric]
) -> list[MetricValue]:
    """Score texts by every metric, all together and group by group; accuracy of yes and no."""
    values: list[MetricValue] = []
    whole = PatientBootstrap([item.patient for item in sets])
    by_region: dict[str, list[_Scores]] = defaultdict(list)
    for group, part in _groups(sets).items():
        truth = [item.truth for item in part]
        constant = (
            most_central(truth, [item.patient for item in part])
            if task == "report"
            else _commonest_of_others(part)
        )
        texts = {MOST_COMMON: constant, **_asked_texts(part)}
        if task == "vqa" and all(item.group == YES_NO for item in part):
            scores = {
                source: _percent(
                    yes_or_no(text) == yes_or_no(true)
                    for text, true in zip(answers, truth, strict=True)
                )
                for source, answers in texts.items()
            }
            values += mean_values(task, group, "accuracy", scores, part, OWN)
        for metric in metrics:
            if metric.reports_only and task != "report":
                continue
            scores = {source: metric.score(answers, truth) for source, answers in texts.items()}
            values += mean_values(task, group, metric.name, scores, part, metric.implementation)
            if task == "report" and group != ALL:
                own = whole.over([item.patient for item in part])
                by_region[metric.name].append(_Scores(scores, own, metric.implementation))
        values += identical_values(task, group, part)
    for name, regions in by_region.items():
        values += _region_means(name, regions, whole, len(sets))
    return values


@dataclass(frozen=True)
class _Scores:
    """The scores of one region by one metric: {source: [items]}, with draws of all patients."""

    scores: dict[str, Array]
    bootstrap: PatientBootstrap
    implementation: str


def _region_means(
    metric: str, regions: Sequence[_Scores], whole: PatientBootstrap, items: int
) -> list[MetricValue]:
    """Return the mean over the regions of each source's mean."""
    if len(regions) < 2:
        return []
    values = []
    for source in regions[0].scores:
        of = [region for region in regions if source in region.scores]
        mean = float(np.mean([region.scores[source].mean() for region in of]))
        with np.errstate(invalid="ignore"):  # a draw may hold no patient of a region
            drawn = np.mean([r.bootstrap.of_mean(r.scores[source]) for r in of], axis=0)
        low, high = whole.interval(drawn)
        values.append(
            MetricValue(
                "report",
                REGIONS,
                source,
                metric,
                mean,
                low,
                high,
                items,
                whole.count,
                of[0].implementation,
            )
        )
    return values


def choice_values(sets: Sequence[AnswerSet]) -> list[MetricValue]:
    """Return the accuracy of multiple choice; an answer that names no choice is wrong."""
    if not sets:
        return []
    letters: dict[str, list[str | None]] = {
        source: [chosen_letter(text, item.choices) for text, item in zip(texts, sets, strict=True)]
        for source, texts in _asked_texts(sets).items()
    }
    letters[MOST_COMMON] = [*_commonest_of_others(sets)]
    scores = {
        source: _percent(a == item.truth for a, item in zip(answers, sets, strict=True))
        for source, answers in letters.items()
    }
    if all(item.choices for item in sets):
        scores[CHANCE] = np.array([PERCENT / len(item.choices) for item in sets])
    unclear = {MODEL: _percent(letter is None for letter in letters[MODEL])}
    return [
        *mean_values("choice", ALL, "accuracy", scores, sets, OWN),
        *mean_values("choice", ALL, "no choice named", unclear, sets, OWN),
        *identical_values("choice", ALL, sets),
    ]


def mean_values(
    task: str,
    group: str,
    metric: str,
    scores: dict[str, Array],
    sets: Sequence[AnswerSet],
    implementation: str,
) -> list[MetricValue]:
    """Return the mean of each source's scores, and the model's gain over "shuffled".

    scores: {source: [items]}, times 100.
    """
    bootstrap = PatientBootstrap([item.patient for item in sets])
    draws = {source: bootstrap.of_mean(values) for source, values in scores.items()}
    means = {source: float(values.mean()) for source, values in scores.items()}
    if MODEL in scores and SHUFFLED in scores:
        draws[GAIN] = draws[MODEL] - draws[SHUFFLED]
        means[GAIN] = means[MODEL] - means[SHUFFLED]
    return [
        MetricValue(
            task,
            group,
            source,
            metric,
            means[source],
            *bootstrap.interval(draws[source]),
            len(sets),
            bootstrap.count,
            implementation,
        )
        for source in means
    ]


def identical_values(task: str, group: str, sets: Sequence[AnswerSet]) -> list[MetricValue]:
    """Return the share of the commonest answer to a question asked of several patients.

    100 means the same answer whatever the scan; the share among the true answers is beside it.
    """
    by_question: dict[str, list[AnswerSet]] = defaultdict(list)
    for item in sets:
        by_question[item.question].append(item)
    several = [p for p in by_question.values() if len({item.patient for item in p}) > 1]
    if not several:
        return []
    count = sum(map(len, several))
    patients = len({item.patient for part in several for item in part})
    commonest = {
        MODEL: [[normalize_text(item.texts[MODEL]) for item in part] for part in several],
        TRUTH: [[normalize_text(item.truth) for item in part] for part in several],
    }
    nan = float("nan")
    return [
        MetricValue(
            task,
            group,
            source,
            "identical answers",
            PERCENT * sum(map(commonest_count, answers)) / count,
            nan,
            nan,
            count,
            patients,
            OWN,
        )
        for source, answers in commonest.items()
    ]


def _asked_texts(sets: Sequence[AnswerSet]) -> dict[str, list[str]]:
    """Return {source: texts}, for the sources that answered every question."""
    return {
        source: [item.texts[source] for item in sets]
        for source in ASKED
        if all(source in item.texts for item in sets)
    }


def _commonest_of_others(sets: Sequence[AnswerSet]) -> list[str]:
    return commonest_of_others(
        [item.question for item in sets],
        [item.group for item in sets],
        [item.patient for item in sets],
        [item.truth for item in sets],
    )


def _percent(right: Iterable[bool]) -> Array:
    return np.array([PERCENT * value for value in right])


def _groups(sets: Sequence[AnswerSet]) -> dict[str, list[AnswerSet]]:
    """Return all sets together, then group by group where there are several groups."""
    groups: dict[str, list[AnswerSet]] = defaultdict(list)
    for item in sets:
        groups[item.group].append(item)
    if len(groups) < 2:
        return {ALL: list(sets)} if sets else {}
    together = groups.pop(ALL, None)
    return {ALL: list(sets) if together is None else together, **groups}
