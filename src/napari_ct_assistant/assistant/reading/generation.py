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

from napari_ct_assistant.assistant.reading.image_context import ImageContext
from napari_ct_assistant.assistant.reading.settings import GenerationSettings

OnText = Callable[[str], None]


@dataclass(frozen=True)
class GeneratedText:
    """What one call generated.

    Attributes
    ----------
    text : str
    ids : list of int
        Its tokens, without the one that ends an answer.
    seconds_first_token : float
    stopped : bool
        Whether it was cancelled before its end.
    cut : bool
        Whether it ended without the token that ends an answer, though nobody cancelled it: at
        the limit on tokens, or at the end of the context window.
    """

    text: str
    ids: list[int]
    seconds_first_token: float
    stopped: bool
    cut: bool = False


def generate(
    context: ImageContext,
    question: list[int],
    *,
    on_text: OnText | None = None,
    cancel: threading.Event | None = None,
    settings: GenerationSettings | None = None,
    text_only: bool = False,
) -> GeneratedText:
    """Generate the answer to a question.

    Parameters
    ----------
    context : ImageContext
        Its cache is extended meanwhile and cut back at the end.
    question
        Token ids.
    on_text
        Called with each new piece of text, in this thread.
    cancel
        Set it to stop after the current token.
    settings
        The loaded model's own when absent.
    text_only
        Leave the image out: the question quotes all that is needed.
    """
    loaded = context.loaded
    model: Any = loaded.model
    processor = loaded.processor
    settings = settings or loaded.settings
    prefix = processor.opening_ids() if text_only else context.prefix
    ids = torch.tensor([prefix + question], device=model.device)
    streamer = _CallbackStreamer(processor.tokenizer, on_text)
    end = _eos_token_ids(model, processor)
    try:
        out = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            past_key_values=None if text_only else context.cache,
            streamer=streamer,
            stopping_criteria=StoppingCriteriaList([_StopOnCancel(cancel)]),
            pad_token_id=processor.tokenizer.pad_token_id,
            eos_token_id=end,
            **settings.to_generate(processor.max_new_tokens),
        )
    finally:
        beyond = context.cache.get_seq_length() - len(context.prefix)
        if beyond > 0:
            context.cache.crop(-beyond)
    answer = out[0, ids.shape[1] :].tolist()
    ended = bool(answer) and answer[-1] in end
    stopped = not ended and cancel is not None and cancel.is_set()
    return GeneratedText(
        text=streamer.text,
        ids=answer[:-1] if ended else answer,
        seconds_first_token=streamer.seconds_first_token or 0.0,
        stopped=stopped,
        cut=not ended and not stopped,
    )


class _CallbackStreamer(TextStreamer):
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


class _StopOnCancel(StoppingCriteria):
    """Stops after the current token once an event is set."""

    def __init__(self, cancel: threading.Event | None):
        self.cancel = cancel

    def __call__(self, input_ids: Tensor, scores: Tensor, **_: Any) -> Tensor:  # noqa: ARG002
        """Return, for each sequence, whether it stops."""
        stop = self.cancel is not None and self.cancel.is_set()
        return torch.full((len(input_ids),), stop, dtype=torch.bool, device=input_ids.device)


def _eos_token_ids(model: Any, processor: Any) -> list[int]:
    """Return the ids of the tokens that end an answer."""
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
