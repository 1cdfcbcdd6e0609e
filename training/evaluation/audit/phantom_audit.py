"""Does the model look? Figures on phantoms of unseen seeds, beside what needs no looking.

Everything is the bundled assistant's own output: the screen is the language model's yes
against no, reports are drafted and parsed, questions are asked one by one.
"""

from __future__ import annotations

import copy
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, fields
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_ct_assistant.assistant import Assistant, Reading, load_assistant
from napari_ct_assistant.phantoms import (
    DECLINED,
    FindingTruth,
    ParsedReport,
    Question,
    draw_truth,
    make_phantom,
    parse_report,
    questions_to_decline,
)
from napari_ct_assistant.phantoms.truth import GRADES, NODULE_SIZES, SIZES
from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.training import distributed as processes
from napari_ct_assistant.training.evaluation.metrics import classification as metrics

SIZE_ORDER = (NODULE_SIZES, SIZES, GRADES)
ASKED = ("where", "how_large", "multiple_choice")
# Truths (none is rendered) of phantoms that neither training nor audits use.
USUAL_SEEDS = range(700_000, 700_500)


@dataclass
class Observations:
    """What was seen while auditing, phantom by phantom."""

    truth: list[list[int]] = field(default_factory=list)
    probability: list[list[float]] = field(default_factory=list)
    patch: list[list[float]] = field(default_factory=list)
    blind: list[float] = field(default_factory=list)
    thresholds: list[float] = field(default_factory=list)
    said: list[ParsedReport] = field(default_factory=list)
    present: list[frozenset[str]] = field(default_factory=list)
    places: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    answers: dict[str, list[tuple[str, str, str]]] = field(default_factory=dict)
    declined: list[bool] = field(default_factory=list)
    refused: list[bool] = field(default_factory=list)
    pairs: list[tuple[bool, bool]] = field(default_factory=list)
    evidence: list[bool] = field(default_factory=list)
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def add(self, other: Observations) -> None:
        """Take in what was seen of another phantom; two lists are the same for all."""
        for name in fields(self):
            mine, theirs = getattr(self, name.name), getattr(other, name.name)
            if name.name in ("blind", "thresholds"):
                setattr(self, name.name, theirs)
            elif isinstance(mine, list):
                mine += theirs
            else:
                for key, items in theirs.items():
                    mine.setdefault(key, []).extend(items)


def audit(
    assistant: Assistant,
    *,
    first_seed: int = 0,
    count: int = 100,
    progress: Callable[[int, int], None] | None = None,
    workers: int = 1,
) -> dict[str, Any]:
    """Audit a model on `count` phantoms from `first_seed` on.

    Training uses seeds from 1,000,000 on; smaller ones were never seen. With several workers,
    each process loads the model's folder anew, on CPU.

    Returns
    -------
    dict
        The figures, see `figures`.
    """
    seeds = range(first_seed, first_seed + count)
    seen = Observations()
    if workers < 2:
        observed = (_observe(assistant, seed) for seed in seeds)
        _gather(observed, seen, count, progress)
    else:
        with ProcessPoolExecutor(
            workers,
            mp_context=get_context("spawn"),
            initializer=_start_worker,
            initargs=(assistant.info.files[0].parent,),
        ) as pool:
            _gather(pool.map(_observe_in_worker, seeds), seen, count, progress)
    return figures(seen, first_seed, count)


def _gather(
    observed: Iterable[Observations],
    seen: Observations,
    count: int,
    progress: Callable[[int, int], None] | None,
) -> None:
    for number, one in enumerate(observed, start=1):
        seen.add(one)
        if progress is not None:
            progress(number, count)


_worker: dict[str, Assistant] = {}


def _start_worker(folder: Path) -> None:
    processes.use_threads(1)
    _worker["assistant"] = load_assistant(folder, device="cpu")


def _observe_in_worker(seed: int) -> Observations:
    return _observe(_worker["assistant"], seed)


