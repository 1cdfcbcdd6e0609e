"""Bradley-Terry strengths of models from readers' choices between pairs of reports.

R. A. Bradley, M. E. Terry: Rank analysis of incomplete block designs, Biometrika 1952. The
strengths are found by the minorization-maximization steps of D. R. Hunter, Annals of Statistics
2004. An equal pair counts as half a win for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.assistant.choices.table import Choice, ChoicesError
from napari_ct_assistant.support.translation import said

PRIOR: Final = 0.1
"""Wins that each model of a pair that was compared gets beforehand, so that one which always
wins has a finite strength."""
BOOTSTRAPS: Final = 1000
_STEPS: Final = 10_000
_TOLERANCE: Final = 1e-10


@dataclass(frozen=True)
class Strength:
    """A model's strength.

    Attributes
    ----------
    model : str
        Its name and the beginning of the hash of its weights.
    strength : float
        Natural logarithm of its Bradley-Terry parameter; the mean over the models is 0. The
        probability that one model is preferred to another is
        1 / (1 + exp(strength of the other - strength)).
    low, high : float
        95 % interval: percentiles over bootstraps that draw scans.
    wins, equal, losses : int
        Number of pairs.
    """

    model: str
    strength: float
    low: float
    high: float
    wins: int
    equal: int
    losses: int

    def to_json(self) -> dict[str, Any]:
        """Return the strength as plain values."""
        return asdict(self)


def win_matrix(choices: Sequence[Choice], models: Sequence[str]) -> NDArray[np.float64]:
    """Return how often the model of a row was preferred to that of a column; 0.5 where equal."""
    wins = np.zeros((len(models), len(models)))
    number = {model: n for n, model in enumerate(models)}
    for one in choices:
        left, right = (number[model] for model in one.models)
        share = {"left": 1.0, "right": 0.0, "equal": 0.5}[one.choice]
        wins[left, right] += share
        wins[right, left] += 1 - share
    return wins


def fit(wins: NDArray[np.float64], prior: float = PRIOR) -> NDArray[np.float64]:
    """Return the log strengths [N] with mean 0 that make the wins [N, N] most likely.

    Parameters
    ----------
    wins
        wins[i, j] is how often i was preferred to j.
    prior
        Wins that are added both ways to each pair that was compared.
    """
    met = wins + wins.T
    np.fill_diagonal(met, 0)
    wins = wins + prior * (met > 0)
    np.fill_diagonal(wins, 0)
    games, won = wins + wins.T, wins.sum(axis=1)
    strengths = np.ones(len(wins))
    for _ in range(_STEPS):
        expected = (games / (strengths[:, None] + strengths[None, :])).sum(axis=1)
        new = np.divide(won, expected, out=np.ones_like(won), where=expected > 0)
        new = np.maximum(new, 1e-12)
        new /= np.exp(np.log(new).mean())
        done = np.abs(np.log(new) - np.log(strengths)).max() < _TOLERANCE
        strengths = new
        if done:
            break
    return np.asarray(np.log(strengths))


def rank(
    choices: Sequence[Choice], *, bootstraps: int = BOOTSTRAPS, seed: int = 0
) -> list[Strength]:
    """Return the models with their strengths, the strongest first.

    Raises
    ------
    ChoicesError
        If there is no pair of two different models, or two models cannot be compared because no
        chain of pairs connects them.
    """
    pairs = [one for one in choices if one.models[0] != one.models[1]]
    models = sorted({model for one in pairs for model in one.models})
    if not models:
        raise ChoicesError(said("no pair of two different models was compared"))
    wins = win_matrix(pairs, models)
    _check_connected(wins, models)
    found = fit(wins)
    drawn = _bootstrap(pairs, models, bootstraps, seed)
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0) if len(drawn) else (found, found)
    rows = [
        Strength(model, float(found[n]), float(low[n]), float(high[n]), *_counts(pairs, model))
        for n, model in enumerate(models)
    ]
    return sorted(rows, key=lambda row: -row.strength)


def _bootstrap(
    pairs: Sequence[Choice], models: Sequence[str], bootstraps: int, seed: int
) -> NDArray[np.float64]:
    """Return the strengths [bootstraps, N] of as many scans, drawn with replacement."""
    scans: dict[str, list[Choice]] = {}
    for one in pairs:
        scans.setdefault(one.scan, []).append(one)
    # Choices about one scan belong together: the next scan is what is drawn by chance.
    of_scan = np.stack([win_matrix(group, models) for group in scans.values()])
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(bootstraps):
        wins = of_scan[rng.integers(len(of_scan), size=len(of_scan))].sum(axis=0)
        if _groups(wins) == 1:
            drawn.append(fit(wins))
    return np.array(drawn)


def _groups(wins: NDArray[np.float64]) -> int:
    """Return into how many groups the models fall that no pair connects."""
    reached = np.eye(len(wins), dtype=bool) | (wins + wins.T > 0)
    for _ in range(len(wins)):
        reached = reached @ reached
    return len({tuple(row) for row in reached.tolist()})


def _check_connected(wins: NDArray[np.float64], models: Sequence[str]) -> None:
    if _groups(wins) == 1:
        return
    reached = np.eye(len(wins), dtype=bool) | (wins + wins.T > 0)
    for _ in range(len(wins)):
        reached = reached @ reached
    other = models[int(np.flatnonzero(~reached[0])[0])]
    raise ChoicesError(
        said(
            "{models} and {other} were never compared, neither with each other nor through "
            "others: sum them up apart",
            models=repr(models[0]),
            other=repr(other),
        )
    )


def _counts(pairs: Sequence[Choice], model: str) -> tuple[int, int, int]:
    wins = equal = losses = 0
    for one in pairs:
        if model in one.models:
            side = "left" if one.models[0] == model else "right"
            equal += one.choice == "equal"
            wins += one.choice == side
            losses += one.choice not in (side, "equal")
    return wins, equal, losses
