"""Strengths against closed forms, an optimizer of the likelihood, and simulated readers."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize

from napari_ct_assistant.assistant.choices.bradley_terry import PRIOR, fit, rank, win_matrix
from napari_ct_assistant.assistant.choices.table import Choice, ChoicesError, Preference


def choice(left: str, right: str, chosen: Preference, scan: str = "s") -> Choice:
    return Choice(scan, left, "", right, "", chosen, 10.0)


def simulated(strengths: dict[str, float], scans: int, seed: int) -> list[Choice]:
    """Return the choices of a reader who follows the model, one for each pair and scan."""
    rng = np.random.default_rng(seed)
    names = list(strengths)
    made = []
    for scan in range(scans):
        for n, one in enumerate(names):
            for other in names[n + 1 :]:
                left, right = (one, other) if rng.random() < 0.5 else (other, one)
                wins = 1 / (1 + np.exp(strengths[right] - strengths[left]))
                chosen: Preference = "left" if rng.random() < wins else "right"
                made.append(choice(left, right, chosen, f"scan {scan}"))
    return made


@pytest.mark.parametrize(("wins", "losses"), [(7, 3), (1, 1), (5, 0), (0, 9)])
def test_two_models_have_a_closed_form(wins: int, losses: int) -> None:
    found = fit(np.array([[0, wins], [losses, 0]], float))
    expected = np.log((wins + PRIOR) / (losses + PRIOR)) / 2
    assert found == pytest.approx([expected, -expected], abs=1e-7)


def test_consistent_odds_are_found_exactly() -> None:
    """Where all pairs agree with one set of strengths, these are the solution."""
    true = np.array([4.0, 2.0, 1.0])
    wins = 60 * true[:, None] / (true[:, None] + true[None, :])
    np.fill_diagonal(wins, 0)
    log = np.log(true) - np.log(true).mean()
    assert fit(wins, prior=0) == pytest.approx(log, abs=1e-7)


def test_an_optimizer_of_the_likelihood_agrees() -> None:
    wins = np.random.default_rng(1).integers(0, 9, (5, 5)).astype(float)
    np.fill_diagonal(wins, 0)

    def loss(log: NDArray[np.float64]) -> float:
        gap = log[:, None] - log[None, :]
        return float((wins * np.log1p(np.exp(-gap))).sum())

    best = minimize(loss, np.zeros(5), tol=1e-12).x
    assert fit(wins, prior=0) == pytest.approx(best - best.mean(), abs=1e-4)


def test_simulated_readers_lie_within_the_intervals() -> None:
    true = {"a": 1.0, "b": 0.3, "c": -0.2, "d": -1.1}
    found = rank(simulated(true, 60, seed=4), bootstraps=300)
    assert [row.model for row in found] == ["a", "b", "c", "d"]
    for row in found:
        assert row.low < true[row.model] < row.high
        assert row.low < row.strength < row.high
    # Four times as many scans, half the width.
    wider = np.mean([row.high - row.low for row in found])
    narrower = rank(simulated(true, 240, seed=4), bootstraps=300)
    assert np.mean([row.high - row.low for row in narrower]) == pytest.approx(wider / 2, rel=0.25)


def test_equal_is_half_a_win_each_and_sides_do_not_matter() -> None:
    rows = [choice("a", "b", "left"), choice("b", "a", "right"), choice("b", "a", "equal")]
    assert win_matrix(rows, ["a", "b"]).tolist() == [[0, 2.5], [0.5, 0]]
    first, second = rank(rows, bootstraps=10)
    assert (first.model, first.wins, first.equal, first.losses) == ("a", 2, 1, 0)
    assert (second.wins, second.equal, second.losses) == (0, 1, 2)


def test_one_scan_has_no_interval_to_speak_of() -> None:
    first, _ = rank([choice("a", "b", "left")])
    assert first.low == first.high == pytest.approx(first.strength)


def test_the_same_name_with_other_weights_is_another_model() -> None:
    rows = [Choice("s", "demo", "aa" * 32, "demo", "bb" * 32, "left", 1.0)]
    assert [row.model for row in rank(rows, bootstraps=5)] == ["demo aaaaaaaa", "demo bbbbbbbb"]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "no pair of two different models"),
        ([choice("a", "a", "equal")], "no pair of two different models"),
        ([choice("a", "b", "left"), choice("c", "d", "left")], "'a' and 'c' were never compared"),
    ],
)
def test_what_cannot_be_ranked_is_one_line(rows: list[Choice], said: str) -> None:
    with pytest.raises(ChoicesError, match=said):
        rank(rows)
