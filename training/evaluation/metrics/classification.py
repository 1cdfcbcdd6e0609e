"""Figures of an audit: per finding and over texts, each with its 95 % interval."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.metrics import roc_auc_score

Array = NDArray[np.float64]
BOOTSTRAPS = 500


def interval(
    figure: Callable[[NDArray[np.int64]], float], count: int, seed: int = 0
) -> tuple[float, float]:
    """95 % bootstrap interval of a figure over phantoms.

    Parameters
    ----------
    figure
        Takes the drawn indices [count], gives the figure (NaN where it has none).
    """
    rng = np.random.default_rng(seed)
    values = [figure(rng.integers(0, count, count)) for _ in range(BOOTSTRAPS)]
    finite = np.array([v for v in values if np.isfinite(v)])
    if not len(finite):
        return float("nan"), float("nan")
    low, high = np.quantile(finite, [0.025, 0.975])
    return float(low), float(high)


def auroc(truth: Array, score: Array) -> float:
    """Area under the ROC curve (scikit-learn); NaN with one class only."""
    return float(roc_auc_score(truth, score)) if 0 < truth.sum() < len(truth) else float("nan")


def rates(truth: Array, said: Array) -> dict[str, float]:
    """Sensitivity, specificity and their mean (BACC). truth, said: [phantoms], 0 or 1."""
    positive, negative = truth > 0, truth == 0
    sensitivity = float(said[positive].mean()) if positive.any() else float("nan")
    specificity = float(1 - said[negative].mean()) if negative.any() else float("nan")
    return {
        "sensitivity": sensitivity,
        "specificity": specificity,
        "bacc": (sensitivity + specificity) / 2,
    }


def auroc_of(truth: Array, score: Array, drawn: NDArray[np.int64]) -> float:
    """AUROC of the drawn phantoms [count], by ranks: scikit-learn's figure, much faster."""
    shown = truth[drawn] > 0
    positives, negatives = int(shown.sum()), int((~shown).sum())
    if not positives or not negatives:
        return float("nan")
    above = rankdata(score[drawn])[shown].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))


def _bacc_of(truth: Array, said: Array, drawn: NDArray[np.int64]) -> float:
    return rates(truth[drawn], said[drawn])["bacc"]


def screen_table(
    truth: Array, probability: Array, names: Sequence[str], thresholds: Sequence[float]
) -> list[dict[str, object]]:
    """One row a finding. truth, probability: [phantoms, findings]; thresholds: [findings]."""
    rows: list[dict[str, object]] = []
    for f, name in enumerate(names):
        y, p = truth[:, f], probability[:, f]
        said = (p > thresholds[f]).astype(float)
        rows.append(
            {
                "name": name,
                "positives": int(y.sum()),
                "threshold": float(thresholds[f]),
                "auroc": auroc(y, p),
                "auroc_95": interval(partial(auroc_of, y, p), len(y)),
                **rates(y, said),
                "bacc_95": interval(partial(_bacc_of, y, said), len(y)),
            }
        )
    return rows


def mean_over(rows: Sequence[dict[str, object]], key: str) -> float:
    """Mean of a column, findings without both classes left out."""
    return float(np.nanmean([float(row[key]) for row in rows]))  # type: ignore[arg-type]


def micro_f1(truth: Sequence[frozenset[str]], said: Sequence[frozenset[str]]) -> float:
    """F1 over all (phantom, finding) pairs of finding sets."""
    hit = sum(len(t & s) for t, s in zip(truth, said, strict=True))
    total = sum(len(t) + len(s) for t, s in zip(truth, said, strict=True))
    return 2 * hit / total if total else float("nan")


def best_constant_f1(truth: Sequence[frozenset[str]]) -> float:
    """F1 of the best report that is the same for every scan: the k commonest findings."""
    names = sorted({n for t in truth for n in t}, key=lambda n: -sum(n in t for t in truth))
    constants = [frozenset(names[: k + 1]) for k in range(len(names))]
    return max((micro_f1(truth, [c] * len(truth)) for c in constants), default=float("nan"))


def identical_share(sets: Sequence[frozenset[str]]) -> float:
    """Share of the commonest finding set: 1 means the same report for every scan."""
    counts: dict[frozenset[str], int] = {}
    for one in sets:
        counts[one] = counts.get(one, 0) + 1
    return max(counts.values(), default=0) / max(len(sets), 1)


def majority(values: Sequence[str]) -> float:
    """Accuracy of the commonest answer."""
    return max((values.count(v) for v in set(values)), default=0) / max(len(values), 1)
