"""One scan read by one model: encoded once, its prefix cache shared by all questions."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import DynamicCache

from napari_ct_assistant.assistant.evidence import Evidence, trace
from napari_ct_assistant.assistant.generation import CallbackStreamer, stopping
from napari_ct_assistant.assistant.results import (
    Answer,
    FindingProbability,
    ModelLoadError,
    ReportDraft,
    Sentence,
)
from napari_ct_assistant.assistant.sentences import split_sections, split_sentences
from napari_ct_assistant.findings import FINDINGS
from napari_ct_assistant.volume import CTVolume, ModelGrid

if TYPE_CHECKING:
    from napari_ct_assistant.assistant.loading import Assistant

OnText = Callable[[str], None]
SCREEN_BATCH = 6  # questions at a time: a compromise between speed and cache copies


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
        self.warnings = tuple(_look_at(assistant, volume, self.grid, self.vision_tokens[0]))

    def use_image_tokens(self, image: Tensor) -> None:
        """Fill the cache that all questions share. image: [1, n, hidden_size]."""
        model = self._model()
        self.image_tokens = image
        self._cache = DynamicCache(config=model.config.text_config)
        with torch.no_grad():
            prefix = torch.tensor([self._prefix], device=model.device)
            model(
                inputs_embeds=model.embed(prefix, image),
                past_key_values=self._cache,
                use_cache=True,
                logits_to_keep=1,
            )

    # ---- what a reader asks for

    def draft_report(
        self,
        *,
        on_text: OnText | None = None,
        cancel: threading.Event | None = None,
        evidence: bool = True,
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

        Returns
        -------
        ReportDraft
        """
        processor = self.assistant.processor
        start = time.perf_counter()
        sections: dict[str, str] = {}
        sentences: list[Sentence] = []
        first, tokens, stopped, traced = 0.0, 0, False, 0.0
        several = len(processor.report_questions) > 1
        for name, question in processor.report_questions.items():
            if several and on_text is not None:
                on_text(f"{name}: " if not sections else f"\n\n{name}: ")
            said = self._generate(question, on_text, cancel)
            first = first or said.seconds_first_token
            tokens += len(said.ids)
            stopped |= said.stopped
            parts = {name: said.text.strip()} if several else split_sections(said.text, "Report")
            sections |= parts
            began = time.perf_counter()
            sentences += self._sentences(question, said, parts, evidence and not stopped)
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
            settings=vars(self.assistant.settings).copy(),
            warnings=self.warnings,
        )

    def ask(
        self,
        question: str,
        *,
        on_text: OnText | None = None,
        cancel: threading.Event | None = None,
        evidence: bool = True,
    ) -> Answer:
        """Answer a question about the scan; parameters as for `draft_report`."""
        question = " ".join(question.split())
        if not question:
            raise ValueError("the question is empty")
        start = time.perf_counter()
        said = self._generate(question, on_text, cancel)
        found: Evidence | None = None
        if evidence and said.ids and not said.stopped:
            found = self._trace(question, said.ids, [(0, len(said.ids))])[0]
        return Answer(
            question=question,
            text=said.text.strip(),
            model=self.assistant.info,
            seconds_first_token=said.seconds_first_token,
            seconds_total=time.perf_counter() - start,
            tokens=len(said.ids),
            stopped=said.stopped,
            support=found.support if found else None,
            slice=found.slice if found else None,
            ras=found.ras if found else None,
            warnings=self.warnings + self._unjudged(question),
        )

    def screen(self, *, cancel: threading.Event | None = None) -> list[FindingProbability]:
        """Ask for each of the 18 CT-RATE findings, in CT-RATE's order.

        The probability is the model's own "Yes" against "No" as the first token of its
        answer, renormalised over the two. Cancelled, it returns what was asked so far.
        """
        model, processor = self._model(), self.assistant.processor
        tokenizer = processor.tokenizer
        yes, no = (processor.answer_ids(word)[0] for word in ("Yes", "No"))
        if yes == no:
            raise ModelLoadError(
                f"{self.assistant.info.name}: its tokenizer starts Yes and No with the same token"
            )
        rows = [
            processor.question_ids(processor.finding_question.format(finding=name.lower()))
            for name in FINDINGS
        ]
        results: list[FindingProbability] = []
        with self._busy, torch.no_grad():
            for begin in range(0, len(rows), SCREEN_BATCH):
                if cancel is not None and cancel.is_set():
                    break
                batch = rows[begin : begin + SCREEN_BATCH]
                length = max(map(len, batch))
                pad = tokenizer.pad_token_id or 0
                # Padded on the right: each answer starts at its row's own end.
                ids = torch.tensor([row + [pad] * (length - len(row)) for row in batch])
                cache = copy.deepcopy(self._cache)
                cache.batch_repeat_interleave(len(batch))
                logits = model(
                    input_ids=ids.to(model.device), past_key_values=cache, use_cache=True
                ).logits
                for i, row in enumerate(batch):
                    pair = logits[i, len(row) - 1, [yes, no]].float()
                    name = FINDINGS[begin + i]
                    results.append(
                        FindingProbability(
                            name,
                            float(pair.softmax(0)[0]),
                            judged=name not in self.assistant.info.untaught,
                        )
                    )
        return results

    # ---- how

    def _unjudged(self, question: str) -> tuple[str, ...]:
        """Say which of the findings in a question the model was measured not to recognise."""
        return tuple(
            f"This model was measured not to recognise {name.lower()}: what it says about it is "
            f"no statement about the scan."
            for name in self.assistant.info.untaught
            if name.lower() in question.lower()
        )

    def _model(self) -> Any:
        if self.assistant.model is None:
            raise ModelLoadError(
                f"{self.assistant.info.name}: this model was closed; load it again"
            )
        return self.assistant.model

    def _generate(
        self, question: str, on_text: OnText | None, cancel: threading.Event | None
    ) -> _Said:
        model, processor = self._model(), self.assistant.processor
        ids = torch.tensor([self._prefix + processor.question_ids(question)], device=model.device)
        streamer = CallbackStreamer(processor.tokenizer, on_text)
        with self._busy:
            try:
                out = model.generate(
                    input_ids=ids,
                    attention_mask=torch.ones_like(ids),
                    past_key_values=self._cache,
                    streamer=streamer,
                    stopping_criteria=stopping(cancel),
                    pad_token_id=processor.tokenizer.pad_token_id,
                    eos_token_id=_eos_ids(model, processor),
                    **self.assistant.settings.to_generate(processor.max_new_tokens),
                )
            finally:
                beyond = self._cache.get_seq_length() - len(self._prefix)
                if beyond > 0:
                    self._cache.crop(-beyond)
        answer = out[0, ids.shape[1] :].tolist()
        ended = bool(answer) and answer[-1] in _eos_ids(model, processor)
        return _Said(
            text=streamer.text,
            ids=answer[:-1] if ended else answer,
            seconds_first_token=streamer.seconds_first_token or 0.0,
            stopped=not ended and cancel is not None and cancel.is_set(),
        )

    def _sentences(
        self, question: str, said: _Said, sections: dict[str, str], evidence: bool
    ) -> list[Sentence]:
        spans = split_sentences(said.text)
        texts = [" ".join(said.text[a:b].split()) for a, b in spans]
        owners = _owners(texts, sections)
        if not evidence or not spans:
            return [Sentence(t, section=s) for t, s in zip(texts, owners, strict=True)]
        token_spans = _token_spans(self.assistant.processor.tokenizer, said.ids, spans)
        found = self._trace(question, said.ids, token_spans)
        return [
            Sentence(t, section=s, support=e.support, slice=e.slice, ras=e.ras)
            for t, s, e in zip(texts, owners, found, strict=True)
        ]

    def _trace(
        self, question: str, answer: list[int], spans: list[tuple[int, int]]
    ) -> list[Evidence]:
        model = self._model()
        context = self._prefix + self.assistant.processor.question_ids(question)
        with self._busy:
            return trace(model, self.image_tokens, context, answer, spans, self.grid, self.volume)