def _observe(assistant: Assistant, seed: int) -> Observations:
    seen = Observations()
    phantom = make_phantom(seed)
    reading = assistant.read(phantom.volume)
    truth = draw_truth(seed)
    seen.truth.append([phantom.labels[name] for name in FINDINGS])
    rows = reading.screen()
    seen.probability.append([row.probability for row in rows])
    seen.thresholds = [row.threshold for row in rows]
    seen.patch.append(_patch_scores(assistant, reading))
    draft = reading.draft_report()
    seen.seconds.setdefault("encode", []).append(reading.seconds["encode"])
    seen.seconds.setdefault("report", []).append(draft.seconds["generate"])
    parsed = parse_report(draft.text)
    seen.said.append(parsed)
    seen.present.append(frozenset(t.name for t in phantom.findings))
    for finding in phantom.findings:
        _compare(finding, parsed, seen)
    _evidence(draft.sentences, phantom, seen)
    _ask(reading, seed, truth.questions, seen)
    _pair(assistant, seed, parsed, seen)
    seen.blind = [row.probability for row in _blind(reading).screen()]
    return seen


def _patch_scores(assistant: Assistant, reading: Reading) -> list[float]:
    """Highest patch probability of each finding: what the encoder's own head sees."""
    model = assistant.model
    if model is None or model.vision_tower.concepts is None:
        return [float("nan")] * len(FINDINGS)
    first = model.vision_tower.config.hidden_size  # then the concepts, findings first
    tokens = reading.vision_tokens[0, :, first : first + len(FINDINGS)]
    return [float(v) for v in tokens.float().amax(0)]


def _blind(reading: Reading) -> Reading:
    """Return the same reading with the image taken away: every image token is zero."""
    blind = copy.copy(reading)
    blind.use_image_tokens(torch.zeros_like(reading.image_tokens))
    return blind


def _compare(finding: FindingTruth, parsed: ParsedReport, seen: Observations) -> None:
    """Side, lobe and size of a finding that the report names."""
    if finding.name not in parsed.present:
        return
    for what, true, said in (
        ("side", finding.side, parsed.side.get(finding.name)),
        ("lobe", finding.lobe, parsed.lobe.get(finding.name)),
        ("size", finding.severity, parsed.size.get(finding.name)),
    ):
        if true is not None:
            seen.places.setdefault(what, []).append((true, said or ""))


def _evidence(sentences: Any, phantom: Any, seen: Observations) -> None:
    """Does the hottest place of a true sentence lie in the finding's box (one token around)?"""
    boxes = {t.name: t.box_ras_mm for t in phantom.findings if t.box_ras_mm is not None}
    for sentence in sentences:
        named = parse_report(f"Findings: {sentence.text} Impression: ").present & boxes.keys()
        if len(named) == 1 and sentence.ras is not None:
            low, high = boxes[next(iter(named))]
            seen.evidence.append(
                all(a - 24 <= x <= b + 24 for a, x, b in zip(low, sentence.ras, high, strict=True))
            )


def _ask(reading: Reading, seed: int, questions: Any, seen: Observations) -> None:
    """One question of each kind that this phantom offers, and one to decline."""
    rng = np.random.default_rng([seed, 7])
    for kind in ASKED:
        some = [q for q in questions if q.kind == kind]
        if some:
            question = some[int(rng.integers(len(some)))]
            answer = reading.ask(question.question, evidence=False)
            said = (_about(question), question.answer, answer.text)
            seen.answers.setdefault(kind, []).append(said)
            seen.refused.append(answer.text == DECLINED)
            seen.seconds.setdefault("answer", []).append(answer.seconds_total)
    bank = questions_to_decline("test")
    for i in rng.permutation(len(bank))[:2]:
        answer = reading.ask(bank[int(i)], evidence=False)
        seen.declined.append(answer.text == DECLINED)


def _pair(assistant: Assistant, seed: int, parsed: ParsedReport, seen: Observations) -> None:
    """The same patient with one finding more or less: does the report follow?"""
    present = [t.name for t in draw_truth(seed).findings]
    name = FINDINGS[seed % len(FINDINGS)]
    other = [n for n in present if n != name] if name in present else [*present, name]
    twin = make_phantom(seed, findings=other)
    said = parse_report(assistant.read(twin.volume).draft_report(evidence=False).text)
    right = (name in parsed.present) == (name in present) and (name in said.present) == (
        name in other
    )
    seen.pairs.append((right, parsed.present != said.present))


