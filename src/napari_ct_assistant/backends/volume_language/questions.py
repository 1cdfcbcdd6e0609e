"""How this family asks: its report, its screen, and a question as token ids.

It needs the processor and the configuration alone: the language model may be elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from napari_ct_assistant.backends.protocol import Prompt, ScreenQuestion
from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.report_text.questions import fill
from napari_ct_assistant.report_text.sections import split_sections
from napari_ct_assistant.report_text.sentences import sentence_spans


class QuestionForms:
    """The questions of an `ImageContext` of this family.

    Parameters
    ----------
    processor : VolumeLanguageProcessor
    config : VolumeLanguageConfig
    window : int or None
        Tokens that prompt and answer can have; None without a limit.
    """

    def __init__(self, processor: Any, config: Any, window: int | None):
        self.processor = processor
        self.config = config
        self.window = window

    def report_sections(self) -> Sequence[str]:
        """Return the names of the questions whose answers make the report, in order."""
        return list(self.processor.report_forms)

    def report_question(self, section: str, written: Mapping[str, str]) -> tuple[str, bool]:
        """Return a report's question, and whether it quotes the findings written so far."""
        processor = self.processor
        question = processor.report_question(section, written)
        return question, question != processor.report_forms[section]

    def split_report(self, text: str) -> dict[str, str]:
        """Return the sections of a generated report by its headings."""
        return split_sections(text, "Report")

    def sentence_spans(self, text: str) -> list[tuple[int, int]]:
        """Return the character spans of a text's sentences, without headings."""
        return sentence_spans(text)

    def screen_questions(self) -> Sequence[ScreenQuestion]:
        """Return the questions for the 18 CT-RATE findings, in CT-RATE's order."""
        thresholds: dict[str, float] = getattr(self.config, "finding_thresholds", None) or {}
        ask = self.processor.ask_finding
        return [
            ScreenQuestion(name, ask(name), float(thresholds.get(name, 0.5))) for name in FINDINGS
        ]

    def prompt(
        self,
        question: str,
        *,
        history: Sequence[tuple[str, str]] = (),
        choices: Sequence[str] = (),
        region: str = "",
        text_only: bool = False,
        thinking: bool | None = None,  # noqa: ARG002  the family writes no reasoning
    ) -> Prompt:
        """Render a question.

        Parameters
        ----------
        history
            Used if the model takes follow-up questions (`processor.follow_up`), as many turns
            as its context window holds.
        choices
            Makes it a multiple-choice question.
        region
            Used if the model was trained with regions (`processor.region_form`).
        text_only
            The question quotes all that is needed.
        thinking
            Has no effect.
        """
        processor = self.processor
        text = processor.choices_question(question, choices) if choices else question
        if region and processor.region_form:
            text = fill(processor.region_form, question=text, region=region)
        turns = list(history) if processor.follow_up else []
        room = (self.window or 1 << 20) - len(processor.prefix_ids()) - processor.max_new_tokens
        while True:
            ids = processor.dialogue_ids(turns, text)
            if not turns or len(ids) <= room:
                break
            turns.pop(0)
        used = bool(region and processor.region_form)
        return Prompt(ids, len(turns), used, text_only)

    def answer_ids(self, answer: str) -> list[int]:
        """Return the token ids of an answer, without EOS."""
        return self.processor.answer_ids(answer)[:-1]
