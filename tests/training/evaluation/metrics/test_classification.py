"""The audit's figures on cases whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from napari_ct_assistant.training.evaluation.metrics import classification as metrics


def test_auroc_and_rates() -> None:
    truth = np.array([0, 0, 1, 1.0])
    assert metrics.auroc(truth, np.array([0.1, 0.4, 0.35, 0.8])) == pytest.approx(0.75)
    assert math.isnan(metrics.auroc(np.ones(3), np.arange(3.0)))
    found = metrics.rates(truth, np.array([0, 1, 1, 1.0]))
    assert found == {"sensitivity": 1.0, "specificity": 0.5, "bacc": 0.75}


def test_the_auroc_of_a_draw_is_scikit_learns() -> None:
    rng = np.random.default_rng(1)
    truth = (rng.random(60) < 0.3).astype(float)
    score = np.round(rng.random(60) + 0.4 * truth, 1)  # with ties
    for _ in range(20):
        drawn = rng.integers(0, 60, 60)
        expected = metrics.auroc(truth[drawn], score[drawn])
        assert metrics.auroc_of(truth, score, drawn) == pytest.approx(expected, abs=1e-12)
    assert math.isnan(metrics.auroc_of(np.ones(3), np.arange(3.0), np.arange(3)))


def test_intervals_hold_the_figure_and_shrink() -> None:
    rng = np.random.default_rng(0)

    def width(count: int) -> float:
        values = rng.normal(size=count)
        low, high = metrics.interval(lambda i: float(values[i].mean()), count)
        assert low < values.mean() < high
        return high - low

    assert width(400) < width(25)


def test_finding_sets() -> None:
    truth = [frozenset("ab"), frozenset("a"), frozenset()]
    assert metrics.micro_f1(truth, truth) == 1.0
    assert metrics.micro_f1(truth, [frozenset("a")] * 3) == pytest.approx(4 / 6)
    assert metrics.best_constant_f1(truth) == pytest.approx(4 / 6)
    assert metrics.identical_share([frozenset("a")] * 3 + [frozenset()]) == 0.75
    assert metrics.majority(["x", "x", "y"]) == pytest.approx(2 / 3)


def test_a_constant_screen_is_at_chance() -> None:
    truth = np.array([[0, 1], [1, 0], [1, 1.0]])
    rows = metrics.screen_table(truth, np.full((3, 2), 0.9), ("a", "b"), (0.5, 0.95))
    assert [row["auroc"] for row in rows] == [0.5, 0.5]
    assert [row["bacc"] for row in rows] == [0.5, 0.5]
    assert metrics.mean_over(rows, "auroc") == 0.5
