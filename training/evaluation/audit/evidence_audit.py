"""Is the evidence right? Heat and support against what is known about phantoms of unseen seeds.

Each of the 18 findings is stated as an answer ("Yes, there is a small left pleural effusion."),
with the attributes that the phantom has or would have: true where the finding is there, wrong
where it is not. Beside them stand the sentences of the model's own reports.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.assistant import Assistant, Reading
from napari_ct_assistant.phantoms import Phantom, make_phantom, parse_report
from napari_ct_assistant.phantoms.questions import phrase
from napari_ct_assistant.phantoms.truth import BoxMm, draw_attributes
from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.training.evaluation.audit.evidence_methods import METHODS
from napari_ct_assistant.training.evaluation.metrics import classification as metrics

Point = tuple[float, float, float]
AROUND_MM = 24.0  # a patch of the demonstration model
TRUE_KEPT = 0.95


@dataclass(frozen=True)
class Claim:
    """A statement about one finding, by us or in the model's own report."""

    phantom: int
    finding: str
    true: bool
    judged: bool
    support: float
    own: bool = False


@dataclass(frozen=True)
class Placed:
    """A true statement's hottest place by one method, and the finding's box."""

    method: str
    finding: str
    judged: bool
    place: Point | None
    box: BoxMm


def audit_evidence(
    assistant: Assistant,
    *,
    first_seed: int = 0,
    count: int = 40,
    methods: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Measure evidence on `count` phantoms from `first_seed` on.

    Parameters
    ----------
    methods
        Other ways to make a heat map to measure beside our own, of `METHODS`.

    Returns
    -------
    dict
        See `figures`.
    """
    claims: list[Claim] = []
    placed: list[Placed] = []
    seconds: dict[str, list[float]] = defaultdict(list)
    for number, seed in enumerate(range(first_seed, first_seed + count)):
        phantom = make_phantom(seed)
        reading = assistant.read(phantom.volume)
        _state(reading, phantom, claims, placed, seconds, methods)
        _report(reading, phantom, claims, placed, seconds)
        if progress is not None:
            progress(number + 1, count)
    return figures(claims, placed, seconds, first_seed, count)


def _state(
    reading: Reading,
    phantom: Phantom,
    claims: list[Claim],
    placed: list[Placed],
    seconds: dict[str, list[float]],
    methods: Sequence[str],
) -> None:
    """Our own statements: one for each finding."""
    unreliable_findings = reading.assistant.info.unreliable_findings
    there = {t.name: t for t in phantom.findings}
    attributes = draw_attributes(phantom.seed) | there
    ask = reading.assistant.processor.finding_question
    statements = [
        (ask.format(finding=name.lower()), f"Yes, there is {phrase(attributes[name])}.")
        for name in FINDINGS
    ]
    began = perf_counter()
    supports = reading.support(statements)
    seconds["support of 18 statements"].append(perf_counter() - began)
    for name, support in zip(FINDINGS, supports, strict=True):
        claims.append(
            Claim(phantom.seed, name, name in there, name not in unreliable_findings, support)
        )
    for name, (question, said) in zip(FINDINGS, statements, strict=True):
        box = there[name].box_ras_mm if name in there else None
        if box is None:
            continue
        judged = name not in unreliable_findings
        began = perf_counter()
        found = reading.evidence(question, said)
        seconds["heat of a statement, keys and values"].append(perf_counter() - began)
        placed.append(Placed("keys and values", name, judged, found.ras, box))
        for method in methods:
            began = perf_counter()
            heat = METHODS[method](reading, question, said)
            seconds[f"heat of a statement, {method}"].append(perf_counter() - began)
            place = None if heat is None else heat.hottest
            placed.append(Placed(method, name, judged, place, box))


def _report(
    reading: Reading,
    phantom: Phantom,
    claims: list[Claim],
    placed: list[Placed],
    seconds: dict[str, list[float]],
) -> None:
    """The sentences of the model's own report that name one finding as present."""
    unreliable_findings = reading.assistant.info.unreliable_findings
    boxes = {t.name: t.box_ras_mm for t in phantom.findings}
    draft = reading.draft_report()
    seconds["report, text"].append(draft.seconds["generate"])
    seconds["report, evidence"].append(draft.seconds["evidence"])
    for sentence in draft.sentences:
        named = parse_report(f"Findings: {sentence.text} Impression: ").present
        if len(named) != 1 or sentence.support is None:
            continue
        name = next(iter(named))
        judged = name not in unreliable_findings
        claims.append(Claim(phantom.seed, name, name in boxes, judged, sentence.support, own=True))
        box = boxes.get(name)
        if box is not None:
            placed.append(Placed("own report", name, judged, sentence.ras, box))


# ---- figures


def figures(
    claims: Sequence[Claim],
    placed: Sequence[Placed],
    seconds: dict[str, list[float]],
    first_seed: int,
    count: int,
) -> dict[str, Any]:
    """Turn observations into tables; "judged" leaves out what the model cannot recognise."""
    ours = [c for c in claims if not c.own]
    own = [c for c in claims if c.own]
    rows = []
    for method in dict.fromkeys(p.method for p in placed):
        some = [p for p in placed if p.method == method]
        rows += [_place_row(method, some), _place_row(f"{method}, judged", _judged(some))]
    stated = [p for p in placed if p.method == "keys and values"]
    usual = _usual_places(stated)
    rows += [_place_row("finding's usual place", usual)]
    rows += [_place_row("finding's usual place, judged", _judged(usual))]
    support = [
        _support_row("stated", ours),
        _support_row("stated, judged", _judged(ours)),
        _support_row("own reports", own),
        _support_row("own reports, judged", _judged(own)),
    ]
    return {
        "seeds": [first_seed, first_seed + count],
        "place": rows,
        "support": support,
        "limit_that_keeps_95_percent_of_true": _limit(_judged(ours)),
        "seconds": {name: float(np.median(v)) for name, v in seconds.items()},
    }


def _judged(items: Sequence[Any]) -> list[Any]:
    return [item for item in items if item.judged]


def distance_mm(place: Point, box: BoxMm) -> float:
    """Return how far a place lies outside a box along the axis where it is farthest; 0 inside."""
    return max(0.0, *(max(a - x, x - b) for a, x, b in zip(box[0], place, box[1], strict=True)))


def _place_row(name: str, items: Sequence[Placed]) -> dict[str, Any]:
    """How often the hottest place lies in the finding's box; no place counts as a miss."""
    away = np.array([np.inf if p.place is None else distance_mm(p.place, p.box) for p in items])

    def inside(drawn: NDArray[np.int64]) -> float:
        return float((away[drawn] <= 0).mean())

    return {
        "method": name,
        "statements": len(items),
        "inside": float((away <= 0).mean()) if len(items) else float("nan"),
        "inside_95": metrics.interval(inside, len(items)) if len(items) else (0.0, 1.0),
        "within_24_mm": float((away <= AROUND_MM).mean()) if len(items) else float("nan"),
    }


def _usual_places(items: Sequence[Placed]) -> list[Placed]:
    """What is reached without looking: the middle of the same finding's boxes elsewhere."""
    middles = [np.mean(p.box, axis=0) for p in items]
    found = []
    for number, p in enumerate(items):
        others = [
            m
            for i, (m, q) in enumerate(zip(middles, items, strict=True))
            if i != number and q.finding == p.finding
        ]
        place: Point | None = None
        if others:
            x, y, z = (float(v) for v in np.mean(others, axis=0))
            place = (x, y, z)
        found.append(Placed("usual", p.finding, p.judged, place, p.box))
    return found


def _support_row(name: str, claims: Sequence[Claim]) -> dict[str, Any]:
    """Do wrong sentences score lower, and how many of each kind are marked?"""
    true = np.array([c.true for c in claims], dtype=float)
    support = np.array([c.support for c in claims])
    within = [
        metrics.auroc(
            np.array([c.true for c in claims if c.finding == f], dtype=float),
            np.array([c.support for c in claims if c.finding == f]),
        )
        for f in dict.fromkeys(c.finding for c in claims)
    ]
    finite = [v for v in within if np.isfinite(v)]
    area = partial(metrics.auroc_of, true, support)
    return {
        "sentences": name,
        "true": int(true.sum()),
        "wrong": int((true == 0).sum()),
        "auroc": metrics.auroc(true, support) if len(claims) else float("nan"),
        "auroc_95": metrics.interval(area, len(claims)) if len(claims) else (0.0, 1.0),
        "auroc_within_findings": float(np.mean(finite)) if finite else float("nan"),
        "true_marked": _share_marked(support[true > 0]),
        "wrong_marked": _share_marked(support[true == 0]),
    }


def _share_marked(support: NDArray[np.float64]) -> float:
    return float((support <= 0).mean()) if len(support) else float("nan")


def _limit(claims: Sequence[Claim]) -> dict[str, float]:
    """The support, in nats, that 95 % of true statements reach, and whom it would mark."""
    true = np.array([c.support for c in claims if c.true])
    wrong = np.array([c.support for c in claims if not c.true])
    if not len(true) or not len(wrong):
        return {}
    limit = float(np.quantile(true, 1 - TRUE_KEPT))
    return {"nats": limit, "wrong_marked": float((wrong < limit).mean())}
