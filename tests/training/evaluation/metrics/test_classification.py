"""Rates and AUROC by hand and against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from napari_ct_assistant.training.evaluation.metrics.classification import (
    RATES,
    auroc,
    confusion,
    rates,
    weighted_auroc,
)


def test_auroc_is_scikit_learns_with_and_without_ties() -> None:
    rng = np.random.default_rng(2)
    for levels in (3, 8, 1000):
        for _ in range(10):
            truth = (rng.random(60) < 0.3).astype(float)
            score = rng.integers(0, levels, 60).astype(float)
            expected = roc_auc_score(truth, score)
            assert auroc(truth, score) == pytest.approx(expected, abs=1e-12)
    assert auroc(np.array([0, 1.0]), np.array([0.5, 0.5])) == 0.5


def test_auroc_by_hand() -> None:
    assert auroc(np.array([0, 0, 1, 1.0]), np.array([0.1, 0.4, 0.35, 0.8])) == pytest.approx(0.75)


def test_one_class_and_no_items_have_no_auroc() -> None:
    assert math.isnan(auroc(np.ones(3), np.arange(3.0)))
    assert math.isnan(auroc(np.zeros(3), np.arange(3.0)))
    assert math.isnan(auroc(np.zeros(0), np.zeros(0)))
    assert math.isnan(weighted_auroc(np.ones(3), np.arange(3.0), np.ones((1, 3)))[0])


def test_weighted_auroc_is_scikit_learns() -> None:
    rng = np.random.default_rng(2)
    truth = rng.integers(0, 2, 60).astype(float)
    score = rng.integers(0, 8, 60).astype(float)  # with ties
    weights = rng.integers(0, 4, (20, 60)).astype(float)
    found = weighted_auroc(truth, score, weights)
    for w, area in zip(weights, found, strict=True):
        assert area == pytest.approx(roc_auc_score(truth, score, sample_weight=w))


def test_rates_by_hand_and_scikit_learns() -> None:
    truth = np.array([1, 1, 1, 0, 0, 0, 0, 0, 0, 1.0])
    yes = np.array([1, 1, 0, 1, 0, 0, 0, 0, 0, 0.0])
    found = rates(truth, yes)
    # 2 of 4 found, 5 of 6 left alone, 2 of 3 yeses right.
    assert found == pytest.approx(
        {
            "BACC": (0.5 + 5 / 6) / 2,
            "accuracy": 7 / 10,
            "precision": 2 / 3,
            "recall": 0.5,
            "specificity": 5 / 6,
            "F1": 4 / 7,
        }
    )
    references = {
        "BACC": balanced_accuracy_score,
        "accuracy": accuracy_score,
        "precision": precision_score,
        "recall": recall_score,
        "specificity": lambda t, y: recall_score(t, y, pos_label=0),
        "F1": f1_score,
    }
    for name, reference in references.items():
        assert found[name] == pytest.approx(reference(truth, yes)), name


def test_rates_of_many_draws_at_once() -> None:
    counts = np.array([[2, 1, 5, 2], [0, 0, 4, 0], [3, 0, 0, 1.0]])
    assert RATES["recall"](counts) == pytest.approx([0.5, np.nan, 0.75], nan_ok=True)
    assert RATES["BACC"](counts) == pytest.approx([2 / 3, np.nan, np.nan], nan_ok=True)
    assert RATES["precision"](counts) == pytest.approx([2 / 3, 0, 1])
    assert RATES["F1"](counts) == pytest.approx([4 / 7, 0, 6 / 7])


def test_without_a_yes_precision_and_f1_are_zero_as_scikit_learns() -> None:
    truth, never = np.array([1, 0, 0.0]), np.zeros(3)
    found = rates(truth, never)
    assert found["precision"] == precision_score(truth, never, zero_division=0) == 0
    assert found["F1"] == f1_score(truth, never, zero_division=0) == 0


def test_a_rate_without_its_class_is_undefined() -> None:
    found = rates(np.zeros(4), np.array([1, 0, 0, 0.0]))
    assert math.isnan(found["recall"])
    assert math.isnan(found["BACC"])
    assert found["specificity"] == 0.75


def test_confusion_counts_each_item_once() -> None:
    counts = confusion(np.array([1, 0, 0, 1.0]), np.array([1, 1, 0, 0.0]))
    assert (counts == np.eye(4)).all()


def test_all_yes_is_the_papers_baseline() -> None:
    """E3D-GPT's Table 4 has 19.26 % of positives: all-yes then reaches an F1 of 32.3."""
    truth = np.array([1.0] * 1926 + [0.0] * 8074)
    found = rates(truth, np.ones(10000))
    assert found["F1"] == pytest.approx(0.323, abs=0.0005)
    assert found["precision"] == pytest.approx(0.1926)
    assert found["BACC"] == 0.5


@pytest.mark.parametrize(
    ("precision", "recall", "f1", "bacc", "accuracy"),
    [
        (0.1985, 0.8883, 0.3244, 0.5164, 0.2876),  # RadFM: the paper's "BACC" is 28.75
        (0.2061, 0.8299, 0.3302, 0.5337, 0.3515),
        (0.2094, 0.8710, 0.3376, 0.5432, 0.3418),
        (0.1926, 1.0, 0.3230, 0.5, 0.1926),  # yes to every question
    ],
)
def test_what_e3d_gpts_table_4_implies(
    precision: float, recall: float, f1: float, bacc: float, accuracy: float
) -> None:
    """docs/reproduce.md: with 19.26 % positives, RadFM's BACC in the paper is its accuracy."""
    present = 0.1926
    hits = present * recall
    false = hits * (1 / precision - 1)
    counts = np.array([[hits, false, 1 - present - false, present - hits]])
    found = {name: float(rate(counts)[0]) for name, rate in RATES.items()}
    assert found["F1"] == pytest.approx(f1, abs=2e-4)
    assert found["BACC"] == pytest.approx(bacc, abs=4e-4)
    assert found["accuracy"] == pytest.approx(accuracy, abs=4e-4)
