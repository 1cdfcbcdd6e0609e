"""One scan read by one model: encoded once, its prefix cache shared by all questions."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from napari_ct_assistant.assistant.evidence.attribution import (
    Attributor,
    fill_cache,
    next_token_probabilities,
)
from napari_ct_assistant.assistant.evidence.heat_map import Evidence, HeatMap
from napari_ct_assistant.assistant.evidence.impression import impression_evidence
from napari_ct_assistant.assistant.models.sizes import SCREEN_BATCH
from napari_ct_assistant.assistant.reading.generation import (
    CallbackStreamer,
    GenerationSettings,
    Said,
    eos_ids,
    stopping,
    token_spans,
)
from napari_ct_assistant.assistant.reading.results import (
    Answer,
    FindingProbability,
    ModelLoadError,
    ReportDraft,
    Sentence,
)
from napari_ct_assistant.assistant.reading.safety_notes import look_at, unjudged
from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.report_text.sections import split_sections
from napari_ct_assistant.report_text.sentences import sections_of, sentence_spans
from napari_ct_assistant.volume import CTVolume

if TYPE_CHECKING:
    from napari_ct_assistant.assistant.models.loading import Assistant

OnText = Callable[[str], None]


class Reading:
    """What one assistant makes of one scan.

    Made by `Assistant.read`. One question at a time: calls from several threads take turns.

    Attributes
    ----------
    volume : CTVolume
    grid : ModelGrid
        Where the model's input lies in the scan.
    warnings : tuple of str
        What the reader should know before trusting an answer.
    seconds : dict
        Time to prepare, encode and fill the cache.
    vision_tokens : Tensor [1, N, output_size]
        What the encoder made of the scan.
    image_tokens : Tensor [1, n, hidden_size]
        What the perceiver made of that, for the language model.
    """

    def __init__(
        self,
        assistant: Assistant,
        volume: CTVolume,
        *,
        progress: Callable[[str], None] | None = None,
    ):
        tell = progress or (lambda _: None)
        model = assistant.model
        assert model is not None  # noqa: S101  `Assistant.read` has checked
        self.assistant = assistant
        self.volume = volume
        self._busy = threading.Lock()
        start = time.perf_counter()
        tell("Preparing the scan")
        pixel_values, self.grid = assistant.processor.prepare_volume(volume)
        prepared = time.perf_counter()
        tell("Encoding the scan")
        with torch.no_grad():
            self.vision_tokens = model.vision_tower(pixel_values=pixel_values.to(model.device))
            image = model.get_image_features(vision_tokens=self.vision_tokens)
        encoded = time.perf_counter()
        tell("Reading the image tokens")
        self._prefix = assistant.processor.prefix_ids()
        self.use_image_tokens(image)
        self.seconds = {
            "prepare": prepared - start,
            "encode": encoded - prepared,
            "prefix": time.perf_counter() - encoded,
        }
        self.warnings = tuple(look_at(assistant, volume, self.grid, self.vision_tokens[0]))

    def use_image_tokens(self, image: Tensor) -> None:
        """Fill the cache that all questions share. image: [1, n, hidden_size]."""
        model = self._model()
        self.image_tokens = image
        self._cache = fill_cache(model, self._prefix, image)
        self._tracer = Attributor(self.assistant, self._prefix, self._cache, self.grid, self.volume)

    # ---- what a reader asks for

    def draft_report(
        self,
        *,
        on_text: OnText | None = None,
        cancel: threading.Event | None = None,
        evidence: bool = True,
        settings: GenerationSettings | None = None,
    ) -> ReportDraft:
        """Draft the report.

        Parameters
        ----------
        on_text
            Called with each new piece of text, in this thread.
        cancel
            Set it to stop after the current token; what was written stands in the draft.
        evidence
            Also find, for each sentence, where in the scan it comes from.
        settings
            How the words are chosen, where not as the assistant does.

        Returns
        -------
        ReportDraft
        """
        processor = self.assistant.processor
        start = time.perf_counter()
        sections: dict[str, str] = {}
        sentences: list[Sentence] = []
        heat: list[HeatMap | None] = []
        first, tokens, stopped, traced = 0.0, 0, False, 0.0
        several = len(processor.report_questions) > 1
        for name, asked in processor.report_questions.items():
            if several and on_text is not None:
                on_text(f"{name}: " if not sections else f"\n\n{name}: ")
            question = processor.report_question(name, sections)
            ids = processor.question_ids(question)
            said = self._generate(ids, on_text, cancel, settings, text_only=question != asked)
            first = first or said.seconds_first_token
            tokens += len(said.ids)
            stopped |= said.stopped
            parts = {name: said.text.strip()} if several else split_sections(said.text, "Report")
            sections |= parts
            began = time.perf_counter()
            if question != asked:
                made = impression_evidence(said.text, name, sentences, heat)
            else:
                made = self._sentences(ids, said, parts, evidence and not stopped)
            sentences += [sentence for sentence, _ in made]
            heat += [found for _, found in made]
            traced += time.perf_counter() - began
            if stopped:
                break
        total = time.perf_counter() - start
        return ReportDraft(
            sections=sections,
            sentences=tuple(sentences),
            model=self.assistant.info,
            seconds={
                **self.seconds,
                "first_token": first,
                "generate": total - traced,
                "evidence": traced,
                "total": total,
            },
            tokens=tokens,
            stopped=stopped,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            versions={
                name: version(name) for name in ("napari-ct-assistant", "torch", "transformers")
            },
            settings=vars(settings or self.assistant.settings).copy(),
            warnings=self.warnings,
            heat=tuple(heat),
        )

    def ask(
        self,
        question: str,
        *,
        on_text: OnText | None = None,
        cancel: threading.Event | None = None,
        evidence: bool = True,
        settings: GenerationSettings | None = None,
        history: Sequence[tuple[str, str]] = (),
        choices: Sequence[str] = (),
        region: str = "",
        text_only: bool = False,
    ) -> Answer:
        """Answer a question about the scan.

        Parameters
        ----------
        on_text, cancel, evidence, settings
            As for `draft_report`.
        history
            Earlier questions and answers, oldest first. Used where the model was made for
            follow-up questions (`processor.follow_up`), as many as its context window holds;
            `Answer.history_turns` says how many that were.
        choices
            Makes it a multiple-choice question.
        region
            A sentence about a region of the scan. Used where the model was made for it
            (`processor.region_form`).
        text_only
            The question quotes all that is needed: the model does not see the scan.
        """
        question = " ".join(question.split())
        if not question:
            raise ValueError("the question is empty")
        processor = self.assistant.processor
        asked = processor.choices_question(question, choices) if choices else question
        if region and processor.region_form:
            asked = processor.region_form.format(question=asked, region=region)
        start = time.perf_counter()
        ids, turns = self._dialogue(history, asked)
        said = self._generate(ids, on_text, cancel, settings, text_only=text_only)
        found = Evidence()
        if evidence and said.ids and not said.stopped and not text_only:
            with self._busy:
                found = self._tracer.trace(ids, said.ids, [(0, len(said.ids))])[0]
        return Answer(
            question=question,
            text=said.text.strip(),
            model=self.assistant.info,
            seconds_first_token=said.seconds_first_token,
            seconds_total=time.perf_counter() - start,
            tokens=len(said.ids),
            stopped=said.stopped,
            support=found.support,
            slice=found.slice,
            ras=found.ras,
            warnings=self.warnings + unjudged(self.assistant.info, question, said.text),
            heat=found.heat,
            history_turns=turns,
            region_used=bool(region and processor.region_form),
            choices=self._weigh(ids, choices) if choices and not said.stopped else (),
        )

    def screen(self, *, cancel: threading.Event | None = None) -> list[FindingProbability]:
        """Ask for each of the 18 CT-RATE findings, in CT-RATE's order.

        The probability is the model's own "Yes" against "No" as the first token of its
        answer, renormalised over the two. Cancelled, it returns what was asked so far.
        """
        model, processor = self._model(), self.assistant.processor
        yes, no = (processor.answer_ids(word)[0] for word in ("Yes", "No"))
        if yes == no:
            raise ModelLoadError(
                f"{self.assistant.info.name}: its tokenizer starts Yes and No with the same token"
            )
        rows = [
            processor.question_ids(processor.finding_question.format(finding=name.lower()))
            for name in FINDINGS
        ]
        thresholds: dict[str, float] = getattr(model.config, "finding_thresholds", None) or {}
        results: list[FindingProbability] = []
        with self._busy:
            for begin in range(0, len(rows), SCREEN_BATCH):
                if cancel is not None and cancel.is_set():
                    break
                batch = rows[begin : begin + SCREEN_BATCH]
                seen, blind = (
                    next_token_probabilities(model, cache, batch, [yes, no])[:, 0].tolist()
                    for cache in (self._cache, self._tracer.blind_cache())
                )
                for name, probability, baseline in zip(
                    FINDINGS[begin : begin + SCREEN_BATCH], seen, blind, strict=True
                ):
                    results.append(
                        FindingProbability(
                            name,
                            probability,
                            assessable=name not in self.assistant.info.unreliable_findings,
                            baseline=baseline,
                            threshold=float(thresholds.get(name, 0.5)),
                        )
                    )
        return results

    def evidence(self, question: str, said: str) -> Evidence:
        """Return what speaks for `said` as an answer to `question`, whoever says it."""
        processor = self.assistant.processor
        ids = processor.answer_ids(said)[:-1]
        with self._busy:
            return self._tracer.trace(processor.question_ids(question), ids, [(0, len(ids))])[0]

    def finding_evidence(self, name: str) -> Evidence:
        """Return what speaks for "Yes" as the answer to one of the screen's questions."""
        question = self.assistant.processor.finding_question.format(finding=name.lower())
        return self.evidence(question, "Yes")

    def support(self, statements: Sequence[tuple[str, str]]) -> list[float]:
        """Return how much the image supports statements, in nats.

        Parameters
        ----------
        statements
            Pairs of a question and what is said to it; one batch.
        """
        processor = self.assistant.processor
        with self._busy:
            return self._tracer.supports(
                [(processor.question_ids(q), processor.answer_ids(a)[:-1]) for q, a in statements]
            )

    # ---- how

    def _model(self) -> Any:
        if self.assistant.model is None:
            raise ModelLoadError(
                f"{self.assistant.info.name}: this model was closed; load it again"
            )
        return self.assistant.model

    def _generate(
        self,
        question: list[int],
        on_text: OnText | None,
        cancel: threading.Event | None,
        settings: GenerationSettings | None,
        *,
        text_only: bool = False,
    ) -> Said:
        model, processor = self._model(), self.assistant.processor
        settings = settings or self.assistant.settings
        prefix = processor.opening_ids() if text_only else self._prefix
        ids = torch.tensor([prefix + question], device=model.device)
        streamer = CallbackStreamer(processor.tokenizer, on_text)
        with self._busy:
            try:
                out = model.generate(
                    input_ids=ids,
                    attention_mask=torch.ones_like(ids),
                    past_key_values=None if text_only else self._cache,
                    streamer=streamer,
                    stopping_criteria=stopping(cancel),
                    pad_token_id=processor.tokenizer.pad_token_id,
                    eos_token_id=eos_ids(model, processor),
                    **settings.to_generate(processor.max_new_tokens),
                )
            finally:
                beyond = self._cache.get_seq_length() - len(self._prefix)
                if beyond > 0:
                    self._cache.crop(-beyond)
        answer = out[0, ids.shape[1] :].tolist()
        ended = bool(answer) and answer[-1] in eos_ids(model, processor)
        return Said(
            text=streamer.text,
            ids=answer[:-1] if ended else answer,
            seconds_first_token=streamer.seconds_first_token or 0.0,
            stopped=not ended and cancel is not None and cancel.is_set(),
        )

    def _dialogue(self, history: Sequence[tuple[str, str]], question: str) -> tuple[list[int], int]:
        """Return the ids of a question behind the turns that fit, and how many those are."""
        processor = self.assistant.processor
        turns = list(history) if processor.follow_up else []
        window = getattr(self._model().config.text_config, "max_position_embeddings", None)
        room = (window or 1 << 20) - len(self._prefix) - processor.max_new_tokens
        while True:
            ids = processor.dialogue_ids(turns, question)
            if not turns or len(ids) <= room:
                return ids, len(turns)
            turns.pop(0)

    def _weigh(self, question: list[int], choices: Sequence[str]) -> tuple[tuple[str, float], ...]:
        """Return each choice with the chance that the answer begins as one that chooses it."""
        processor = self.assistant.processor
        begins = [processor.answer_ids(t)[:-1] for t in processor.choice_beginnings(choices)]
        if len({tuple(ids) for ids in begins}) < len(begins):
            return ()
        with self._busy:
            chances = self._tracer.chances(question, begins)
        return tuple(zip(choices, chances, strict=True))

    def _sentences(
        self, question: list[int], said: Said, sections: dict[str, str], evidence: bool
    ) -> list[tuple[Sentence, HeatMap | None]]:
        spans = sentence_spans(said.text)
        texts = [" ".join(said.text[a:b].split()) for a, b in spans]
        found = [Evidence()] * len(spans)
        if evidence and spans:
            where = token_spans(self.assistant.processor.tokenizer, said.ids, spans)
            with self._busy:
                found = self._tracer.trace(question, said.ids, where)
        return [
            (Sentence(t, section=s, support=e.support, slice=e.slice, ras=e.ras), e.heat)
            for t, s, e in zip(texts, sections_of(texts, sections), found, strict=True)
        ]
