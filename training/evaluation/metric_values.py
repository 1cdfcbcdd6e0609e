"""From answers to figures: each with its interval, its patients and what computed it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.report_text.yes_no import chosen_letter, same_text, yes_or_no
from napari_ct_assistant.training.evaluation.cases import CHOICE, YES_NO, Asked
from napari_ct_assistant.training.evaluation.examiner import BLIND, REPORT, AnswerLog, Examiner, Key
from napari_ct_assistant.training.evaluation.metrics.baselines import (
    commonest_for_each,
    most_central,
)
from napari_ct_assistant.training.evaluation.metrics.bootstrap import PatientBootstrap
from napari_ct_assistant.training.evaluation.metrics.text_metrics import PERCENT, TextMetric

Array = NDArray[np.float64]

MODEL, WITHOUT, OTHER, CONSTANT, ALL_YES = "model", "blind", "shuffled", "most common", "all yes"
GAIN = "model - shuffled"
TRUTH = "truth"
ALL = "all"
OWN = "own count"


@dataclass(frozen=True)
class Figure:
    """One number.

    task: report, vqa, choice or diagnosis; group: kind of question, region or finding; answers:
    whose answers these are; value, low, high: times 100; implementation: what computed it.
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


@dataclass(frozen=True)
class Item:
    """One question about one case, with the text that each kind of answers gives."""

    group: str
    patient: str
    question: str
    truth: str
    said: dict[str, str]
    choices: tuple[str, ...] = ()
    probability: dict[str, float] | None = None


def places(examiner: Examiner, log: AnswerLog, index: int, question: str) -> dict[str, Key]:
    """Return where the answers to a case's question lie, for those there are."""
    cases = examiner.cases
    found = {MODEL: (cases.cases[index].key, question)}
    if examiner.baselines:
        found[WITHOUT] = (BLIND, question)
        other = cases.partner(index)
        if other is not None:
            found[OTHER] = (cases.cases[other].key, question)
    return {name: key for name, key in found.items() if key in log.said}


def report_items(examiner: Examiner, log: AnswerLog) -> list[Item]:
    """Return the reports, region by region where both model and data set tell them so."""
    items = []
    for index, case in enumerate(examiner.cases.cases):
        at = places(examiner, log, index, REPORT)
        if not case.reports or MODEL not in at:
            continue
        sections = log.said[at[MODEL]].sections or {}
        regions = len(case.reports) > 1 or next(iter(case.reports)) in sections
        shared = [name for name in case.reports if name in sections] if regions else []
        items.append(
            Item(
                ALL,
                case.patient,
                REPORT,
                case.report,
                {name: log.said[key].text for name, key in at.items()},
            )
        )
        for region in shared:
            said = {
                name: (log.said[key].sections or {}).get(region, "") for name, key in at.items()
            }
            items.append(Item(region, case.patient, region, case.reports[region], said))
    return items


def question_items(examiner: Examiner, log: AnswerLog, *, choice: bool) -> list[Item]:
    """Return the multiple-choice questions, or the others."""
    items = []
    for index, case in enumerate(examiner.cases.cases):
        for asked in case.questions:
            question = examiner.asks_of(asked)
            at = places(examiner, log, index, question)
            if (asked.kind == CHOICE) == choice and MODEL in at:
                items.append(
                    Item(
                        asked.kind,
                        case.patient,
                        question,
                        _true_choice(asked) if choice else asked.answer,
                        {name: log.said[key].text for name, key in at.items()},
                        asked.choices,
                    )
                )
    return items


def _true_choice(asked: Asked) -> str:
    """Return the letter of the right choice."""
    if asked.answer in asked.choices:
        return chr(ord("A") + asked.choices.index(asked.answer))
    return chosen_letter(asked.answer, asked.choices) or asked.answer


