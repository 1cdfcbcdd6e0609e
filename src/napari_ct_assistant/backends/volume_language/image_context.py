"""One scan in the prefix cache, behind the protocol of an image context."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

from torch import Tensor, zeros_like

from napari_ct_assistant.backends.heat_map import Evidence
from napari_ct_assistant.backends.protocol import (
    GeneratedText,
    OnText,
    PreparedScan,
    Prompt,
    ScreenQuestion,
    Statement,
)
from napari_ct_assistant.backends.settings import GenerationSettings
from napari_ct_assistant.backends.streaming import token_spans
from napari_ct_assistant.backends.volume_language.attribution import Attributor
from napari_ct_assistant.backends.volume_language.generation import generate
from napari_ct_assistant.backends.volume_language.loaded_model import LoadedModel
from napari_ct_assistant.backends.volume_language.prefix_cache import PrefixCache
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.report_text.questions import fill
from napari_ct_assistant.report_text.sections import split_sections
from napari_ct_assistant.report_text.sentences import sentence_spans


class VolumeLanguageContext:
    """An `ImageContext` of this family.

    Parameters
    ----------
    loaded : LoadedModel
    scan : PreparedScan
    vision_tokens : Tensor [1, N, output_size]
        The encoder's output for the scan.
    image_tokens : Tensor [1, n, hidden_size]
        The perceiver's output for the scan.
    notes : tuple of str
        What the reader should know about the scan as the encoder sees it.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        scan: PreparedScan,
        vision_tokens: Tensor,
        image_tokens: Tensor,
        notes: tuple[str, ...] = (),
    ):
        self.loaded = loaded
        self.scan = scan
        self.vision_tokens = vision_tokens
        self.image_tokens = image_tokens
        self.notes = notes
        self.seconds: dict[str, float] = {}
        self.prefix_cache = PrefixCache(loaded, image_tokens)
        self.attributor = Attributor(self.prefix_cache, scan.grid, scan.volume)

    # ---- questions

    def report_sections(self) -> Sequence[str]:
        """Return the names of the questions whose answers make the report, in order."""
        return list(self.loaded.processor.report_forms)

    def report_question(self, section: str, written: Mapping[str, str]) -> tuple[str, bool]:
        """Return a report's question, and whether it quotes the findings written so far."""
        processor = self.loaded.processor
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
        loaded = self.loaded
        thresholds: dict[str, float] = (
            getattr(loaded.model.config, "finding_thresholds", None) or {}
        )
        ask = loaded.processor.ask_finding
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
        processor = self.loaded.processor
        text = processor.choices_question(question, choices) if choices else question
        if region and processor.region_form:
            text = fill(processor.region_form, question=text, region=region)
        turns = list(history) if processor.follow_up else []
        window = getattr(self.loaded.model.config.text_config, "max_position_embeddings", None)
        room = (window or 1 << 20) - len(self.prefix_cache.prefix) - processor.max_new_tokens
        while True:
            ids = processor.dialogue_ids(turns, text)
            if not turns or len(ids) <= room:
                break
            turns.pop(0)
        used = bool(region and processor.region_form)
        return Prompt(ids, len(turns), used, text_only)

    def answer_ids(self, answer: str) -> list[int]:
        """Return the token ids of an answer, without EOS."""
        return self.loaded.processor.answer_ids(answer)[:-1]

    # ---- answers

    def generate(
        self,
        prompt: Prompt,
        *,
        on_text: OnText | None = None,
        on_reasoning: OnText | None = None,  # noqa: ARG002  the family writes no reasoning
        cancel: threading.Event | None = None,
        settings: GenerationSettings | None = None,
    ) -> GeneratedText:
        """Generate the answer to a question."""
        return generate(
            self.prefix_cache,
            prompt.ids,
            on_text=on_text,
            cancel=cancel,
            settings=settings,
            text_only=prompt.text_only,
        )

    def yes_probabilities(self, questions: Sequence[str], *, blind: bool = False) -> list[float]:
        """Return the probability of "Yes" as first token, against "No", for each question.

        Raises
        ------
        ModelLoadError
            If the model's tokenizer cannot tell the two answers apart by their first token.
        """
        processor, cache = self.loaded.processor, self.prefix_cache
        yes, no = (processor.answer_ids(word)[0] for word in ("Yes", "No"))
        if yes == no:
            raise ModelLoadError(
                f"{self.loaded.info.name}: its tokenizer starts Yes and No with the same token; "
                "this model cannot be screened"
            )
        rows = [processor.question_ids(question) for question in questions]
        keys = cache.blind_cache() if blind else cache.cache
        found: list[float] = cache.next_token_probabilities(rows, [yes, no], keys)[:, 0].tolist()
        return found

    def choice_probabilities(self, prompt: Prompt, choices: Sequence[str]) -> list[float]:
        """Return the probability that the answer begins by choosing each; [] if alike."""
        processor = self.loaded.processor
        begins = [self.answer_ids(text) for text in processor.choice_beginnings(choices)]
        if len({tuple(ids) for ids in begins}) < len(begins):
            return []
        return self.prefix_cache.answer_probabilities(prompt.ids, begins)

    # ---- evidence

    def supports(self, statements: Sequence[Statement]) -> list[float]:
        """Return how much the image supports each statement, in nats."""
        return self.attributor.supports([(prompt.ids, answer) for prompt, answer in statements])

    def attribute(
        self,
        prompt: Prompt,
        answer: Sequence[int],
        spans: Sequence[tuple[int, int]] | None = None,
    ) -> list[Evidence]:
        """Return the evidence for parts of an answer; spans: characters, the whole if absent."""
        ids = list(answer)
        if spans is None:
            return self.attributor.attribute(prompt.ids, ids, [(0, len(ids))])
        where = token_spans(self.loaded.processor.tokenizer, ids, spans)
        return self.attributor.attribute(prompt.ids, ids, where)

    def without_image(self) -> VolumeLanguageContext:
        """Return the context in which every image token is zero."""
        return VolumeLanguageContext(
            self.loaded, self.scan, self.vision_tokens, zeros_like(self.image_tokens), self.notes
        )
