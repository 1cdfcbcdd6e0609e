"""One scan read by NV-Reason-CT: what all questions about it share."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Final

import torch
from torch import Tensor

from napari_ct_assistant.backends.heat_map import Evidence, HeatMap
from napari_ct_assistant.backends.nv_reason_ct.attribution import merger_gradient
from napari_ct_assistant.backends.nv_reason_ct.conversation.labels import (
    LABELS,
    REPORT_QUESTIONS,
    finding_question,
)
from napari_ct_assistant.backends.nv_reason_ct.conversation.sections import (
    split_structured_report,
    structured_sentence_spans,
)
from napari_ct_assistant.backends.nv_reason_ct.conversation.text import THINK_END
from napari_ct_assistant.backends.nv_reason_ct.generation import forward, generate
from napari_ct_assistant.backends.nv_reason_ct.image_grid import head_first
from napari_ct_assistant.backends.nv_reason_ct.loaded_model import EncodedVolume, LoadedModel
from napari_ct_assistant.backends.nv_reason_ct.snapshot import Snapshot
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

SMALL: Final = 64 << 20
"""Bytes of a snapshot up to which several questions are asked at a time."""
ROWS: Final = 6
HEAT_ON_CPU: Final = 2048
"""Image tokens up to which heat is computed without a GPU: it runs the whole prompt, twice."""


class NVReasonCTContext:
    """An `ImageContext` of NV-Reason-CT.

    Parameters
    ----------
    loaded : LoadedModel
    scan : PreparedScan
    encoded : EncodedVolume
    """

    def __init__(self, loaded: LoadedModel, scan: PreparedScan, encoded: EncodedVolume):
        self.loaded = loaded
        self.scan = scan
        self.vision_tokens = encoded.vision_tokens
        self.image_tokens = encoded.image_tokens
        self.snapshot = encoded.snapshot
        self.seconds = encoded.seconds
        self.notes: tuple[str, ...] = ()

    # ---- questions

    def report_sections(self) -> Sequence[str]:
        """Return the one question of the report."""
        return ["Report"]

    def report_question(self, section: str, written: Mapping[str, str]) -> tuple[str, bool]:  # noqa: ARG002  one question
        """Return the question for the report of the region; it quotes nothing."""
        return REPORT_QUESTIONS[self.scan.region], False

    def split_report(self, text: str) -> dict[str, str]:
        """Return the sections of a structured report by its headings."""
        return split_structured_report(text)

    def sentence_spans(self, text: str) -> list[tuple[int, int]]:
        """Return the character spans of a structured report's sentences, without headings."""
        return structured_sentence_spans(text)

    def screen_questions(self) -> Sequence[ScreenQuestion]:
        """Return the questions for the labels of the region."""
        return [ScreenQuestion(name, finding_question(name)) for name in LABELS[self.scan.region]]

    def prompt(
        self,
        question: str,
        *,
        history: Sequence[tuple[str, str]] = (),
        choices: Sequence[str] = (),
        region: str = "",  # noqa: ARG002  not trained with drawn regions
        text_only: bool = False,  # noqa: ARG002  the volume is always there
        thinking: bool | None = None,
    ) -> Prompt:
        """Render a question after the turns that fit the context window.

        Parameters
        ----------
        history
            Rendered as text, without its reasoning; the volume stands in the first turn.
        choices
            Makes it a multiple-choice question, answered without reasoning.
        region
            Has no effect.
        text_only
            Has no effect: the model reads every question with the volume.
        thinking
            Whether the answer begins with reasoning; so it does when this is None, but for
            questions that ask for yes or no or for a choice.
        """
        processor = self.loaded.processor
        words = choices_question(question, choices) if choices else question
        if thinking is None:
            thinking = not choices and "answer only" not in question.lower()
        turns = list(history)
        window = int(self.loaded.model.config.max_position_embeddings)
        room = window - self.snapshot.length - processor.max_new_tokens
        while True:
            ids = processor.question_ids(words, turns, thinking=thinking)
            if not turns or len(ids) <= room:
                break
            turns.pop(0)
        return Prompt(ids, len(turns), thinking=thinking)

    def answer_ids(self, answer: str) -> list[int]:
        """Return the token ids of an answer."""
        processor = self.loaded.processor
        return processor.text_ids(processor.harmless(answer))

    # ---- answers

    def generate(
        self,
        prompt: Prompt,
        *,
        on_text: OnText | None = None,
        on_reasoning: OnText | None = None,
        cancel: threading.Event | None = None,
        settings: GenerationSettings | None = None,
    ) -> GeneratedText:
        """Generate the answer to a question."""
        return generate(
            self.loaded.model,
            self.loaded.processor,
            self.snapshot,
            prompt,
            settings or self.loaded.settings,
            region=self.scan.region,
            on_text=on_text,
            on_reasoning=on_reasoning,
            cancel=cancel,
        )

    def yes_probabilities(self, questions: Sequence[str], *, blind: bool = False) -> list[float]:
        """Return the probability of "Yes" as first token, against "No", for each question."""
        special = self.loaded.processor.special
        snapshot = self.loaded.blind().snapshot if blind else self.snapshot
        rows = [self.prompt(question, thinking=False).ids for question in questions]
        among = [special.yes, special.no]
        found: list[float] = []
        step = ROWS if snapshot.bytes <= SMALL else 1
        for begin in range(0, len(rows), step):
            logits = self._logits(rows[begin : begin + step], snapshot)
            for row, ids in zip(logits, rows[begin : begin + step], strict=True):
                found.append(float(row[len(ids) - 1, among].softmax(0)[0]))
        return found

    def choice_probabilities(self, prompt: Prompt, choices: Sequence[str]) -> list[float]:
        """Return the probability that the answer begins with each choice's letter."""
        letters = [self.answer_ids(chr(ord("A") + i)) for i in range(len(choices))]
        scores = self._log_likelihoods([(prompt, ids) for ids in letters], self.snapshot)
        result: list[float] = torch.stack([one.sum() for one in scores]).softmax(0).tolist()
        return result

    # ---- evidence

    def supports(self, statements: Sequence[Statement]) -> list[float]:
        """Return how much the volume supports each statement, in nats."""
        seen = self._log_likelihoods(statements, self.snapshot)
        blind = self._log_likelihoods(statements, self.loaded.blind().snapshot)
        return [float((s - b).sum()) for s, b in zip(seen, blind, strict=True)]

    def attribute(
        self,
        prompt: Prompt,
        answer: Sequence[int],
        spans: Sequence[tuple[int, int]] | None = None,
    ) -> list[Evidence]:
        """Return the evidence for parts of an answer; spans: characters, the whole if absent."""
        ids = list(answer)
        where = [(0, len(ids))] if spans is None else self._token_spans(prompt, ids, spans)
        seen = self._log_likelihoods([(prompt, ids)], self.snapshot)[0]
        without = self.loaded.blind()
        blind = self._log_likelihoods([(prompt, ids)], without.snapshot)[0]
        maps: list[HeatMap | None] = [None] * len(where)
        if self._has_heat():
            try:
                values = merger_gradient(
                    self.loaded.model,
                    self.loaded.processor.prefix_ids() + prompt.ids,
                    ids,
                    where,
                    self.image_tokens,
                    without.image_tokens,
                )
                maps = [None if one is None else self._heat_map(one) for one in values]
            except torch.OutOfMemoryError:
                pass  # the support needs no graph
        found = []
        for (a, b), heat in zip(where, maps, strict=True):
            support = float((seen[a:b] - blind[a:b]).sum()) if b > a else None
            found.append(Evidence.of(support, heat, self.scan.volume))
        return found

    def without_image(self) -> NVReasonCTContext:
        """Return the context of a volume of air: what the model says without a patient."""
        return NVReasonCTContext(self.loaded, self.scan, self.loaded.blind())

    # ---- how

    def _has_heat(self) -> bool:
        on_cpu = self.loaded.model.device.type == "cpu"
        return not on_cpu or self.loaded.processor.num_image_tokens <= HEAT_ON_CPU

    def _token_spans(
        self, prompt: Prompt, ids: list[int], spans: Sequence[tuple[int, int]]
    ) -> list[tuple[int, int]]:
        """Turn character spans of the answer's text into spans of all generated tokens."""
        tokenizer = self.loaded.processor.tokenizer
        whole = tokenizer.decode(ids, skip_special_tokens=True)
        begin = whole.find(THINK_END) + len(THINK_END) if prompt.thinking else 0
        begin += len(whole[begin:]) - len(whole[begin:].lstrip())
        return token_spans(tokenizer, ids, [(begin + a, begin + b) for a, b in spans])

    def _logits(self, rows: Sequence[list[int]], snapshot: Snapshot) -> Tensor:
        """Return the logits of rows of text behind the volume, [rows, longest, vocabulary].

        Padded on the right: a row's own tokens never see its padding.
        """
        model = self.loaded.model
        longest = max(map(len, rows))
        pad = self.loaded.processor.special.pad
        ids = torch.tensor([row + [pad] * (longest - len(row)) for row in rows])
        with torch.no_grad():
            out = model(
                inputs_embeds=model.embed(ids.to(model.device)),
                position_ids=snapshot.positions(longest).expand(3, len(rows), -1),
                past_key_values=snapshot.copies(len(rows)),
            )
        return out.logits.float()

    def _log_likelihoods(self, statements: Sequence[Statement], snapshot: Snapshot) -> list[Tensor]:
        """Return the log-likelihood of each token of each statement's answer."""
        found = []
        model = self.loaded.model
        for prompt, answer in statements:
            with torch.no_grad():
                cache = snapshot.copies()
                logits = forward(model, snapshot, cache, prompt.ids + answer, 0)[0]
            begin = len(prompt.ids) - 1
            scores = logits[begin : begin + len(answer)].float().log_softmax(-1)
            target = torch.tensor(answer, device=scores.device)[:, None]
            found.append(scores.gather(1, target)[:, 0])
        return found

    def _heat_map(self, values: Tensor) -> HeatMap | None:
        """Lay one value for each image token on the scan. values: [N]."""
        grid = self.scan.grid
        # Slices from the feet up become slices from the head down.
        on_grid = values.float().cpu().numpy().reshape(grid.tokens)[::-1]
        return HeatMap.from_attributions(on_grid, head_first(grid))


def choices_question(question: str, choices: Sequence[str]) -> str:
    """Return a multiple-choice question; no wording of this model's is published."""
    listed = " ".join(f"{chr(ord('A') + i)}. {choice}" for i, choice in enumerate(choices))
    return f"{question} Choices: {listed} Answer only with the letter."
