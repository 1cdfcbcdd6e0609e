"""Fit heads: a logistic regression for each finding, calibrated on patients it did not see.

Within the training patients, folds by patient choose the strength of the penalty and give the
scores that calibration and thresholds are fitted to. The held-out patients have no part in it.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from napari_ct_assistant.backends.probe.heads import Floats, Heads, sigmoid
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.data.datasets.splits import place_of

Calibration = Literal["platt", "isotonic"]
Points = tuple[Floats, Floats]

FEWEST: Final = 3  # patients with a finding, and without it, that a head needs
MOST_ITERATIONS: Final = 500


@dataclass(frozen=True)
class Fitted:
    """Heads, and the findings that could not be fitted: {finding: why}."""

    heads: Heads
    left_out: dict[str, str]


def fit_heads(
    features: Floats,
    labels: Floats,
    names: Sequence[str],
    patients: Sequence[str],
    *,
    pooling: str,
    strengths: Sequence[float],
    folds: int,
    calibration: Calibration = "platt",
) -> Fitted:
    """Fit a head for each finding that enough training patients have and lack.

    Parameters
    ----------
    features : [scans, F]
    labels : [scans, findings]
        0, 1 or NaN for unknown.
    names, patients
        Of the findings, and of each scan.
    pooling : str
        What the features are.
    strengths
        Of the penalty (inverse), of which the best on unseen folds is taken.
    folds : int
    calibration : "platt" or "isotonic"

    Raises
    ------
    RecipeError
        If no finding can be fitted.
    """
    mean, scale = features.mean(0), features.std(0)
    # A channel that never varies says nothing, and must not become infinite on another scan.
    scale = np.where(scale > 1e-6, scale, 1.0)
    standard = (features - mean) / scale
    fold = fold_of(patients, folds)
    kept, rows = [], []
    left_out: dict[str, str] = {}
    for number, name in enumerate(names):
        known = np.isfinite(labels[:, number])
        truth = labels[known, number] == 1
        own = np.asarray(patients)[known]
        with_it, without = len(set(own[truth])), len(set(own[~truth]))
        if min(with_it, without) < FEWEST:
            left_out[name] = f"{with_it} training patient(s) with it, {without} without"
            continue
        kept.append(name)
        rows.append(_fit_one(standard[known], truth, fold[known], strengths, calibration))
    if not kept:
        first, why = next(iter(left_out.items()), ("no finding", "no labels"))
        raise RecipeError(
            f"data: no head can be trained; {first}: {why}, and {FEWEST} of each are needed"
        )
    numbers, curves = zip(*rows, strict=True)
    weight, bias, slope, shift, threshold = (np.array(one) for one in zip(*numbers, strict=True))
    points = _of_equal_length(curves) if calibration == "isotonic" else None
    heads = Heads(tuple(kept), pooling, weight, bias, mean, scale, slope, shift, threshold, points)
    return Fitted(heads, left_out)


def fold_of(patients: Sequence[str], folds: int) -> NDArray[np.intp]:
    """Return each scan's fold: all scans of a patient are in the same one, of equal sizes."""
    order = sorted(set(patients), key=lambda patient: place_of(patient, "probe folds"))
    number = {patient: i % folds for i, patient in enumerate(order)}
    return np.array([number[patient] for patient in patients], dtype=np.intp)


def _fit_one(
    x: Floats,
    truth: NDArray[np.bool_],
    fold: NDArray[np.intp],
    strengths: Sequence[float],
    calibration: Calibration,
) -> tuple[tuple[Floats, float, float, float, float], Points]:
    """Return weight, bias, slope, shift and threshold of a head, and its isotonic points."""
    outside = {strength: _unseen_logits(x, truth, fold, strength) for strength in strengths}
    best = min(strengths, key=lambda strength: _log_loss(truth, outside[strength]))
    logits = outside[best]
    points: Points = (np.zeros(0), np.zeros(0))
    if calibration == "isotonic":
        slope, shift = 1.0, 0.0
        points = isotonic(logits, truth)
        threshold = best_threshold(np.interp(logits, *points), truth)
    else:
        slope, shift = calibrated(logits, truth)
        threshold = best_threshold(sigmoid(slope * logits + shift), truth)
    final = _regression(best).fit(x, truth)
    return (final.coef_[0], float(final.intercept_[0]), slope, shift, threshold), points


