"""The figures of the audit on phantoms, each beside what is reached without looking."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_ct_assistant.phantoms import DECLINED, draw_truth
from napari_ct_assistant.phantoms.truth import GRADES, NODULE_SIZES, SIZES
from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.report_text.yes_no import normalize_text
from napari_ct_assistant.training.evaluation.audit.observation import (
    ASKED_KINDS,
    ATTRIBUTES,
    AskedQuestion,
    PhantomObservation,
    topic_of,
)
from napari_ct_assistant.training.evaluation.metrics.baselines import (
    by_frequency,
    commonest_count,
    commonest_share,
    shuffled_partners,
)
from napari_ct_assistant.training.evaluation.metrics.bootstrap import PatientBootstrap
from napari_ct_assistant.training.evaluation.metrics.classification import (
    RATES,
    auroc,
    confusion,
    rates,
)
from napari_ct_assistant.training.evaluation.metrics.finding_sets import best_constant_f1, micro_f1

Array = NDArray[np.float64]

SIZE_SCALES = (NODULE_SIZES, SIZES, GRADES)
# Phantoms that neither training nor audits use; only their texts are drawn, no voxels.
USUAL_SEEDS = range(700_000, 700_500)


def figures(observations: Sequence[PhantomObservation]) -> dict[str, Any]:
    """Return the audit's table.

    Every share is from 0 to 1; a figure that these phantoms leave undefined is NaN.
    """
    truth = np.array(
        [[name in o.present for name in FINDINGS] for o in observations], dtype=np.float64
    )
    probability = np.array([[row.score for row in o.screen] for o in observations])
    # The product's own decision: the probability reaches the finding's threshold.
    predicted = np.array(
        [[row.reaches_threshold for row in o.screen] for o in observations], dtype=np.float64
    )
    patch = np.array([o.patch_scores for o in observations])
    partners = [p for p in shuffled_partners([o.seed for o in observations]) if p is not None]
    thresholds = [row.threshold or 0.0 for row in observations[0].screen]
    screen = screen_table(truth, probability, predicted, patch, thresholds)
    present = [o.present for o in observations]
    reported = [o.report.present for o in observations]
    return {
        "seeds": [observations[0].seed, observations[-1].seed + 1],
        "screen": screen,
        "mean_auroc": _mean(row["auroc"] for row in screen),
        "mean_bacc": _mean(row["bacc"] for row in screen),
        "mean_patch_auroc": _mean(row["patch_auroc"] for row in screen),
        "mean_auroc_shuffled": _mean(
            auroc(truth[: len(partners), f], probability[partners, f]) for f in range(len(FINDINGS))
        ),
        "mean_auroc_blind": 0.5,  # the same probabilities for every scan
        "blind_probabilities": [round(row.baseline or 0.0, 4) for row in observations[-1].screen],
        "report_f1": micro_f1(present, reported),
        "report_f1_constant": best_constant_f1(present),
        "report_f1_shuffled": micro_f1(present[: len(partners)], [reported[p] for p in partners]),
        "identical_sets": commonest_share(reported),
        "identical_sets_truth": commonest_share(present),
        "contradictions": _mean(bool(o.report.contradictions) for o in observations),
        "places": _attribute_figures(observations),
        "pairs_right": _mean(o.pair_right for o in observations),
        "pairs_differ": _mean(o.pair_differs for o in observations),
        "questions": _question_figures(observations),
        "declined_untaught": _mean(d for o in observations for d in o.declined),
        "declined_taught": _mean(q.text == DECLINED for o in observations for q in o.questions),
        "evidence_inside": _mean(i for o in observations for i in o.evidence_inside),
        "seconds": {
            "encode": _median(o.seconds_encode for o in observations),
            "report": _median(o.seconds_report for o in observations),
            "answer": _median(q.seconds for o in observations for q in o.questions),
        },
        "torch_threads": torch.get_num_threads(),
    }


def screen_table(
    truth: Array,
    probability: Array,
    predicted: Array,
    patch: Array,
    thresholds: Sequence[float],
) -> list[dict[str, Any]]:
    """Return one row for each finding.

    Parameters
    ----------
    truth, probability, predicted, patch : [phantoms, findings]
        Labels (0 or 1), the model's probabilities, whether these reach the threshold (0 or 1),
        and the scores of the encoder's own head.
    thresholds : [findings]
    """
    bootstrap = PatientBootstrap(range(len(truth)))  # each phantom is a patient
    rows: list[dict[str, Any]] = []
    for f, name in enumerate(FINDINGS):
        each = rates(truth[:, f], predicted[:, f])
        terms = confusion(truth[:, f], predicted[:, f])
        rows.append(
            {
                "name": name,
                "positives": int(truth[:, f].sum()),
                "threshold": float(thresholds[f]),
                "auroc": auroc(truth[:, f], probability[:, f]),
                "auroc_95": bootstrap.interval(bootstrap.of_auroc(truth[:, f], probability[:, f])),
                "sensitivity": each["recall"],
                "specificity": each["specificity"],
                "bacc": each["BACC"],
                "bacc_95": bootstrap.interval(bootstrap.of_sums(terms, RATES["BACC"])),
                "patch_auroc": float("nan")
                if np.isnan(patch[:, f]).any()
                else auroc(truth[:, f], patch[:, f]),
            }
        )
    return rows


def _mean(values: Iterable[float]) -> float:
    """Return the mean of what is not NaN; NaN without any."""
    finite = [value for value in values if np.isfinite(value)]
    return float(np.mean(finite)) if finite else float("nan")


def _median(values: Iterable[float]) -> float:
    there = list(values)
    return float(np.median(there)) if there else float("nan")


def _attribute_figures(observations: Sequence[PhantomObservation]) -> dict[str, dict[str, float]]:
    """Return how often side, lobe and size are right, where the report names the finding."""
    found = {}
    for attribute in ATTRIBUTES:
        pairs = [pair for o in observations for pair in o.attributes[attribute]]
        if pairs:
            found[attribute] = {
                "right": _mean(true == reported for true, reported in pairs),
                "within_one_class": _mean(_within_one_class(*pair) for pair in pairs),
                "majority": commonest_share([true for true, _ in pairs]),
                "count": len(pairs),
            }
    return found


def _within_one_class(true: str, reported: str) -> bool:
    """Return whether a size class is the right one or next to it."""
    for scale in SIZE_SCALES:
        if true in scale and reported in scale:
            return abs(scale.index(true) - scale.index(reported)) <= 1
    return true == reported


def _question_figures(observations: Sequence[PhantomObservation]) -> dict[str, dict[str, float]]:
    found = {}
    for kind in ASKED_KINDS:
        asked = [q for o in observations for q in o.questions if q.kind == kind]
        if asked:
            found[kind] = question_accuracy(asked, usual_answers()[kind])
    return found


def question_accuracy(asked: Sequence[AskedQuestion], usual: dict[str, str]) -> dict[str, float]:
    """Return the share of exact answers, beside two baselines that need no looking.

    `majority` is the commonest answer to the same question among these very phantoms, which
    guesses too well if they are few. `usual` is that of other phantoms, known beforehand.
    """
    by_topic: dict[str, list[str]] = defaultdict(list)
    for q in asked:
        by_topic[q.topic].append(q.truth)
    return {
        "right": _mean(normalize_text(q.truth) == normalize_text(q.text) for q in asked),
        "majority": sum(map(commonest_count, by_topic.values())) / len(asked),
        "usual": _mean(
            normalize_text(q.truth) == normalize_text(usual.get(q.topic, "")) for q in asked
        ),
        "count": len(asked),
    }


@cache
def usual_answers() -> dict[str, dict[str, str]]:
    """Return {kind: {topic: commonest answer}} among the phantoms of `USUAL_SEEDS`."""
    answers: dict[str, dict[str, list[str]]] = {kind: defaultdict(list) for kind in ASKED_KINDS}
    for seed in USUAL_SEEDS:
        for question in draw_truth(seed).questions:
            if question.kind in answers:
                answers[question.kind][topic_of(question)].append(question.answer)
    return {
        kind: {topic: by_frequency(truths)[0] for topic, truths in by_topic.items()}
        for kind, by_topic in answers.items()
    }
