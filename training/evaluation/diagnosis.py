"""Diagnosis as E3D-GPT's Table 4 has it: yes or no to each finding's template, pooled and apart.

An answer that says neither counts as no; how many do is a figure of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import balanced_accuracy_score, precision_recall_fscore_support, roc_auc_score

from napari_ct_assistant.report_text.yes_no import yes_or_no
from napari_ct_assistant.training.evaluation.examiner import AnswerLog, Examiner
from napari_ct_assistant.training.evaluation.metric_values import (
    ALL_YES,
    CONSTANT,
    GAIN,
    MODEL,
    OTHER,
    OWN,
    WITHOUT,
    Figure,
    Item,
    identical_figures,
    places,
)
from napari_ct_assistant.training.evaluation.metrics.bootstrap import PatientBootstrap
from napari_ct_assistant.training.evaluation.metrics.text_metrics import PERCENT

Array = NDArray[np.float64]

POOLED = "pooled"
METRICS = ("BACC", "precision", "recall", "F1")


def diagnosis_items(examiner: Examiner, log: AnswerLog) -> list[Item]:
    """Return every (case, finding) with a label; truth is "1" or "0", group the finding."""
    items = []
    for index, case in enumerate(examiner.cases.cases):
        for finding, label in case.labels.items():
            question = examiner.template(finding)
            at = places(examiner, log, index, question)
            if MODEL not in at:
                continue
            said = {name: log.said[key] for name, key in at.items()}
            items.append(
                Item(
                    finding,
                    case.patient,
                    question,
                    str(label),
                    {name: answer.text for name, answer in said.items()},
                    probability={
                        name: answer.probability
                        for name, answer in said.items()
                        if answer.probability is not None
                    },
                )
            )
    return items


def diagnosis_figures(items: Sequence[Item]) -> list[Figure]:
    """Return the figures of all questions pooled, then finding by finding."""
    if not items:
        return []
    groups: dict[str, list[Item]] = {POOLED: list(items)}
    for item in items:
        groups.setdefault(item.group, []).append(item)
    commonest = {
        name: round(float(np.mean([item.truth == "1" for item in part])))
        for name, part in groups.items()
    }
    figures: list[Figure] = []
    for name, part in groups.items():
        figures += _of_group(name, part, commonest)
    return figures


def _of_group(group: str, part: list[Item], commonest: dict[str, int]) -> list[Figure]:
    truth = np.array([float(item.truth) for item in part])
    bootstrap = PatientBootstrap([item.patient for item in part])
    heard = {
        name: [yes_or_no(item.said[name]) for item in part]
        for name in (MODEL, WITHOUT, OTHER)
        if all(name in item.said for item in part)
    }
    said = {name: np.array([float(bool(a)) for a in answers]) for name, answers in heard.items()}
    said[ALL_YES] = np.ones_like(truth)
    said[CONSTANT] = np.array([float(commonest[item.group]) for item in part])
    library = f"scikit-learn {version('scikit-learn')}"
    figures: list[Figure] = []
    draws: dict[tuple[str, str], Array] = {}

    def add(answers: str, metric: str, value: float, drawn: Array, what: str) -> None:
        draws[answers, metric] = drawn
        low, high = bootstrap.interval(drawn)
        figures.append(
            Figure(
                "diagnosis",
                group,
                answers,
                metric,
                value,
                low,
                high,
                len(part),
                bootstrap.count,
                what,
            )
        )

    for name, yes in said.items():
        values = rates(truth, yes)
        terms = confusion(truth, yes)
        for metric in METRICS:
            drawn = PERCENT * bootstrap.of_sums(terms, FROM_COUNTS[metric])
            add(name, metric, values[metric], drawn, library)
    for name in heard:
        scores = [(item.probability or {}).get(name) for item in part]
        if all(score is not None for score in scores) and 0 < truth.sum() < len(truth):
            score = np.array(scores, dtype=float)
            value = PERCENT * float(roc_auc_score(truth, score))
            drawn = PERCENT * bootstrap.of_auroc(truth, score)
            add(name, "AUROC", value, drawn, f"{library}, of yes against no as first word")
    for metric in ("BACC", "AUROC"):
        if (MODEL, metric) in draws and (OTHER, metric) in draws:
            each = {f.answers: f.value for f in figures if f.metric == metric}
            drawn = draws[MODEL, metric] - draws[OTHER, metric]
            add(GAIN, metric, each[MODEL] - each[OTHER], drawn, library)
    unclear = np.array([PERCENT * (answer is None) for answer in heard[MODEL]])
    add(MODEL, "neither yes nor no", float(unclear.mean()), bootstrap.of_mean(unclear), OWN)
    present = PERCENT * truth
    add("truth", "present", float(present.mean()), bootstrap.of_mean(present), OWN)
    return figures + identical_figures("diagnosis", group, _as_words(part))


def _as_words(part: list[Item]) -> list[Item]:
    """Return items whose texts are yes or no, for the share of identical answers."""
    return [
        Item(
            item.group,
            item.patient,
            item.question,
            item.truth,
            {MODEL: str(yes_or_no(item.said[MODEL]))},
        )
        for item in part
    ]


def rates(truth: Array, yes: Array) -> dict[str, float]:
    """Return BACC, precision, recall and F1 times 100. truth, yes: [items], 0 or 1.

    BACC is NaN where the truth has one class only; precision without a single yes is 0.
    """
    both = 0 < truth.sum() < len(truth)
    precision, recall, f1, _ = precision_recall_fscore_support(
        truth, yes, average="binary", zero_division=0
    )
    bacc = float(balanced_accuracy_score(truth, yes)) if both else float("nan")
    values = dict(zip(METRICS, (bacc, precision, recall, f1), strict=True))
    return {name: PERCENT * float(value) for name, value in values.items()}


def confusion(truth: Array, yes: Array) -> Array:
    """Return [items, 4]: true and false positives, true and false negatives."""
    return np.stack(
        [truth * yes, (1 - truth) * yes, (1 - truth) * (1 - yes), truth * (1 - yes)], axis=1
    )


def _bacc(c: Array) -> Array:
    with np.errstate(invalid="ignore"):
        found: Array = (c[:, 0] / (c[:, 0] + c[:, 3]) + c[:, 2] / (c[:, 2] + c[:, 1])) / 2
    return found


def _share(numerator: Array, denominator: Array) -> Array:
    """Return a ratio that is 0 where there is nothing to divide by, as scikit-learn's."""
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)


FROM_COUNTS: dict[str, Callable[[Array], Array]] = {
    "BACC": _bacc,
    "precision": lambda c: _share(c[:, 0], c[:, 0] + c[:, 1]),
    "recall": lambda c: _share(c[:, 0], c[:, 0] + c[:, 3]),
    "F1": lambda c: _share(2 * c[:, 0], 2 * c[:, 0] + c[:, 1] + c[:, 3]),
}
