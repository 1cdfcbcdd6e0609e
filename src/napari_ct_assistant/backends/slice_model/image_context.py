"""One scan read by a slice model: what all questions about it share."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from torch import Tensor

from napari_ct_assistant.backends.heat_map import Evidence, HeatMap
from napari_ct_assistant.backends.protocol import (
    GeneratedText,
    OnText,
    PreparedScan,
    Prompt,
    Statement,
)
from napari_ct_assistant.backends.settings import GenerationSettings
from napari_ct_assistant.backends.slice_model.attribution import slice_shares
from napari_ct_assistant.backends.slice_model.conversation import Renderer
from napari_ct_assistant.backends.slice_model.generation import generate
from napari_ct_assistant.backends.slice_model.loaded_model import EncodedSlices, LoadedModel
from napari_ct_assistant.backends.slice_model.snapshot import Snapshot
from napari_ct_assistant.backends.slices.preset import SlicePreset
from napari_ct_assistant.backends.slices.questions import SliceQuestions
from napari_ct_assistant.backends.streaming import token_spans

SMALL: Final = 64 << 20
"""Bytes of a snapshot up to which several questions are asked at a time."""
ROWS: Final = 6
LEAST_SHARE: Final = 1e-4  # nats; below it, the largest share would be one of rounding


@dataclass(frozen=True)
class SlicePrompt(Prompt):
    """A question behind the slices; `prefix` are the token ids up to the last slice's end."""

    prefix: tuple[int, ...] = ()


