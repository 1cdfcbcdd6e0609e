"""What a model's answers are compared with: answers that need no look at the scan.

blind        the model's own answers without the image (`Reading.without_image`)
shuffled     the model's own answers about another patient's image
most common  the commonest answer, by itself or for each question
all yes      yes to every question
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from functools import cached_property
from typing import TypeVar

import numpy as np

from napari_ct_assistant.report_text.yes_no import normalize_text

# Whose answers a figure is about.
MODEL = "model"
BLIND = "blind"
SHUFFLED = "shuffled"
MOST_COMMON = "most common"
ALL_YES = "all yes"
CHANCE = "chance"
TRUTH = "truth"
GAIN = f"{MODEL} - {SHUFFLED}"

_MOST_CANDIDATES = 300  # reports compared with each other
T = TypeVar("T", bound=Hashable)


def shuffled_partners(patients: Sequence[Hashable]) -> list[int | None]:
    """Return, for each item, the next item of another patient: whose image it is shown.

    The last items are followed by the first; None if all items are one patient's.
    """
    count = len(patients)
    partners: list[int | None] = []
    for index, patient in enumerate(patients):
        others = ((index + step) % count for step in range(1, count))
        partners.append(next((i for i in others if patients[i] != patient), None))
    return partners


def by_frequency(values: Sequence[T]) -> list[T]:
    """Return the different values, commonest first; of equally common ones the first to come."""
    return [value for value, _ in Counter(values).most_common()]


def commonest_count(values: Sequence[Hashable]) -> int:
    """Return how often the commonest value comes; 0 without values."""
    return max(Counter(values).values(), default=0)


def commonest_share(values: Sequence[Hashable]) -> float:
    """Return the share of the commonest value; NaN without values.

    Of true answers, it is the accuracy of the best constant answer; of a model's answers, 1 means
    the same answer for every scan.
    """
    return commonest_count(values) / len(values) if values else float("nan")


def commonest_of_others(
    questions: Sequence[str], groups: Sequence[str], patients: Sequence[str], truths: Sequence[str]
) -> list[str]:
    """Return, for each item, the commonest true answer to its question among other patients.

    Parameters
    ----------
    questions, groups, patients, truths : [items]
        A question that no other patient was asked gets the commonest answer of its group.
    """
    pools: dict[tuple[str, str], _Pool] = defaultdict(_Pool)
    for question, group, patient, truth in zip(questions, groups, patients, truths, strict=True):
        pools["question", question].add(patient, truth)
        pools["group", group].add(patient, truth)
    return [
        pools["question", question].commonest_without(patient)
        or pools["group", group].commonest_without(patient)
        or ""
        for question, group, patient in zip(questions, groups, patients, strict=True)
    ]


class _Pool:
    """True answers of several patients, counted together and for each patient."""

    def __init__(self) -> None:
        self.total: Counter[str] = Counter()
        self.own: dict[str, Counter[str]] = defaultdict(Counter)

    def add(self, patient: str, truth: str) -> None:
        self.total[truth] += 1
        self.own[patient][truth] += 1

    @cached_property
    def ranked(self) -> list[tuple[str, int]]:
        """All answers with their counts, commonest first; read once all are added."""
        return self.total.most_common()

    def commonest_without(self, patient: str) -> str | None:
        """Return the commonest answer once one patient's answers are taken out."""
        own = self.own.get(patient, Counter())
        best, times = None, 0
        for text, count in self.ranked:
            if count <= times:
                break  # no later answer can come more often
            if count - own[text] > times:
                best, times = text, count - own[text]
        return best


def most_central(reports: Sequence[str], patients: Sequence[str]) -> list[str]:
    """Return, for each report, the other patients' report that is most like all reports.

    Similarity is unigram F1, so this is the constant report that text metrics score highest. Of
    more than 300 reports, 300 spread evenly are candidates.
    """
    count = len(reports)
    picked = np.unique(np.linspace(0, count - 1, min(count, _MOST_CANDIDATES)).astype(int))
    words = [Counter(normalize_text(reports[i]).split()) for i in picked]
    similarity = np.array([[_unigram_f1(a, b) for b in words] for a in words])
    order = [int(picked[i]) for i in np.argsort(-similarity.mean(axis=1), kind="stable")]
    return [next((reports[i] for i in order if patients[i] != patient), "") for patient in patients]


def _unigram_f1(a: Counter[str], b: Counter[str]) -> float:
    total = a.total() + b.total()
    return 2 * (a & b).total() / total if total else 0.0
