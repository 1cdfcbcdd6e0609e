"""One scan read by one model: encoded once, its image context shared by all questions."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version

import torch
from torch import Tensor

from napari_ct_assistant.assistant.evidence.attribution import Attributor
from napari_ct_assistant.assistant.evidence.heat_map import Evidence, HeatMap
from napari_ct_assistant.assistant.evidence.impression import impression_evidence
from napari_ct_assistant.assistant.models.loaded_model import LoadedModel
from napari_ct_assistant.assistant.reading.generation import (
    GeneratedText,
    OnText,
    generate,
    token_spans,
)
from napari_ct_assistant.assistant.reading.image_context import ImageContext
from napari_ct_assistant.assistant.reading.results import (
    Answer,
    FindingProbability,
    ReportDraft,
    Sentence,
)
from napari_ct_assistant.assistant.reading.safety_notes import finding_notes, scan_notes
from napari_ct_assistant.assistant.reading.screening import screen_findings
from napari_ct_assistant.assistant.reading.settings import GenerationSettings
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.report_text.questions import fill
from napari_ct_assistant.report_text.refusals import is_refusal
from napari_ct_assistant.report_text.sections import split_sections
from napari_ct_assistant.report_text.sentences import sections_of, sentence_spans
from napari_ct_assistant.volume import CTVolume


class Reading:
    """One scan read by one model. Made by `Assistant.read`.

    Calls from several threads take turns.

    Attributes
    ----------
    info : ModelInfo
    volume : CTVolume
    grid : ModelGrid
        Where the model's input lies in the scan.
    warnings : tuple of str
        What the reader should know before trusting an answer.
    seconds : dict
        Time to prepare, encode and fill the image context.
    vision_tokens : Tensor [1, N, output_size]
        The encoder's output for the scan.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        volume: CTVolume,
        *,
        progress: Callable[[str], None] | None = None,
    ):
        tell = progress or (lambda _: None)
        model, processor = loaded.model, loaded.processor
        self.info = loaded.info
        self.volume = volume
        self._busy = threading.Lock()
        start = time.perf_counter()
        tell("Preparing the scan")
        pixel_values, self.grid = processor.prepare_volume(volume)
        prepared = time.perf_counter()
        tell("Encoding the scan")
        with torch.no_grad():
            self.vision_tokens = model.vision_tower(pixel_values=pixel_values.to(model.device))
            image = model.get_image_features(vision_tokens=self.vision_tokens)
        encoded = time.perf_counter()
        tell("Reading the image tokens")
        self._attributor: Attributor | None = Attributor(
            ImageContext(loaded, image), self.grid, volume
        )
        self.seconds = {
            "prepare": prepared - start,
            "encode": encoded - prepared,
            "prefix": time.perf_counter() - encoded,
        }
        self.warnings = tuple(scan_notes(loaded, volume, self.grid, self.vision_tokens[0]))

    @property
    def attributor(self) -> Attributor:
        """What finds evidence in the scan; `ModelLoadError` once the model was closed."""
        if self._attributor is None:
            raise ModelLoadError(f"{self.info.name}: this model was closed; load it again")
        return self._attributor

    @property
    def context(self) -> ImageContext:
        """The image context that all questions share."""
        return self.attributor.context

    @property
    def loaded(self) -> LoadedModel:
        """The model that reads the scan."""
        return self.context.loaded

    @property
    def image_tokens(self) -> Tensor:
        """The perceiver's output for the language model, [1, n, hidden_size]."""
        return self.context.image_tokens

    def use_image_tokens(self, image: Tensor) -> None:
        """Read other image tokens from now on, such as zeros. image: [1, n, hidden_size]."""
        self._attributor = Attributor(ImageContext(self.loaded, image), self.grid, self.volume)

    def close(self) -> None:
        """Let go of the model and of the image context; the next question is an error."""
        self._attributor = None

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
            Set it to stop after the current token; the draft keeps what was written.
        evidence
            Also find, for each sentence, where in the scan it comes from.
        settings
            How tokens are chosen; the loaded model's settings when absent.

        Returns
        -------
        ReportDraft
        """
        processor = self.loaded.processor
        start = time.perf_counter()
        sections: dict[str, str] = {}
        sentences: list[Sentence] = []
        heat: list[HeatMap | None] = []
        first, tokens, evidence_seconds = 0.0, 0, 0.0
        stopped = cut = False
        several = len(processor.report_questions) > 1
        for name, template in processor.report_questions.items():
            if several and on_text is not None:
                on_text(f"{name}: " if not sections else f"\n\n{name}: ")
            question = processor.report_question(name, sections)
            # The question of an impression quotes the findings written so far.
            quotes_findings = question != template
            ids = processor.question_ids(question)
            generated = self._generate(ids, on_text, cancel, settings, text_only=quotes_findings)
            first = first or generated.seconds_first_token
            tokens += len(generated.ids)
            stopped, cut = generated.stopped, generated.cut
            text = generated.text
            parts = {name: text.strip()} if several else split_sections(text, "Report")
            sections |= parts
            began = time.perf_counter()
            if quotes_findings:
                made = impression_evidence(text, name, sentences, heat)
            else:
                made = self._sentences(ids, generated, parts, evidence and not stopped)
            sentences += [sentence for sentence, _ in made]
            heat += [found for _, found in made]
            evidence_seconds += time.perf_counter() - began
            # No impression is drawn from findings that are not whole.
            if stopped or cut:
                break
        total = time.perf_counter() - start
        return ReportDraft(
            sections=sections,
            sentences=tuple(sentences),
            model=self.info,
            seconds={
                **self.seconds,
                "first_token": first,
                "generate": total - evidence_seconds,
                "evidence": evidence_seconds,
                "total": total,
            },
            tokens=tokens,
            stopped=stopped,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            versions={
                name: version(name) for name in ("napari-ct-assistant", "torch", "transformers")
            },
            settings=vars(settings or self.loaded.settings).copy(),
            warnings=self.warnings,
            heat=tuple(heat),
            cut=cut,
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
            Earlier questions and answers, oldest first. Used if the model takes follow-up
            questions (`processor.follow_up`), as many as its context window holds;
            `Answer.history_turns` says how many that were.
        choices
            Makes it a multiple-choice question.
        region
            A sentence about a region of the scan. Used if the model was trained with such
            sentences (`processor.region_form`).
        text_only
            The question quotes all that is needed: the model does not see the scan.

        Raises
        ------
        ValueError
            If the question is empty.
        """
        question = " ".join(question.split())
        if not question:
            raise ValueError("the question is empty")
        processor = self.loaded.processor
        prompt = processor.choices_question(question, choices) if choices else question
        if region and processor.region_form:
            prompt = fill(processor.region_form, question=prompt, region=region)
        start = time.perf_counter()
        ids, turns = self._dialogue(history, prompt)
        generated = self._generate(ids, on_text, cancel, settings, text_only=text_only)
        found = Evidence()
        # A refusal is about no place in the scan, so it has no link and no heat map.
        located = evidence and not text_only and not is_refusal(generated.text)
        if located and generated.ids and not generated.stopped:
            with self._busy:
                spans = [(0, len(generated.ids))]
                found = self.attributor.attribute(ids, generated.ids, spans)[0]
        return Answer(
            question=question,
            text=generated.text.strip(),
            model=self.info,
            seconds_first_token=generated.seconds_first_token,
            seconds_total=time.perf_counter() - start,
            tokens=len(generated.ids),
            stopped=generated.stopped,
            support=found.support,
            slice=found.slice,
            ras=found.ras,
            warnings=self.warnings + finding_notes(self.info, question, generated.text),
            heat=found.heat,
            history_turns=turns,
            region_used=bool(region and processor.region_form),
            choices=self._choices(ids, choices) if choices and not generated.stopped else (),
            cut=generated.cut,
        )

    def screen(self, *, cancel: threading.Event | None = None) -> list[FindingProbability]:
        """Ask for each of the 18 CT-RATE findings, in CT-RATE's order.

        See `screen_findings`. Cancelled, it returns the findings asked for so far.
        """
        context = self.context
        with self._busy:
            return screen_findings(context, cancel)

    def evidence(self, question: str, answer: str) -> Evidence:
        """Return the evidence in the scan for an answer to a question, whoever gave it."""
        processor = self.loaded.processor
        ids = processor.answer_ids(answer)[:-1]
        with self._busy:
            return self.attributor.attribute(
                processor.question_ids(question), ids, [(0, len(ids))]
            )[0]

    def finding_evidence(self, name: str) -> Evidence:
        """Return the evidence for "Yes" as the answer to the screen's question for a finding."""
        question = fill(self.loaded.processor.finding_question, finding=name.lower())
        return self.evidence(question, "Yes")

    def support(self, statements: Sequence[tuple[str, str]]) -> list[float]:
        """Return how much the image supports statements, in nats.

        Parameters
        ----------
        statements
            Pairs of a question and an answer; one batch.
        """
        processor = self.loaded.processor
        with self._busy:
            return self.attributor.supports(
                [(processor.question_ids(q), processor.answer_ids(a)[:-1]) for q, a in statements]
            )

    # ---- how

    def _generate(
        self,
        question: list[int],
        on_text: OnText | None,
        cancel: threading.Event | None,
        settings: GenerationSettings | None,
        *,
        text_only: bool,
    ) -> GeneratedText:
        context = self.context
        with self._busy:
            return generate(
                context,
                question,
                on_text=on_text,
                cancel=cancel,
                settings=settings,
                text_only=text_only,
            )

    def _dialogue(self, history: Sequence[tuple[str, str]], question: str) -> tuple[list[int], int]:
        """Return the ids of a question after the turns that fit, and how many turns those are."""
        processor = self.loaded.processor
        turns = list(history) if processor.follow_up else []
        window = getattr(self.loaded.model.config.text_config, "max_position_embeddings", None)
        room = (window or 1 << 20) - len(self.context.prefix) - processor.max_new_tokens
        while True:
            ids = processor.dialogue_ids(turns, question)
            if not turns or len(ids) <= room:
                return ids, len(turns)
            turns.pop(0)

    def _choices(
        self, question: list[int], choices: Sequence[str]
    ) -> tuple[tuple[str, float], ...]:
        """Return each choice with the probability that the answer begins by choosing it."""
        processor = self.loaded.processor
        begins = [processor.answer_ids(t)[:-1] for t in processor.choice_beginnings(choices)]
        if len({tuple(ids) for ids in begins}) < len(begins):
            return ()
        with self._busy:
            probabilities = self.context.answer_probabilities(question, begins)
        return tuple(zip(choices, probabilities, strict=True))

    def _sentences(
        self,
        question: list[int],
        generated: GeneratedText,
        sections: dict[str, str],
        evidence: bool,
    ) -> list[tuple[Sentence, HeatMap | None]]:
        spans = sentence_spans(generated.text)
        texts = [" ".join(generated.text[a:b].split()) for a, b in spans]
        found = [Evidence()] * len(spans)
        if evidence and spans:
            where = token_spans(self.loaded.processor.tokenizer, generated.ids, spans)
            with self._busy:
                found = self.attributor.attribute(question, generated.ids, where)
        return [
            (Sentence(t, section=s, support=e.support, slice=e.slice, ras=e.ras), e.heat)
            for t, s, e in zip(texts, sections_of(texts, sections), found, strict=True)
        ]
