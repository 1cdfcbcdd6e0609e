"""What a model says about one phantom.

Everything observed is the assistant's own output: the screen is the language model's yes
against no, the report is drafted and parsed, and questions are asked one by one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_ct_assistant.assistant import Assistant, Reading
from napari_ct_assistant.assistant.reading.results import FindingProbability, Sentence
from napari_ct_assistant.model.errors import ModelLoadError
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
from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.training.evaluation.audit.sentences import (
    NEARBY_MM,
    distance_mm,
    findings_named_present,
)

ASKED_KINDS = ("where", "how_large", "multiple_choice")
ATTRIBUTES = ("side", "lobe", "size")


@dataclass(frozen=True)
class AskedQuestion:
    """A question with its true answer and the model's.

    Parameters
    ----------
    kind
        One of `ASKED_KINDS`.
    topic
        What the question is about; the commonest answer is counted for each topic.
    truth, text
        The true answer and the model's.
    seconds : float
        Time that the model took.
    """

    kind: str
    topic: str
    truth: str
    text: str
    seconds: float


@dataclass(frozen=True)
class PhantomObservation:
    """All that was observed of one phantom.

    Parameters
    ----------
    seed
    present
        The findings that are there.
    screen
        The model's probability for each of the 18 findings.
    patch_scores : [18]
        Highest patch probability of the encoder's own concept head; NaN without such a head.
    report
        What the drafted report says.
    attributes
        {side, lobe or size: [(true, reported)]} of the findings that the report names.
    questions
    declined
        Whether each question that cannot be answered from a chest CT was declined.
    pair_right
        Whether this report and that of the same patient with one finding more or less are both
        right about that finding.
    pair_differs
        Whether the two reports name different findings.
    evidence_inside
        For each true sentence whether its hottest place is in the finding's box, or at most
        24 mm outside.
    seconds_encode, seconds_report
        Time to encode the scan (NaN where a server reads slices) and to draft the report.
    """

    seed: int
    present: frozenset[str]
    screen: tuple[FindingProbability, ...]
    patch_scores: tuple[float, ...]
    report: ParsedReport
    attributes: dict[str, list[tuple[str, str]]]
    questions: tuple[AskedQuestion, ...]
    declined: tuple[bool, ...]
    pair_right: bool
    pair_differs: bool
    evidence_inside: tuple[bool, ...]
    seconds_encode: float
    seconds_report: float


def observe(assistant: Assistant, seed: int) -> PhantomObservation:
    """Screen, report and question the phantom of a seed."""
    phantom = make_phantom(seed)
    reading = assistant.read(phantom.volume)
    screen = _ct_rate_rows(reading)
    draft = reading.draft_report()
    report = parse_report(draft.text)
    rng = np.random.default_rng([seed, 7])
    questions = _ask(reading, draw_truth(seed).questions, rng)
    declined = _ask_to_decline(reading, rng)
    pair_right, pair_differs = _compare_with_twin(assistant, seed, report)
    return PhantomObservation(
        seed=seed,
        present=frozenset(finding.name for finding in phantom.findings),
        screen=screen,
        patch_scores=_patch_scores(assistant, reading),
        report=report,
        attributes=_attributes(phantom.findings, report),
        questions=questions,
        declined=declined,
        pair_right=pair_right,
        pair_differs=pair_differs,
        evidence_inside=_evidence_inside(draft.sentences, phantom.findings),
        seconds_encode=reading.seconds.get("encode", math.nan),
        seconds_report=draft.seconds["generate"],
    )


def _ct_rate_rows(reading: Reading) -> tuple[FindingProbability, ...]:
    """Return the screen's rows for CT-RATE's findings, in CT-RATE's order."""
    rows = {row.name: row for row in reading.screen()}
    missing = [name for name in FINDINGS if name not in rows]
    if missing:
        raise ModelLoadError(
            f"{reading.info.name}: its screen has no {missing[0]!r}; only models with CT-RATE's 18 "
            "findings can be audited on phantoms"
        )
    if any(row.probability is None for row in rows.values()):
        raise ModelLoadError(
            f"{reading.info.name}: its screen gives ranks; only models that give probabilities can "
            "be audited on phantoms"
        )
    return tuple(rows[name] for name in FINDINGS)


def _patch_scores(assistant: Assistant, reading: Reading) -> tuple[float, ...]:
    model = assistant.model
    if not getattr(getattr(model, "config", None), "num_concepts", 0):
        return (float("nan"),) * len(FINDINGS)
    first = model.vision_tower.config.hidden_size  # then the concepts, findings first
    tokens = reading.vision_tokens[0, :, first : first + len(FINDINGS)]
    return tuple(float(v) for v in tokens.float().amax(0))


def _attributes(
    findings: Sequence[FindingTruth], report: ParsedReport
) -> dict[str, list[tuple[str, str]]]:
    """Pair the true side, lobe and size of each finding that the report names with its own."""
    pairs: dict[str, list[tuple[str, str]]] = {name: [] for name in ATTRIBUTES}
    for finding in findings:
        if finding.name not in report.present:
            continue
        for attribute, true, reported in (
            ("side", finding.side, report.side),
            ("lobe", finding.lobe, report.lobe),
            ("size", finding.severity, report.size),
        ):
            if true is not None:
                pairs[attribute].append((true, reported.get(finding.name, "")))
    return pairs


def _evidence_inside(
    sentences: Sequence[Sentence], findings: Sequence[FindingTruth]
) -> tuple[bool, ...]:
    boxes = {t.name: t.box_ras_mm for t in findings if t.box_ras_mm is not None}
    inside = []
    for sentence in sentences:
        named = findings_named_present(sentence.text) & boxes.keys()
        if len(named) == 1 and sentence.ras is not None:
            inside.append(distance_mm(sentence.ras, boxes[next(iter(named))]) <= NEARBY_MM)
    return tuple(inside)


def _ask(
    reading: Reading, questions: Sequence[Question], rng: np.random.Generator
) -> tuple[AskedQuestion, ...]:
    """Ask one question of each kind that this phantom offers."""
    asked = []
    for kind in ASKED_KINDS:
        of_kind = [q for q in questions if q.kind == kind]
        if of_kind:
            question = of_kind[int(rng.integers(len(of_kind)))]
            answer = reading.ask(question.question, evidence=False)
            asked.append(
                AskedQuestion(
                    kind, topic_of(question), question.answer, answer.text, answer.seconds_total
                )
            )
    return tuple(asked)


def topic_of(question: Question) -> str:
    """Return what a question is about: the finding; the text for a choice among findings."""
    if question.kind == "multiple_choice":
        return question.question.split(" Choices:")[0]
    return question.finding or ""


def _ask_to_decline(reading: Reading, rng: np.random.Generator) -> tuple[bool, ...]:
    """Ask two questions that training did not use and that no chest CT answers."""
    bank = questions_to_decline("test")
    return tuple(
        reading.ask(bank[int(i)], evidence=False).text == DECLINED
        for i in rng.permutation(len(bank))[:2]
    )


def _compare_with_twin(assistant: Assistant, seed: int, report: ParsedReport) -> tuple[bool, bool]:
    """Draft the report of the same patient with one finding more or less."""
    present = [t.name for t in draw_truth(seed).findings]
    name = FINDINGS[seed % len(FINDINGS)]
    changed = [n for n in present if n != name] if name in present else [*present, name]
    twin = assistant.read(make_phantom(seed, findings=changed).volume)
    other = parse_report(twin.draft_report(evidence=False).text)
    right = (name in report.present) == (name in present)
    right &= (name in other.present) == (name in changed)
    return right, report.present != other.present
