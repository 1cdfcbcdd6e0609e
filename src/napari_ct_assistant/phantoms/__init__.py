"""Procedural chest CT phantoms with known truth.

`make_phantom(seed)` draws a volume with its 18 labels, masks, report and questions;
`draw_truth(seed)` gives the texts and labels of the same phantom without voxels.
"""

from napari_ct_assistant.phantoms.declined_questions import questions_to_decline
from napari_ct_assistant.phantoms.grammar import write_excerpt, write_report
from napari_ct_assistant.phantoms.parse_report import ParsedReport, parse_report
from napari_ct_assistant.phantoms.phantom import Phantom, Truth, draw_truth, make_phantom
from napari_ct_assistant.phantoms.questions import (
    CHOICE_ANSWER,
    DECLINED,
    Question,
    make_questions,
)
from napari_ct_assistant.phantoms.truth import FindingTruth

__all__ = [
    "CHOICE_ANSWER",
    "DECLINED",
    "FindingTruth",
    "ParsedReport",
    "Phantom",
    "Question",
    "Truth",
    "draw_truth",
    "make_phantom",
    "make_questions",
    "parse_report",
    "questions_to_decline",
    "write_excerpt",
    "write_report",
]