class _Said:
    """The raw outcome of one generation."""

    def __init__(self, text: str, ids: list[int], seconds_first_token: float, stopped: bool):
        self.text = text
        self.ids = ids
        self.seconds_first_token = seconds_first_token
        self.stopped = stopped


def _eos_ids(model: Any, processor: Any) -> list[int]:
    configured = model.generation_config.eos_token_id
    ids = configured if isinstance(configured, list) else [configured]
    return sorted({int(i) for i in [*ids, processor.tokenizer.eos_token_id] if i is not None})


def _owners(texts: list[str], sections: dict[str, str]) -> list[str]:
    """Return the section that each sentence stands in, in the order of the text."""
    owners, names = [], list(sections)
    at = 0
    for text in texts:
        while at + 1 < len(names) and text not in " ".join(sections[names[at]].split()):
            at += 1
        owners.append(names[at] if names else "")
    return owners


def _token_spans(
    tokenizer: Any, ids: list[int], spans: list[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Turn character spans of the decoded text into token spans."""
    ends = [len(tokenizer.decode(ids[: i + 1], skip_special_tokens=True)) for i in range(len(ids))]
    result = []
    for begin, end in spans:
        inside = [i for i, e in enumerate(ends) if begin < e <= end]
        result.append((inside[0], inside[-1] + 1) if inside else (0, 0))
    return result


def _look_at(assistant: Assistant, volume: CTVolume, grid: ModelGrid, tokens: Tensor) -> list[str]:
    """Say what a reader should know about this scan and this model."""
    notes = []
    box = [n * s for n, s in zip(grid.shape, grid.spacing, strict=True)]
    scan = [n * s for n, s in zip(volume.shape, volume.spacing, strict=True)]
    cut = [
        f"{s:.0f} mm {axis} to {b:.0f} mm"
        for axis, s, b in zip(
            ("head to feet", "front to back", "right to left"), scan, box, strict=True
        )
        if s > b + 1
    ]
    if cut:
        notes.append(f"The model sees the middle of this scan only: {', '.join(cut)}.")
    if assistant.familiarity is not None:
        distance = assistant.familiarity.distance(tokens)
        if distance > 1:
            trained = assistant.info.trained_on or "its training scans"
            notes.append(
                f"This scan is unlike what the model was trained on ({trained}): "
                f"{distance:.1f} times the limit. Its statements may mean nothing here."
            )
    return notes
