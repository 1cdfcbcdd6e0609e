"""Procedural chest CT phantoms with known truth.

`make_phantom(seed)` draws a volume with its 18 labels, masks, report and questions;
`draw_truth(seed)` gives the texts and labels of the same phantom without voxels.
"""

from .grammar import write_excerpt, write_report
from .parse_report import ParsedReport, parse_report
from .phantom import Phantom, Truth, draw_truth, make_phantom
from .questions import (
    CHOICE_ANSWER,
    DECLINED,
    Question,
    make_questions,
    questions_to_decline,
)
from .truth import FindingTruth

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
