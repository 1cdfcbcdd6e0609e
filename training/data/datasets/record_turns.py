"""The questions about a scan of a data set: its report, its own questions, its labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from napari_ct_assistant.report_text.questions import (
    FINDING_QUESTION,
    SCAN_FINDINGS_THEN_IMPRESSION,
    SCAN_REPORT_QUESTION,
    is_finding_question,
)
from napari_ct_assistant.report_text.regions import REGIONS
from napari_ct_assistant.report_text.sections import split_sections
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.recipe import ConversationSettings
from napari_ct_assistant.training.data.datasets.record import WHOLE, Question, ScanRecord
from napari_ct_assistant.training.sequences.turns import Turn, choose_turns, report_turns

# The prompt of ViT3D-LLaMA3; a sample is one region of one scan.
REGION_QUESTION = (
    "please provide a detailed caption outlining the findings in {region} of this image."
)


def disease_questions(labels: Mapping[str, int]) -> list[Question]:
    """Ask for each labelled finding as E3D-GPT's disease diagnosis does."""
    return [
        Question(
            FINDING_QUESTION.format(finding=name.lower()),
            "Yes." if value else "No.",
            "yes_no",
            finding=name,
        )
        for name, value in labels.items()
    ]


def record_report_turns(reports: Mapping[str, str], settings: ConversationSettings) -> list[Turn]:
    """Ask for the whole report, or for each region that has one."""
    turns: list[Turn] = []
    for name, text in reports.items():
        if name == WHOLE:
            turns += report_turns(
                text,
                (text,),
                settings,
                report_question=_report_question(settings),
                findings_question=SCAN_FINDINGS_THEN_IMPRESSION["Findings"],
            )
        else:
            turns.append(Turn(REGION_QUESTION.format(region=name), text, kind="region"))
    return turns


def taught_report_questions(
    records: Iterable[ScanRecord], settings: ConversationSettings
) -> dict[str, str]:
    """Return {section: question} of the reports that training asks for; {} if it asks for none.

    Where some scans have a whole report and others one for each region, the whole report is the
    one that a draft asks for.
    """
    if not settings.report:
        return {}
    reports = [record.reports for record in records if record.reports]
    whole = [texts[WHOLE] for texts in reports if WHOLE in texts]
    if whole:
        sections = {"Findings", "Impression"}
        if settings.impressions and any(sections <= split_sections(t).keys() for t in whole):
            return dict(SCAN_FINDINGS_THEN_IMPRESSION)
        return {WHOLE: _report_question(settings)}
    named = {region for texts in reports for region in texts}
    ordered = [*(r for r in REGIONS if r in named), *sorted(named.difference(REGIONS))]
    return {region: REGION_QUESTION.format(region=region) for region in ordered}


def record_turns(
    record: ScanRecord, settings: ConversationSettings, rng: np.random.Generator
) -> list[Turn]:
    """Draw the turns of one training sample: all of them if packed, otherwise one at random.

    Raises
    ------
    RecipeError
        If the scan has neither a report nor a question that the recipe asks for.
    """
    turns = record_pairs(record, settings, rng)
    if not turns:
        raise RecipeError(
            f"{record.dataset} {record.name}: neither report nor question; set "
            "conversation.report, conversation.questions or data.questions"
        )
    return turns if settings.packed else [turns[int(rng.integers(len(turns)))]]


def record_pairs(
    record: ScanRecord, settings: ConversationSettings, rng: np.random.Generator
) -> list[Turn]:
    """Return every question about a scan with its answer, in a fixed order.

    With a number as `settings.questions`, the report and so many questions, drawn by
    `choose_turns`; with "all", the report and all questions.
    """
    turns = record_report_turns(record.reports, settings) if settings.report else []
    if not settings.questions:
        return turns
    questions = _questions(record)
    if settings.questions == "all":
        return turns + [Turn(q.as_asked, q.as_answered, kind=q.kind) for q in questions]
    flat = [
        Question(q.as_asked, q.as_answered, "free", finding=q.finding)
        if q.kind == "multiple_choice"
        else q
        for q in questions
    ]
    whole = settings.model_copy(update={"report": False, "packed": True})
    kinds = {q.as_asked: q.kind for q in questions}
    drawn = choose_turns("", flat, whole, rng)
    return turns + [replace(turn, kind=kinds[turn.question]) for turn in drawn]


def _questions(record: ScanRecord) -> list[Question]:
    """Return a scan's questions; those in the words of the diagnosis test only if asked for."""
    if not record.label_questions:
        return [q for q in record.questions if not is_finding_question(q.question)]
    # A data set's own yes/no question about a finding replaces the template's.
    asked = {q.finding for q in record.questions if q.kind == "yes_no" and q.finding}
    labels = {name: value for name, value in record.labels.items() if name not in asked}
    return [*record.questions, *disease_questions(labels)]


def _report_question(settings: ConversationSettings) -> str:
    return settings.report_question or SCAN_REPORT_QUESTION