def figures(seen: Observations, first_seed: int, count: int) -> dict[str, Any]:
    """Turn observations into the audit's table."""
    truth = np.array(seen.truth, dtype=float)
    probability = np.array(seen.probability)
    patch = np.array(seen.patch)
    rows = metrics.screen_table(truth, probability, FINDINGS, seen.thresholds)
    for f, row in enumerate(rows):
        scores = patch[:, f]
        row["patch_auroc"] = (
            metrics.auroc(truth[:, f], scores) if np.isfinite(scores).all() else float("nan")
        )
    shuffled = np.roll(truth, 1, axis=0)
    shuffled_rows = [metrics.auroc(shuffled[:, f], probability[:, f]) for f in range(len(FINDINGS))]
    said = [p.present for p in seen.said]
    pairs = np.array(seen.pairs, dtype=float)
    usual = _usual_answers()
    questions = {kind: _accuracy(items, usual[kind]) for kind, items in seen.answers.items()}
    return {
        "seeds": [first_seed, first_seed + count],
        "screen": rows,
        "mean_auroc": metrics.mean_over(rows, "auroc"),
        "mean_bacc": metrics.mean_over(rows, "bacc"),
        "mean_patch_auroc": metrics.mean_over(rows, "patch_auroc"),
        "mean_auroc_shuffled": float(np.nanmean(shuffled_rows)),
        "mean_auroc_blind": 0.5,  # the same probabilities for every scan
        "blind_probabilities": [round(p, 4) for p in seen.blind],
        "report_f1": metrics.micro_f1(seen.present, said),
        "report_f1_constant": metrics.best_constant_f1(seen.present),
        "report_f1_shuffled": metrics.micro_f1(seen.present, said[1:] + said[:1]),
        "identical_sets": metrics.identical_share(said),
        "identical_sets_truth": metrics.identical_share(seen.present),
        "contradictions": float(np.mean([bool(p.contradictions) for p in seen.said])),
        "places": {
            what: {
                "right": float(np.mean([t == s for t, s in items])),
                "within_one_class": float(np.mean([_near(t, s) for t, s in items])),
                "majority": metrics.majority([t for t, _ in items]),
                "count": len(items),
            }
            for what, items in seen.places.items()
        },
        "pairs_right": float(pairs[:, 0].mean()),
        "pairs_differ": float(pairs[:, 1].mean()),
        "questions": questions,
        "declined_untaught": float(np.mean(seen.declined)),
        "declined_taught": float(np.mean(seen.refused)),
        "evidence_inside": float(np.mean(seen.evidence)) if seen.evidence else float("nan"),
        "seconds": {k: float(np.median(v)) for k, v in seen.seconds.items()},
        "torch_threads": torch.get_num_threads(),
    }


def _near(true: str, said: str) -> bool:
    """Is a size class right or next to right?"""
    for order in SIZE_ORDER:
        if true in order and said in order:
            return abs(order.index(true) - order.index(said)) <= 1
    return true == said


def _about(question: Question) -> str:
    """What the commonest answer is counted over.

    Not the finding of a choice among findings, which is the answer.
    """
    if question.kind == "multiple_choice":
        return question.question.split(" Choices:")[0]
    return question.finding or ""


@cache
def _usual_answers() -> dict[str, dict[str, str]]:
    """The commonest answer to each question, by kind, among the phantoms of `USUAL_SEEDS`."""
    counts: dict[str, dict[str, Counter[str]]] = {kind: defaultdict(Counter) for kind in ASKED}
    for seed in USUAL_SEEDS:
        for question in draw_truth(seed).questions:
            if question.kind in counts:
                counts[question.kind][_about(question)][question.answer] += 1
    return {
        kind: {about: found.most_common(1)[0][0] for about, found in by_topic.items()}
        for kind, by_topic in counts.items()
    }


def _accuracy(items: list[tuple[str, str, str]], usual: dict[str, str]) -> dict[str, float]:
    """Exact answers, beside two that need no looking.

    `majority` is the commonest answer to the same question among these very phantoms, which with
    few of them guesses too well; `usual` that of others, which could be given beforehand.
    """
    by_topic: dict[str, list[str]] = defaultdict(list)
    for about, true, _ in items:
        by_topic[about].append(true)
    commonest = sum(max(v.count(x) for x in set(v)) for v in by_topic.values())
    return {
        "right": float(np.mean([_same(t, s) for _, t, s in items])),
        "majority": commonest / len(items),
        "usual": float(np.mean([_same(t, usual.get(about, "")) for about, t, _ in items])),
        "count": len(items),
    }


def _same(true: str, said: str) -> bool:
    return " ".join(true.lower().split()) == " ".join(said.lower().split())
