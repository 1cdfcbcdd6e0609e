"""Which questions training asks, so that the saved processor keeps these and no others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from napari_ct_assistant.model.processor import VolumeLanguageProcessor
from napari_ct_assistant.report_text.questions import (
    CHOICES_QUESTION,
    FINDING_QUESTION,
    is_choices_question,
    is_finding_question,
)
from napari_ct_assistant.training.sequences.conversation_dataset import ConversationSource
from napari_ct_assistant.training.sequences.turns import Turn

# Scans whose turns are looked at where they are drawn anew for each sample.
DRAWN = 200


@dataclass(frozen=True)
class TaughtQuestions:
    """The questions of a training run.

    Attributes
    ----------
    report_questions : dict of section to question
        Those of the report, in order; empty if it is not asked for.
    finding, choices, others : bool
        Whether it asks for findings (`FINDING_QUESTION`), for a choice, and in other words.
    """

    report_questions: dict[str, str]
    finding: bool
    choices: bool
    others: bool

    def keep_in(self, processor: VolumeLanguageProcessor) -> None:
        """Make a processor ask these questions and no others.

        Each sample is a question by itself, about the whole scan: a processor that took follow-up
        questions or marked regions no longer does.
        """
        processor.report_questions = dict(self.report_questions)
        processor.finding_question = FINDING_QUESTION if self.finding else ""
        processor.choices_form = CHOICES_QUESTION if self.choices else ""
        processor.open_questions = self.others
        processor.follow_up = None
        processor.region_form = None


def taught_questions(
    source: ConversationSource, report_questions: Mapping[str, str]
) -> TaughtQuestions:
    """Return which questions a source asks.

    Parameters
    ----------
    source : ConversationSource
    report_questions : mapping of section to question
        The questions that the source may ask for the report.
    """
    sections = {question: section for section, question in report_questions.items()}
    quoting = [section for section, question in report_questions.items() if "{" in question]
    found: set[str] = set()
    finding = choices = others = False
    for turn in _turns(source):
        if turn.text_only:
            found.update(quoting)
        elif turn.question in sections:
            found.add(sections[turn.question])
        elif is_finding_question(turn.question):
            finding = True
        elif is_choices_question(turn.question):
            choices = True
        else:
            others = True
    asked = {name: question for name, question in report_questions.items() if name in found}
    return TaughtQuestions(asked, finding, choices, others)


def _turns(source: ConversationSource) -> Iterator[Turn]:
    """Yield every pair of a source, or what some scans' samples may be."""
    for index in range(len(source)):
        pairs = source.pairs(index)
        if pairs is not None:
            yield from pairs
        elif index < DRAWN:
            yield from source.turns(index, np.random.default_rng(index), 1.0)
        else:
            return
