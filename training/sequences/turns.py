"""Which questions about a scan make one training sample, and in what proportion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

import numpy as np

from napari_ct_assistant.report_text.questions import (
    FINDINGS_QUESTION,
    IMPRESSION_QUESTION,
    REPORT_QUESTION,
)
from napari_ct_assistant.report_text.sections import split_sections
from napari_ct_assistant.report_text.sentences import split_sentences
from napari_ct_assistant.report_text.yes_no import yes_or_no
from napari_ct_assistant.training.config.recipe import ConversationSettings


@dataclass(frozen=True)
class Turn:
    """One question with its answer.

    A `text_only` turn needs no image: the question holds all that the answer is based on.
    `kind` is that of the question ("yes_no", "free" ...), or "report", "findings", "impression".
    """

    question: str
    answer: str
    text_only: bool = False
    kind: str = field(default="report", compare=False)


def report_turns(
    report: str,
    others: Sequence[str],
    settings: ConversationSettings,
    rng: np.random.Generator | None = None,
    *,
    report_question: str = REPORT_QUESTION,
    findings_question: str = FINDINGS_QUESTION,
) -> list[Turn]:
    """Ask for a scan's report in one turn, or for its findings and for impressions.

    Parameters
    ----------
    report : str
        The scan's own report. One without both sections is asked for in one turn.
    others : sequence of str
        Reports whose impression is asked for, given their findings and no image.
    settings : ConversationSettings
        With `impressions` above 0, the report is asked for in two steps.
    rng : numpy Generator, optional
        If given, the findings are put in random order in a share `settings.shuffled` of the
        impression turns.
    report_question, findings_question : str
        The questions about the scan; by default those of the phantoms.
    """
    own = split_sections(report)
    if not settings.impressions or not {"Findings", "Impression"} <= own.keys():
        return [Turn(report_question, report)]
    turns = [Turn(findings_question, own["Findings"], kind="findings")]
    for sections in map(split_sections, others):
        findings = sections["Findings"]
        if rng is not None and settings.shuffled and rng.random() < settings.shuffled:
            findings = _shuffle_sentences(findings, rng)
        question = IMPRESSION_QUESTION.replace("{findings}", findings)
        turns.append(Turn(question, sections["Impression"], text_only=True, kind="impression"))
    return turns


def choose_turns(
    report: str,
    questions: Sequence[Any],
    settings: ConversationSettings,
    rng: np.random.Generator,
    others: Sequence[str] = (),
) -> list[Turn]:
    """Draw a report (see `report_turns`) and some questions of one scan.

    A share `settings.yes_no` of the questions are yes/no questions. Of these, a share
    `settings.positives` (or as many as there are) asks for a finding that is present, so that
    "no" is not the safe answer. The other kinds of question alternate in what is left. Without
    `settings.yes_no`, all questions are drawn alike.
    """
    turns = report_turns(report, others or (report,), settings, rng) if settings.report else []
    wanted = len(questions) if settings.questions == "all" else settings.questions
    if settings.yes_no is None:
        picked = _draw(list(questions), wanted, rng)
    else:
        picked = _draw_balanced(questions, wanted, settings.yes_no, settings.positives, rng)
    turns += [Turn(q.question, q.answer, kind=q.kind) for q in picked]
    return turns if settings.packed else [turns[int(rng.integers(len(turns)))]]


def _draw_balanced(
    questions: Sequence[Any], wanted: int, share: float, positives: float, rng: np.random.Generator
) -> list[Any]:
    pairs = [(q, yes_or_no(q.answer)) for q in questions if q.kind == "yes_no"]
    yes, no = ([q for q, said in pairs if bool(said) == side] for side in (True, False))
    yes_no = round(wanted * share)
    n_yes = min(len(yes), round(yes_no * positives))
    picked = _draw(yes, n_yes, rng) + _draw(no, yes_no - n_yes, rng)
    others = [q for q in questions if q.kind != "yes_no"]
    return picked + _draw_alternating(others, wanted - len(picked), rng)


def _shuffle_sentences(text: str, rng: np.random.Generator) -> str:
    sentences = split_sentences(text)
    return " ".join(sentences[i] for i in rng.permutation(len(sentences)))


def _draw(items: list[Any], count: int, rng: np.random.Generator) -> list[Any]:
    return [items[i] for i in rng.permutation(len(items))[:count]]


def _draw_alternating(items: list[Any], count: int, rng: np.random.Generator) -> list[Any]:
    """Draw one question of each kind, in random order, then a second of each, and so on."""
    kinds: dict[str, list[Any]] = {}
    for item in _draw(items, len(items), rng):
        kinds.setdefault(item.kind, []).append(item)
    rounds = zip_longest(*kinds.values())
    return [q for one in rounds for q in one if q is not None][:count]
