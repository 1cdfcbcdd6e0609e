"""Agreement of sets of findings, by hand."""

from __future__ import annotations

import math

import pytest

from napari_ct_assistant.training.evaluation.metrics.finding_sets import best_constant_f1, micro_f1

TRUTH = [frozenset("ab"), frozenset("a"), frozenset()]


def test_micro_f1() -> None:
    assert micro_f1(TRUTH, TRUTH) == 1.0
    assert micro_f1(TRUTH, [frozenset("a")] * 3) == pytest.approx(4 / 6)
    assert math.isnan(micro_f1([frozenset()], [frozenset()]))


def test_best_constant_report() -> None:
    assert best_constant_f1(TRUTH) == pytest.approx(4 / 6)
    assert math.isnan(best_constant_f1([frozenset()]))
