"""Agreement of sets of findings: what reports say is there, against what is there."""

from __future__ import annotations

from collections.abc import Sequence

from napari_ct_assistant.training.evaluation.metrics.baselines import by_frequency

FindingSet = frozenset[str]


def micro_f1(truth: Sequence[FindingSet], reported: Sequence[FindingSet]) -> float:
    """Return F1 over all (scan, finding) pairs; NaN if no scan has or is said to have any."""
    common = sum(len(t & r) for t, r in zip(truth, reported, strict=True))
    total = sum(len(t) + len(r) for t, r in zip(truth, reported, strict=True))
    return 2 * common / total if total else float("nan")


def best_constant_f1(truth: Sequence[FindingSet]) -> float:
    """Return the highest F1 of one report for every scan: the k commonest findings, any k."""
    names = by_frequency(sorted(name for present in truth for name in present))
    constants = [frozenset(names[: k + 1]) for k in range(len(names))]
    return max((micro_f1(truth, [c] * len(truth)) for c in constants), default=float("nan"))
