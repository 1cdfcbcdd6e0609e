"""Text token by token: chosen, streamed, timed and cancellable."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    StoppingCriteria,
    TemperatureLogitsWarper,
    TextStreamer,
    TopPLogitsWarper,
)

from napari_ct_assistant.backends.protocol import OnText
from napari_ct_assistant.backends.settings import GenerationSettings


class TokenChooser:
    """Chooses the next token from the logits, for families that generate without `generate`.

    Parameters
    ----------
    settings : GenerationSettings
    prompt : list of int
        Token ids before the answer.
    never : sequence of int
        Tokens that no answer may contain.
    """

    def __init__(
        self, settings: GenerationSettings, prompt: list[int], never: Sequence[int] = ()
    ) -> None:
        self._ids = list(prompt)
        self._never = list(never)
        self._sample = settings.temperature > 0
        self._rules = LogitsProcessorList()
        if settings.repetition_penalty != 1:
            self._rules.append(RepetitionPenaltyLogitsProcessor(settings.repetition_penalty))
        if self._sample:
            self._rules.append(TemperatureLogitsWarper(settings.temperature))
            if settings.top_p < 1:
                self._rules.append(TopPLogitsWarper(settings.top_p))

    def __call__(self, logits: Tensor) -> int:
        """Return the next token. logits: [1, vocabulary]."""
        scores: Any = logits.float()
        if self._never:
            never = torch.tensor(self._never, device=logits.device)
            scores = scores.index_fill(1, never, float("-inf"))
        if len(self._rules):
            scores = self._rules(torch.tensor([self._ids], device=logits.device), scores)
        if self._sample:
            token = int(torch.multinomial(scores.softmax(-1), 1))
        else:
            token = int(scores.argmax(-1))
        self._ids.append(token)
        return token


class CallbackStreamer(TextStreamer):
    """Passes each new piece of text to a callback, and notes when the first token came."""

    def __init__(self, tokenizer: Any, on_text: OnText | None):
        super().__init__(tokenizer, skip_prompt=True, skip_special_tokens=True)
        self.on_text = on_text
        self.start = time.perf_counter()
        self.seconds_first_token: float | None = None
        self.text = ""

    def put(self, value: Tensor) -> None:
        """Take the prompt (the first call), then each token."""
        if not self.next_tokens_are_prompt and self.seconds_first_token is None:
            self.seconds_first_token = time.perf_counter() - self.start
        super().put(value)

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:  # noqa: ARG002
        """Pass text on once its characters are final."""
        self.text += text
        if text and self.on_text is not None:
            self.on_text(text)


class StopOnCancel(StoppingCriteria):
    """Stops after the current token once an event is set."""

    def __init__(self, cancel: threading.Event | None):
        self.cancel = cancel

    def __call__(self, input_ids: Tensor, scores: Tensor, **_: Any) -> Tensor:  # noqa: ARG002
        """Return, for each sequence, whether it stops."""
        stop = self.cancel is not None and self.cancel.is_set()
        return torch.full((len(input_ids),), stop, dtype=torch.bool, device=input_ids.device)


def token_spans(
    tokenizer: Any, ids: list[int], spans: Sequence[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Turn character spans of the decoded text into spans of its tokens."""
    ends = [len(tokenizer.decode(ids[: i + 1], skip_special_tokens=True)) for i in range(len(ids))]
    result = []
    for begin, end in spans:
        inside = [i for i, e in enumerate(ends) if begin < e <= end]
        result.append((inside[0], inside[-1] + 1) if inside else (0, 0))
    return result
