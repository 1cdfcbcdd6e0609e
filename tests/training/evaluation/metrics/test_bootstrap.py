"""Intervals of the patient bootstrap, by hand and against the t interval."""

from __future__ import annotations

import math

import numpy as np
import pytest

from napari_ct_assistant.training.evaluation.metrics.bootstrap import PatientBootstrap, interval
from napari_ct_assistant.training.evaluation.metrics.classification import auroc


def test_a_draw_takes_whole_patients() -> None:
    bootstrap = PatientBootstrap(["a", "a", "b", "c", "a"], draws=200)
    assert bootstrap.count == 3
    assert (bootstrap.times.sum(axis=1) == 3).all()
    values = np.array([1.0, 2.0, 10.0, 100.0, 3.0])
    drawn = bootstrap.of_mean(values)
    a, b, c = bootstrap.times.T
    # By hand: patient a brings three items that sum to 6.
    assert drawn == pytest.approx((6 * a + 10 * b + 100 * c) / (3 * a + b + c))


def test_interval_is_the_t_interval_for_many_patients() -> None:
    values = np.random.default_rng(0).normal(5, 2, 400)
    bootstrap = PatientBootstrap(range(400), draws=4000)
    low, high = bootstrap.interval(bootstrap.of_mean(values))
    half = 1.96 * values.std(ddof=1) / 20
    assert low == pytest.approx(values.mean() - half, abs=0.03)
    assert high == pytest.approx(values.mean() + half, abs=0.03)


def test_items_of_one_patient_widen_the_interval() -> None:
    one = np.random.default_rng(1).normal(size=50)
    ten = np.repeat(one, 10)
    apart = PatientBootstrap(range(500))
    together = PatientBootstrap(np.repeat(range(50), 10).tolist())
    wide = np.ptp(together.interval(together.of_mean(ten)))
    narrow = np.ptp(apart.interval(apart.of_mean(ten)))
    assert wide / narrow == pytest.approx(10**0.5, rel=0.2)


def test_the_auroc_of_a_draw_is_that_of_its_items() -> None:
    rng = np.random.default_rng(3)
    patients = [int(p) for p in rng.integers(0, 20, 60)]
    truth = (rng.random(60) < 0.3).astype(float)
    score = np.round(rng.random(60) + 0.4 * truth, 1)  # with ties
    bootstrap = PatientBootstrap(patients, draws=100)
    for times, area in zip(bootstrap.times, bootstrap.of_auroc(truth, score), strict=True):
        drawn = np.repeat(np.arange(60), times[bootstrap.owner].astype(int))
        assert area == pytest.approx(auroc(truth[drawn], score[drawn]), abs=1e-12, nan_ok=True)


def test_too_few_patients_have_no_interval() -> None:
    bootstrap = PatientBootstrap("aaabbbccc")
    assert all(map(math.isnan, bootstrap.interval(bootstrap.of_mean(np.arange(9.0)))))
    assert all(map(math.isnan, interval(np.full(10, np.nan), patients=9)))


def test_undefined_draws_are_left_out_of_the_interval() -> None:
    assert interval(np.array([np.nan, 1.0, np.nan, 1.0]), patients=5) == (1.0, 1.0)
