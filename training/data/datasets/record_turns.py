"""The questions about a scan of a data set: its report, its own questions, its labels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from napari_ct_assistant.report_text.questions import FINDING_QUESTION
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
            turns += report_turns(text, (text,), settings)
        else:
            turns.append(Turn(REGION_QUESTION.format(region=name), text))
    return turns


def record_turns(
    record: ScanRecord, settings: ConversationSettings, rng: np.random.Generator
) -> list[Turn]:
    """Draw the turns of one training sample: all of them if packed, otherwise one at random.

    Raises
    ------
    RecipeError
        If the scan has neither a report nor a question that the recipe asks for.
    """
    turns = record_report_turns(record.reports, settings) if settings.report else []
    # A data set's own yes/no question about a finding replaces the template's.
    asked = {q.finding for q in record.questions if q.kind == "yes_no" and q.finding}
    labels = {name: value for name, value in record.labels.items() if name not in asked}
    flat = [
        Question(q.as_asked, q.as_answered, "free", finding=q.finding)
        if q.kind == "multiple_choice"
        else q
        for q in (*record.questions, *disease_questions(labels))
    ]
    if settings.questions and flat:
        whole = settings.model_copy(update={"report": False, "packed": True})
        turns += choose_turns("", flat, whole, rng)
    if not turns:
        raise RecipeError(
            f"{record.dataset} {record.name}: neither report nor question; set "
            "conversation.report, conversation.questions or data.questions"
        )
    return turns if settings.packed else [turns[int(rng.integers(len(turns)))]]
