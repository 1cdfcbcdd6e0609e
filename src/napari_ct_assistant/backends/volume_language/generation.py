"""Generate the answer to a question from the prefix cache."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import closing
from typing import Any

import torch
from transformers import StoppingCriteriaList

from napari_ct_assistant.backends.protocol import GeneratedText, OnText
from napari_ct_assistant.backends.reasoning_text import ReasoningSplitter, answer_tokens
from napari_ct_assistant.backends.settings import GenerationSettings
from napari_ct_assistant.backends.streaming import CallbackStreamer, StopOnCancel
from napari_ct_assistant.backends.volume_language.decoding import decodes, greedy
from napari_ct_assistant.backends.volume_language.prefix_cache import PrefixCache


def generate(
    context: PrefixCache,
    question: list[int],
    *,
    on_text: OnText | None = None,
    on_reasoning: OnText | None = None,
    cancel: threading.Event | None = None,
    settings: GenerationSettings | None = None,
    text_only: bool = False,
) -> GeneratedText:
    """Generate the answer to a question.

    Parameters
    ----------
    context : PrefixCache
        Its cache is extended meanwhile and cut back at the end.
    question
        Token ids.
    on_text
        Called with each new piece of text, in this thread.
    on_reasoning
        Called with each new piece of what the model writes between `<think>` and `</think>`.
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
    parts = ReasoningSplitter(on_text, on_reasoning)
    streamer = CallbackStreamer(processor.tokenizer, parts.feed)
    end = _eos_token_ids(model, processor)
    plain = settings.temperature <= 0 and settings.repetition_penalty == 1
    if plain and question and decodes(model.language_model):
        behind = ids if text_only else ids[:, len(prefix) :]
        tokens = greedy(
            model.language_model,
            model.embed(behind),
            None if text_only else context.cache,
            settings.max_new_tokens or processor.max_new_tokens,
        )
        answer = _streamed(tokens, streamer, end, cancel)
    else:
        try:
            out = model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                past_key_values=None if text_only else context.cache,
                streamer=streamer,
                stopping_criteria=StoppingCriteriaList([StopOnCancel(cancel)]),
                pad_token_id=processor.tokenizer.pad_token_id,
                eos_token_id=end,
                **settings.to_generate(processor.max_new_tokens),
            )
        finally:
            beyond = context.cache.get_seq_length() - len(context.prefix)
            if beyond > 0:
                context.cache.crop(-beyond)
        answer = out[0, ids.shape[1] :].tolist()
    parts.finish()
    ended = bool(answer) and answer[-1] in end
    stopped = not ended and cancel is not None and cancel.is_set()
    answer = answer[:-1] if ended else answer
    return GeneratedText(
        text=parts.text,
        ids=answer_tokens(processor.tokenizer, answer, parts.answer_start),
        seconds_first_token=streamer.seconds_first_token or 0.0,
        stopped=stopped,
        cut=not ended and not stopped,
        reasoning=parts.reasoning.strip(),
    )


def _streamed(
    tokens: Generator[int, None, None],
    streamer: CallbackStreamer,
    end: list[int],
    cancel: threading.Event | None,
) -> list[int]:
    """Return tokens as they come, up to one of `end` or until the event is set."""
    streamer.next_tokens_are_prompt = False
    answer = []
    with closing(tokens):
        for token in tokens:
            answer.append(token)
            streamer.put(torch.tensor([token]))
            if token in end or (cancel is not None and cancel.is_set()):
                break
    streamer.end()
    return answer


def _eos_token_ids(model: Any, processor: Any) -> list[int]:
    """Return the ids of the tokens that end an answer."""
    configured = model.generation_config.eos_token_id
    ids = configured if isinstance(configured, list) else [configured]
    return sorted({int(i) for i in [*ids, processor.tokenizer.eos_token_id] if i is not None})
