"""The figures of the audit of evidence: hottest places and support."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.phantoms.truth import BoxMm
from napari_ct_assistant.training.evaluation.audit.sentences import (
    NEARBY_MM,
    PointMm,
    distance_mm,
)
from napari_ct_assistant.training.evaluation.metrics.bootstrap import PatientBootstrap
from napari_ct_assistant.training.evaluation.metrics.classification import auroc

Array = NDArray[np.float64]

USED = "keys and values"  # the method of the backend of volume language models
OWN_REPORT = "own report"
USUAL_PLACE = "finding's usual place"
TRUE_KEPT = 0.95


@dataclass(frozen=True)
class Statement:
    """A statement about one finding and its support.

    Parameters
    ----------
    phantom : int
        Seed.
    finding
    true
        Whether the phantom has the finding.
    assessable
        Whether the model was measured to recognise the finding.
    support : float
        In nats.
    own_report
        Whether the model wrote it itself.
    """

    phantom: int
    finding: str
    true: bool
    assessable: bool
    support: float
    own_report: bool = False


@dataclass(frozen=True)
class HottestPlace:
    """The hottest place of a true statement by one method, and the finding's box, in RAS mm."""

    phantom: int
    method: str
    finding: str
    assessable: bool
    place: PointMm | None
    box: BoxMm


T = TypeVar("T", Statement, HottestPlace)


def figures(
    statements: Sequence[Statement],
    places: Sequence[HottestPlace],
    seconds: Mapping[str, Sequence[float]],
    first_seed: int,
    count: int,
    *,
    used: str = USED,
) -> dict[str, Any]:
    """Return the audit's tables; `used` is the name of the backend's own method.

    Rows named "assessable" leave out the findings that the model was measured not to recognise.
    Shares are from 0 to 1; a figure that is undefined is NaN.
    """
    stated = [s for s in statements if not s.own_report]
    reported = [s for s in statements if s.own_report]
    by_method = {
        method: [p for p in places if p.method == method]
        for method in dict.fromkeys(p.method for p in places)
    }
    by_method[USUAL_PLACE] = usual_places(by_method.get(used, []))
    rows = []
    for method, found in by_method.items():
        rows.append(_place_row(method, found))
        rows.append(_place_row(f"{method}, assessable", _assessable(found)))
    return {
        "seeds": [first_seed, first_seed + count],
        "place": rows,
        "support": [
            _support_row("stated", stated),
            _support_row("stated, assessable", _assessable(stated)),
            _support_row("own reports", reported),
            _support_row("own reports, assessable", _assessable(reported)),
        ],
        "limit_that_keeps_95_percent_of_true": _limit(_assessable(stated)),
        "seconds": {name: float(np.median(values)) for name, values in seconds.items()},
    }


def _assessable(items: Sequence[T]) -> list[T]:
    return [item for item in items if item.assessable]


def usual_places(places: Sequence[HottestPlace]) -> list[HottestPlace]:
    """Return what is reached without looking: the mean centre of the finding's boxes elsewhere."""
    centres = [np.mean(p.box, axis=0) for p in places]
    usual = []
    for place in places:
        others = [
            centre
            for centre, other in zip(centres, places, strict=True)
            if other.phantom != place.phantom and other.finding == place.finding
        ]
        mean: PointMm | None = None
        if others:
            x, y, z = (float(v) for v in np.mean(others, axis=0))
            mean = (x, y, z)
        usual.append(replace(place, method=USUAL_PLACE, place=mean))
    return usual


def _place_row(name: str, places: Sequence[HottestPlace]) -> dict[str, Any]:
    """Return how often the hottest place is in the finding's box; no place counts as a miss."""
    away = np.array([np.inf if p.place is None else distance_mm(p.place, p.box) for p in places])
    inside = (away <= 0).astype(np.float64)
    bootstrap = PatientBootstrap([p.phantom for p in places])
    return {
        "method": name,
        "statements": len(places),
        "inside": _mean(inside),
        "inside_95": bootstrap.interval(bootstrap.of_mean(inside)) if places else _UNDEFINED,
        "within_24_mm": _mean(away <= NEARBY_MM),
    }


_UNDEFINED = (float("nan"), float("nan"))


def _support_row(name: str, statements: Sequence[Statement]) -> dict[str, Any]:
    """Return whether wrong statements have less support, and how many of each are marked."""
    true, support = _arrays(statements)
    bootstrap = PatientBootstrap([s.phantom for s in statements])
    within = [
        auroc(*_arrays([s for s in statements if s.finding == finding]))
        for finding in dict.fromkeys(s.finding for s in statements)
    ]
    return {
        "sentences": name,
        "true": int(true.sum()),
        "wrong": int((true == 0).sum()),
        "auroc": auroc(true, support),
        "auroc_95": bootstrap.interval(bootstrap.of_auroc(true, support))
        if statements
        else _UNDEFINED,
        "auroc_within_findings": _mean(np.array([v for v in within if np.isfinite(v)])),
        # The panel marks sentences with a support of zero or less.
        "true_marked": _mean(support[true > 0] <= 0),
        "wrong_marked": _mean(support[true == 0] <= 0),
    }


def _arrays(statements: Sequence[Statement]) -> tuple[Array, Array]:
    """Return truth (0 or 1) and support, [statements] each."""
    return (
        np.array([s.true for s in statements], dtype=np.float64),
        np.array([s.support for s in statements], dtype=np.float64),
    )


def _limit(statements: Sequence[Statement]) -> dict[str, float]:
    """Return the support, in nats, that 95 % of true statements reach, and what it would mark."""
    true, support = _arrays(statements)
    if not 0 < true.sum() < len(true):
        return {}
    limit = float(np.quantile(support[true > 0], 1 - TRUE_KEPT))
    return {"nats": limit, "wrong_marked": _mean(support[true == 0] < limit)}


def _mean(values: NDArray[Any]) -> float:
    return float(values.mean()) if len(values) else float("nan")