class SliceModelContext(SliceQuestions):
    """An `ImageContext` of a slice model.

    Parameters
    ----------
    loaded : LoadedModel
    scan : PreparedScan
    renderer : Renderer
        Of conversations about the scan.
    encoded : EncodedSlices
    blind : bool
        `encoded` are slices without content.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        scan: PreparedScan,
        renderer: Renderer,
        encoded: EncodedSlices,
        *,
        blind: bool = False,
    ):
        self.loaded = loaded
        self.scan = scan
        self.seconds = encoded.seconds
        self.notes: tuple[str, ...] = ()
        self._renderer = renderer
        self._encoded = encoded
        self._is_blind = blind

    @property
    def vision_tokens(self) -> Tensor:
        """What stands for the slices in the language model, [1, N, hidden_size]."""
        return torch.cat(self._encoded.features.pooled)[None]

    @property
    def image_tokens(self) -> Tensor:
        """The same: the vision tower's output is what the language model reads."""
        return self.vision_tokens

    # ---- questions

    @property
    def preset(self) -> SlicePreset:
        """How the model is shown a scan."""
        return self._renderer.preset

    def prompt(
        self,
        question: str,
        *,
        history: Sequence[tuple[str, str]] = (),
        choices: Sequence[str] = (),
        region: str = "",
        text_only: bool = False,  # noqa: ARG002  the slices are always there
        thinking: bool | None = None,
    ) -> SlicePrompt:
        """Render a question after the turns that fit the context window.

        Parameters
        ----------
        history
            The slices stand in the first turn.
        choices
            Makes it a multiple-choice question.
        region
            A sentence about a region that the reader drew; it goes before the question.
        text_only
            Has no effect: the model reads every question with the slices.
        thinking
            Whether the answer begins with reasoning, for templates that can say so.
        """
        words = choices_question(question, choices) if choices else question
        if region:
            words = f"{region} {words}"
        turns = list(history)
        room = self._renderer.window - self._renderer.reserve
        while True:
            prefix, ids, opened = self._renderer.render(words, turns, thinking=thinking)
            if not turns or len(prefix) + len(ids) <= room:
                break
            turns.pop(0)
        return SlicePrompt(
            ids, len(turns), region_used=bool(region), thinking=opened, prefix=tuple(prefix)
        )

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
            self.loaded.processor,
            self._snapshot(prompt),
            prompt,
            settings or self.loaded.settings,
            window=self._renderer.window,
            on_text=on_text,
            on_reasoning=on_reasoning,
            cancel=cancel,
        )

    def yes_probabilities(self, questions: Sequence[str], *, blind: bool = False) -> list[float]:
        """Return the probability of "Yes" as first token, against "No", for each question.

        "yes" and "no" in small letters count, too.
        """
        special = self.loaded.processor.special
        yes, no = list(special.yes), list(special.no)
        prompts = [self.prompt(question, thinking=False) for question in questions]
        found: list[float] = []
        step = 1
        if len({prompt.prefix for prompt in prompts}) == 1:
            step = ROWS if self._snapshot(prompts[0], blind=blind).bytes <= SMALL else 1
        for begin in range(0, len(prompts), step):
            some = prompts[begin : begin + step]
            logits = self._logits([one.ids for one in some], self._snapshot(some[0], blind=blind))
            for row, one in zip(logits, some, strict=True):
                last = row[len(one.ids) - 1]
                pair = torch.stack([last[yes].logsumexp(0), last[no].logsumexp(0)])
                found.append(float(pair.softmax(0)[0]))
        return found

    def choice_probabilities(self, prompt: Prompt, choices: Sequence[str]) -> list[float]:
        """Return the probability that the answer begins with each choice's letter."""
        letters = [self.answer_ids(chr(ord("A") + i)) for i in range(len(choices))]
        scores = self._log_likelihoods([(prompt, ids) for ids in letters])
        result: list[float] = torch.stack([one.sum() for one in scores]).softmax(0).tolist()
        return result

    # ---- evidence

    def supports(self, statements: Sequence[Statement]) -> list[float]:
        """Return how much the slices support each statement, in nats."""
        seen = self._log_likelihoods(statements)
        blind = self._log_likelihoods(statements, blind=True)
        return [float((s - b).sum()) for s, b in zip(seen, blind, strict=True)]

    def attribute(
        self,
        prompt: Prompt,
        answer: Sequence[int],
        spans: Sequence[tuple[int, int]] | None = None,
    ) -> list[Evidence]:
        """Return the evidence for parts of an answer; spans: characters, the whole if absent."""
        ids = list(answer)
        where = [(0, len(ids))] if spans is None else self._token_spans(ids, spans)
        seen = self._log_likelihoods([(prompt, ids)])[0]
        blind = self._log_likelihoods([(prompt, ids)], blind=True)[0]
        supports = [float((seen[a:b] - blind[a:b]).sum()) for a, b in where]
        shares: list[Tensor | None] = [None] * len(where)
        if not self._is_blind:
            with suppress(torch.OutOfMemoryError):  # the support needs no graph
                shares = slice_shares(
                    self.loaded.model,
                    self._snapshot(prompt),
                    self._snapshot(prompt, blind=True),
                    prompt.ids,
                    ids,
                    where,
                    self._owners(prompt),
                    len(self.scan.slices),
                    supports,
                )
        found = []
        for (a, b), support, share in zip(where, supports, shares, strict=True):
            heat = None if share is None else self._heat_map(share)
            one = Evidence.of(support if b > a else None, heat, self.scan.volume)
            nats = () if share is None else tuple(share.tolist())
            found.append(replace(one, shares=nats))
        return found

    def without_image(self) -> SliceModelContext:
        """Return the context of slices without content: what the model says of no patient."""
        prefix = self._encoded.snapshot.prefix
        return SliceModelContext(
            self.loaded, self.scan, self._renderer, self._blind(prefix), blind=True
        )

    # ---- how

    def _blind(self, prefix: tuple[int, ...]) -> EncodedSlices:
        sizes = [(image.shape[0], image.shape[1]) for image in self.scan.pixel_values]
        return self.loaded.blind(sizes, prefix)

    def _snapshot(self, prompt: Prompt, *, blind: bool = False) -> Snapshot:
        prefix = getattr(prompt, "prefix", ()) or self._encoded.snapshot.prefix
        encoded = self._blind(prefix) if blind else self._encoded
        return self.loaded.snapshot_for(encoded, prefix)

    def _token_spans(
        self, ids: list[int], spans: Sequence[tuple[int, int]]
    ) -> list[tuple[int, int]]:
        """Turn character spans of the answer's text into spans of all generated tokens."""
        closing = {b for _, b in self.loaded.processor.special.thinking}
        begin = max((place + 1 for place, token in enumerate(ids) if token in closing), default=0)
        tokenizer = self.loaded.processor.tokenizer
        rest = ids[begin:]
        text = tokenizer.decode(rest, skip_special_tokens=True)
        cut = len(text) - len(text.lstrip()) if begin else 0
        found = token_spans(tokenizer, rest, [(a + cut, b + cut) for a, b in spans])
        return [(a + begin, b + begin) if b > a else (0, 0) for a, b in found]

    def _logits(self, rows: Sequence[list[int]], snapshot: Snapshot) -> Tensor:
        """Return the logits of rows of text behind the slices, [rows, longest, vocabulary].

        Padded on the right: a row's own tokens never see its padding.
        """
        longest = max(map(len, rows))
        pad = self.loaded.processor.special.pad
        ids = torch.tensor([row + [pad] * (longest - len(row)) for row in rows])
        with torch.no_grad():
            return snapshot.forward(snapshot.copies(len(rows)), ids).float()

    def _log_likelihoods(
        self, statements: Sequence[Statement], *, blind: bool = False
    ) -> list[Tensor]:
        """Return the log-likelihood of each token of each statement's answer."""
        found = []
        for prompt, answer in statements:
            logits = self._logits([prompt.ids + answer], self._snapshot(prompt, blind=blind))[0]
            begin = len(prompt.ids) - 1
            scores = logits[begin : begin + len(answer)].log_softmax(-1)
            target = torch.tensor(answer, device=scores.device)[:, None]
            found.append(scores.gather(1, target)[:, 0])
        return found

    def _owners(self, prompt: Prompt) -> Tensor:
        """Return to which slice each token of the prefix belongs; -1 for none."""
        prefix = self._snapshot(prompt).prefix
        image = self.loaded.processor.special.image
        label_first = self._renderer.preset.label_position == "before"
        owners, current = [], -1
        for place, token in enumerate(prefix):
            if token == image and (place == 0 or prefix[place - 1] != image):
                current += 1
            owners.append(current)
        if label_first:
            # Between two images stands the label of the second.
            for place in range(len(prefix) - 2, -1, -1):
                if prefix[place] != image:
                    owners[place] = owners[place + 1]
        return torch.tensor(owners)

    def _heat_map(self, shares: Tensor) -> HeatMap | None:
        """Lay one value for each shown slice on the scan's slices; those between have none.

        None where no slice speaks for the statement.
        """
        if float(shares.max()) < LEAST_SHARE:
            return None
        grid = self.scan.grid
        first = min(self.scan.slices)
        values = np.zeros(grid.tokens, dtype=np.float32)
        for index, share in zip(self.scan.slices, shares.tolist(), strict=True):
            values[index - first, 0, 0] += share
        return HeatMap.from_attributions(values, grid.token_affine)


def choices_question(question: str, choices: Sequence[str]) -> str:
    """Return a multiple-choice question."""
    listed = " ".join(f"{chr(ord('A') + i)}. {choice}" for i, choice in enumerate(choices))
    return f"{question} Choices: {listed} Answer only with the letter."