def _unseen_logits(
    x: Floats, truth: NDArray[np.bool_], fold: NDArray[np.intp], strength: float
) -> Floats:
    """Return each scan's logit from a fit without its fold."""
    base = float(np.log(truth.mean() / (1 - truth.mean())))
    logits: Floats = np.full(len(truth), base)
    for one in np.unique(fold):
        inside, outside = fold != one, fold == one
        if truth[inside].all() or not truth[inside].any():
            continue
        logits[outside] = (
            _regression(strength).fit(x[inside], truth[inside]).decision_function(x[outside])
        )
    return logits


def calibrated(logits: Floats, truth: NDArray[np.bool_]) -> tuple[float, float]:
    """Return slope and shift of Platt's calibration, with his smoothed targets.

    A slope below 0 would turn the head round; then all scans get the share of the finding.
    """
    positives, negatives = int(truth.sum()), int((~truth).sum())
    high, low = (positives + 1) / (positives + 2), 1 / (negatives + 2)
    target = np.where(truth, high, low)
    # Each scan stands once as present and once as absent, weighted by its target.
    x = np.concatenate([logits, logits])[:, None]
    y = np.concatenate([np.ones_like(truth), np.zeros_like(truth)])
    fit = LogisticRegression(C=1e6, max_iter=MOST_ITERATIONS)
    fit.fit(x, y, sample_weight=np.concatenate([target, 1 - target]))
    slope, shift = float(fit.coef_[0, 0]), float(fit.intercept_[0])
    if slope > 0:
        return slope, shift
    return 0.0, float(np.log(truth.mean() / (1 - truth.mean())))


def isotonic(logits: Floats, truth: NDArray[np.bool_]) -> Points:
    """Return the points of isotonic calibration: logits, and the probability of each.

    The probability never falls with the logit, and is at most as sure as Platt's smoothed targets
    (Zadrozny and Elkan 2002, doi 10.1145/775047.775151).
    """
    positives, negatives = int(truth.sum()), int((~truth).sum())
    fit = IsotonicRegression(
        y_min=1 / (negatives + 2), y_max=(positives + 1) / (positives + 2), out_of_bounds="clip"
    ).fit(logits, truth.astype(np.float64))
    return np.asarray(fit.X_thresholds_), np.asarray(fit.y_thresholds_)


def _of_equal_length(curves: Sequence[Points]) -> Points:
    """Return the points of all heads as two arrays; shorter ones repeat their last point."""
    longest = max(len(x) for x, _ in curves)
    x, y = (
        np.stack([np.pad(one, (0, longest - len(one)), mode="edge") for one in column])
        for column in zip(*curves, strict=True)
    )
    return x, y


def best_threshold(probability: Floats, truth: NDArray[np.bool_]) -> float:
    """Return the probability with the best balanced accuracy, midway between two scans."""
    values = np.unique(probability)
    cuts = (values[1:] + values[:-1]) / 2 if len(values) > 1 else values
    above = probability[None] >= cuts[:, None]
    accuracy = above[:, truth].mean(1) - above[:, ~truth].mean(1)
    best = np.flatnonzero(accuracy >= accuracy.max() - 1e-9)
    return float(cuts[best[len(best) // 2]])


def _regression(strength: float) -> _Quiet:
    return _Quiet(C=strength, max_iter=MOST_ITERATIONS)


class _Quiet(LogisticRegression):  # type: ignore[misc,unused-ignore]
    """Takes the best it finds within the iterations: nearly separable data have no optimum."""

    def fit(self, x: Floats, y: NDArray[np.bool_]) -> _Quiet:
        """Fit without the warning."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            super().fit(x, y)
        return self


def _log_loss(truth: NDArray[np.bool_], logits: Floats) -> float:
    signed = np.where(truth, -logits, logits)
    return float(np.logaddexp(0, signed).mean())