def text_figures(task: str, items: Sequence[Item], metrics: Sequence[TextMetric]) -> list[Figure]:
    """Score texts by every metric, for all items and for each group; accuracy of yes and no."""
    figures: list[Figure] = []
    for group, part in _groups(items).items():
        constant = (
            most_central([i.truth for i in part], [i.patient for i in part])
            if task == "report"
            else commonest_for_each(part)
        )
        said: dict[str, list[str]] = {CONSTANT: constant}
        for name in (MODEL, WITHOUT, OTHER):
            if all(name in item.said for item in part):
                said[name] = [item.said[name] for item in part]
        if task == "vqa" and all(item.group == YES_NO for item in part):
            scores = {
                name: np.array(
                    [
                        PERCENT * (yes_or_no(text) == yes_or_no(item.truth))
                        for text, item in zip(texts, part, strict=True)
                    ]
                )
                for name, texts in said.items()
            }
            figures += mean_figures(task, group, "accuracy", scores, part, OWN)
        for metric in metrics:
            if metric.reports_only and task != "report":
                continue
            truth = [item.truth for item in part]
            scores = {name: metric.score(texts, truth) for name, texts in said.items()}
            figures += mean_figures(task, group, metric.name, scores, part, metric.implementation)
        figures += identical_figures(task, group, part)
    return figures


def choice_figures(items: Sequence[Item]) -> list[Figure]:
    """Accuracy of multiple choice; an answer that names no choice is wrong."""
    figures: list[Figure] = []
    for group, part in _groups(items).items():
        if group != ALL:
            continue  # one kind only
        said: dict[str, list[str | None]] = {}
        for name in (MODEL, WITHOUT, OTHER):
            if all(name in item.said for item in part):
                said[name] = [chosen_letter(item.said[name], item.choices) for item in part]
        letters = Counter(item.truth for item in part)
        said[CONSTANT] = [letters.most_common(1)[0][0]] * len(part)
        scores = {
            name: np.array(
                [PERCENT * (a == item.truth) for a, item in zip(answers, part, strict=True)]
            )
            for name, answers in said.items()
        }
        if all(item.choices for item in part):
            scores["chance"] = np.array([PERCENT / len(item.choices) for item in part])
        figures += mean_figures("choice", ALL, "accuracy", scores, part, OWN)
        unclear = np.array([PERCENT * (letter is None) for letter in said[MODEL]])
        figures += mean_figures("choice", ALL, "no choice named", {MODEL: unclear}, part, OWN)
        figures += identical_figures("choice", ALL, part)
    return figures


def mean_figures(
    task: str,
    group: str,
    metric: str,
    scores: dict[str, Array],
    items: Sequence[Item],
    implementation: str,
) -> list[Figure]:
    """Mean of each kind of answers, and what the right image adds over another patient's."""
    bootstrap = PatientBootstrap([item.patient for item in items])
    draws = {name: bootstrap.of_mean(values) for name, values in scores.items()}
    means = {name: float(values.mean()) for name, values in scores.items()}
    if MODEL in scores and OTHER in scores:
        draws[GAIN] = draws[MODEL] - draws[OTHER]
        means[GAIN] = means[MODEL] - means[OTHER]
    return [
        Figure(
            task,
            group,
            name,
            metric,
            means[name],
            *bootstrap.interval(draws[name]),
            len(items),
            bootstrap.count,
            implementation,
        )
        for name in means
    ]


def identical_figures(task: str, group: str, items: Sequence[Item]) -> list[Figure]:
    """Share of the commonest answer among those to one question asked of several patients.

    100 means the same answer whatever the scan; the true answers' share stands beside it.
    """
    by_question: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        by_question[item.question].append(item)
    several = [p for p in by_question.values() if len({item.patient for item in p}) > 1]
    if not several:
        return []
    count = sum(map(len, several))
    patients = len({item.patient for part in several for item in part})
    shares = {
        MODEL: [_commonest([item.said[MODEL] for item in part]) for part in several],
        TRUTH: [_commonest([item.truth for item in part]) for part in several],
    }
    nan = float("nan")
    return [
        Figure(
            task,
            group,
            name,
            "identical answers",
            PERCENT * sum(times) / count,
            nan,
            nan,
            count,
            patients,
            OWN,
        )
        for name, times in shares.items()
    ]


def _commonest(texts: Sequence[str]) -> int:
    return Counter(map(same_text, texts)).most_common(1)[0][1]


def _groups(items: Sequence[Item]) -> dict[str, list[Item]]:
    """All items together, then kind by kind where there are several."""
    kinds: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        kinds[item.group].append(item)
    if len(kinds) < 2:
        return {ALL: list(items)} if items else {}
    together = kinds.pop(ALL, None)
    return {ALL: list(items) if together is None else together, **kinds}
