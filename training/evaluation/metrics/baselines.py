"""The answers of somebody who never looks: the commonest ones."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from napari_ct_assistant.report_text.yes_no import same_text

_AT_MOST = 300  # reports compared with each other


class _Asked(Protocol):
    @property
    def question(self) -> str: ...
    @property
    def truth(self) -> str: ...
    @property
    def group(self) -> str: ...
    @property
    def patient(self) -> str: ...


def commonest_for_each(items: Sequence[_Asked]) -> list[str]:
    """Return, for each item, the commonest true answer to its question among other patients.

    A question that no other patient was asked gets the commonest answer of its kind.
    """
    by_question: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    by_kind: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    for item in items:
        by_question[item.question][item.patient, item.truth] += 1
        by_kind[item.group][item.patient, item.truth] += 1
    pools = {**{("q", q): c for q, c in by_question.items()}}
    pools |= {("k", k): c for k, c in by_kind.items()}
    ranked = {name: _Ranked(counts) for name, counts in pools.items()}
    return [
        ranked["q", item.question].without(item.patient)
        or ranked["k", item.group].without(item.patient)
        or ""
        for item in items
    ]


class _Ranked:
    """Answers of a pool, the commonest first."""

    def __init__(self, counts: Counter[tuple[str, str]]):
        self.total: Counter[str] = Counter()
        self.own: dict[str, Counter[str]] = defaultdict(Counter)
        for (patient, truth), times in counts.items():
            self.total[truth] += times
            self.own[patient][truth] += times
        self.order = [text for text, _ in self.total.most_common()]

    def without(self, patient: str) -> str | None:
        """Return the commonest answer that stands without one patient's."""
        own = self.own.get(patient)
        if not own:
            return self.order[0] if self.order else None
        best, times = None, 0
        for text in self.order:
            if self.total[text] <= times:
                break
            left = self.total[text] - own[text]
            if left > times:
                best, times = text, left
        return best


def most_central(reports: Sequence[str], patients: Sequence[str]) -> list[str]:
    """Return, for each report, the other patients' report that is most like all reports.

    Likeness is the share of common words (unigram F1), so that the constant is the one that
    text metrics like best; of more than 300 reports, 300 spread evenly are candidates.
    """
    count = len(reports)
    picked = np.unique(np.linspace(0, count - 1, min(count, _AT_MOST)).astype(int))
    words = [Counter(same_text(reports[i]).split()) for i in picked]
    likeness = np.array([[_overlap(a, b) for b in words] for a in words])
    order = [int(picked[i]) for i in np.argsort(-likeness.mean(axis=1), kind="stable")]
    return [next((reports[i] for i in order if patients[i] != patient), "") for patient in patients]


def _overlap(a: Counter[str], b: Counter[str]) -> float:
    total = a.total() + b.total()
    return 2 * (a & b).total() / total if total else 0.0
