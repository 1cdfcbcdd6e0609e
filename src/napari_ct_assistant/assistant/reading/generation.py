"""Generate text token by token: streamed, timed and cancellable."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import StoppingCriteria, StoppingCriteriaList, TextStreamer


@dataclass(frozen=True)
class GenerationSettings:
    """How answers are chosen.

    Attributes
    ----------
    temperature : float
        0 takes the likeliest token each time, so the same scan gives the same report.
    top_p : float
        Sampling only: the smallest set of tokens with this much probability.
    repetition_penalty : float
        1 leaves the model as it is.
    max_new_tokens : int or None
        None takes the model's own limit.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    max_new_tokens: int | None = None

    def to_generate(self, default_max: int) -> dict[str, Any]:
        """Return the keyword arguments of `generate`."""
        common: dict[str, Any] = {
            "max_new_tokens": self.max_new_tokens or default_max,
            "repetition_penalty": self.repetition_penalty,
            # Also where a folder's settings, as training leaves them, say otherwise: the scan is
            # in the cache, and without it each word would be read against all of it anew.
            "use_cache": True,
        }
        if self.temperature <= 0:
            # Greedy, whatever a checkpoint's own generation settings say.
            return common | {
                "do_sample": False,
                "temperature": None,
                "top_p": None,
                "top_k": None,
            }
        return common | {
            "do_sample": True,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "top_k": 0,
        }


class CallbackStreamer(TextStreamer):
    """Hand each new piece of text to a callback, and note when the first token came."""

    def __init__(self, tokenizer: Any, on_text: Callable[[str], None] | None):
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


class Cancelled(StoppingCriteria):
    """Stop after the current token once an event is set."""

    def __init__(self, cancel: threading.Event | None):
        self.cancel = cancel

    def __call__(self, input_ids: Tensor, scores: Tensor, **_: Any) -> Tensor:  # noqa: ARG002
        """Return, for each sequence, whether it is to stop."""
        stop = self.cancel is not None and self.cancel.is_set()
        return torch.full((len(input_ids),), stop, dtype=torch.bool, device=input_ids.device)


def stopping(cancel: threading.Event | None) -> StoppingCriteriaList:
    """Return the stopping criteria of one generation."""
    return StoppingCriteriaList([Cancelled(cancel)])


@dataclass(frozen=True)
class Said:
    """The raw outcome of one generation; `ids` without the one that ends it."""

    text: str
    ids: list[int]
    seconds_first_token: float
    stopped: bool


def eos_ids(model: Any, processor: Any) -> list[int]:
    """Return the ids that end an answer."""
    configured = model.generation_config.eos_token_id
    ids = configured if isinstance(configured, list) else [configured]
    return sorted({int(i) for i in [*ids, processor.tokenizer.eos_token_id] if i is not None})


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
