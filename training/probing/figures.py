"""Figures of heads on held-out patients, with intervals and beside baselines without the scan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from napari_ct_assistant.backends.probe.heads import Floats, Heads
from napari_ct_assistant.training.evaluation.metrics.baselines import shuffled_partners
from napari_ct_assistant.training.evaluation.metrics.bootstrap import PatientBootstrap, interval
from napari_ct_assistant.training.evaluation.metrics.classification import (
    RATES,
    auroc,
    confusion,
)

FIGURES: Final = "figures.json"


def head_figures(
    heads: Heads,
    features: Floats,
    labels: Floats,
    patients: Sequence[str],
    base_rates: Floats,
) -> dict[str, Any]:
    """Measure heads on held-out scans.

    Parameters
    ----------
    heads : Heads
    features : [scans, F]
    labels : [scans, labels]
        0, 1 or NaN for unknown.
    patients
        Of each scan; the bootstrap draws them.
    base_rates : [labels]
        Share of the training scans with each finding: what is known without any scan.

    Returns
    -------
    dict
        For each finding AUROC and balanced accuracy with 95 % intervals, Brier score, accuracy;
        the same with another patient's scan, and of the constant base rate (blind) and the
        commoner answer (majority); their means over findings. A figure that the scans leave
        undefined is None.
    """
    probabilities = heads.probabilities(features)
    rows, draws = [], []
    for number, name in enumerate(heads.labels):
        known = np.flatnonzero(np.isfinite(labels[:, number]))
        row, drawn = _one(
            labels[known, number],
            probabilities[known, number],
            [patients[int(i)] for i in known],
            float(heads.thresholds[number]),
            float(base_rates[number]),
        )
        rows.append({"finding": name, **row})
        draws.append(drawn)
    found = [
        (row, drawn) for row, drawn in zip(rows, draws, strict=True) if row["auroc"] is not None
    ]
    means: dict[str, Any] = {"findings": len(found)}
    for key in ("auroc", "auroc_another_scan", "bacc", "brier", "brier_base_rate"):
        values = [row[key] for row, _ in found if row[key] is not None]
        means[key] = float(np.mean(values)) if values else None
    if found:
        whole = np.mean([drawn for _, drawn in found], axis=0)
        means["auroc_interval"] = _pair(interval(whole, len(set(patients))))
    return {
        "scans": len(patients),
        "patients": len(set(patients)),
        "mean": means,
        "blind_auroc": 0.5,  # the same probability for every scan
        "findings": rows,
    }


def unreliable(figures: dict[str, Any]) -> list[str]:
    """Return the findings whose AUROC was measured and does not exceed chance."""
    return [
        row["finding"]
        for row in figures["findings"]
        if row["auroc_interval"] is not None and row["auroc_interval"][0] <= 0.5
    ]


def _one(
    truth: Floats, probability: Floats, patients: list[str], threshold: float, base: float
) -> tuple[dict[str, Any], Floats]:
    bootstrap = PatientBootstrap(patients)
    predicted = (probability >= threshold).astype(np.float64)
    counts = confusion(truth, predicted)
    partners = shuffled_partners(patients)
    other = np.array([i for i, p in enumerate(partners) if p is not None], dtype=np.intp)
    swapped = np.array([p for p in partners if p is not None], dtype=np.intp)
    drawn = bootstrap.of_auroc(truth, probability)
    bacc = RATES["BACC"]
    majority = max(truth.mean(), 1 - truth.mean()) if len(truth) else float("nan")
    row = {
        "scans": len(truth),
        "present": int(truth.sum()),
        "auroc": _number(auroc(truth, probability)),
        "auroc_interval": _pair(bootstrap.interval(drawn)),
        "auroc_another_scan": _number(auroc(truth[other], probability[swapped])),
        "bacc": _number(float(bacc(counts.sum(0, keepdims=True))[0])),
        "bacc_interval": _pair(bootstrap.interval(bootstrap.of_sums(counts, bacc))),
        "accuracy": _number(float((truth == predicted).mean()) if len(truth) else float("nan")),
        "accuracy_majority": _number(float(majority)),
        "brier": _number(_brier(truth, probability)),
        "brier_base_rate": _number(_brier(truth, np.full_like(truth, base))),
        "threshold": threshold,
    }
    return row, drawn


def _brier(truth: Floats, probability: Floats) -> float:
    return float(((probability - truth) ** 2).mean()) if len(truth) else float("nan")


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _pair(pair: tuple[float, float]) -> list[float] | None:
    return [float(pair[0]), float(pair[1])] if np.isfinite(pair).all() else None
