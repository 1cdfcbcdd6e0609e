"""Generate an answer from a snapshot, token by token."""

from __future__ import annotations

import threading
import time
from typing import Any

import torch
from torch import Tensor

from napari_ct_assistant.backends.nv_reason_ct.conversation.labels import known_labels
from napari_ct_assistant.backends.nv_reason_ct.conversation.text import AnswerParts
from napari_ct_assistant.backends.nv_reason_ct.network.modeling import NVReasonCT
from napari_ct_assistant.backends.nv_reason_ct.processor import NVReasonCTProcessor
from napari_ct_assistant.backends.nv_reason_ct.snapshot import CHUNK, Snapshot
from napari_ct_assistant.backends.protocol import GeneratedText, OnText, Prompt
from napari_ct_assistant.backends.settings import GenerationSettings
from napari_ct_assistant.backends.streaming import TokenChooser

_UNFINISHED = "\N{REPLACEMENT CHARACTER}"  # the bytes so far are no whole character


def generate(
    model: NVReasonCT,
    processor: NVReasonCTProcessor,
    snapshot: Snapshot,
    prompt: Prompt,
    settings: GenerationSettings,
    *,
    region: str,
    on_text: OnText | None = None,
    on_reasoning: OnText | None = None,
    cancel: threading.Event | None = None,
) -> GeneratedText:
    """Generate the answer to a question; `GeneratedText` says what is returned."""
    start = time.perf_counter()
    parts = AnswerParts(prompt.thinking, on_text, on_reasoning)
    choose = TokenChooser(settings, prompt.ids, processor.special.not_written)
    cache = snapshot.copies()
    limit = settings.max_new_tokens or processor.max_new_tokens
    answer: list[int] = []
    shown = ""
    first = 0.0
    ended = False
    with torch.no_grad():
        logits = forward(model, snapshot, cache, prompt.ids, 0, keep=1)[:, -1]
        while len(answer) < limit and not (answer and cancel is not None and cancel.is_set()):
            token = choose(logits)
            first = first or time.perf_counter() - start
            if token in processor.special.end:
                ended = True
                break
            answer.append(token)
            text = processor.tokenizer.decode(answer, skip_special_tokens=True)
            if not text.endswith(_UNFINISHED):
                parts.feed(text[len(shown) :])
                shown = text
            if len(answer) < limit:
                at = len(prompt.ids) + len(answer) - 1
                logits = forward(model, snapshot, cache, [token], at, keep=1)[:, -1]
    whole = processor.tokenizer.decode(answer, skip_special_tokens=True)
    parts.feed(whole[len(shown) :])
    parts.close()
    stopped = not ended and cancel is not None and cancel.is_set()
    return GeneratedText(
        text=parts.text,
        ids=answer,
        seconds_first_token=first,
        stopped=stopped,
        # An answer that ends within its reasoning or its list is not whole either.
        cut=not stopped and (not ended or parts.thinking or parts.listing),
        reasoning=parts.reasoning.strip(),
        labels=known_labels(parts.listed, region) if parts.has_labels else None,
    )


def forward(
    model: NVReasonCT,
    snapshot: Snapshot,
    cache: Any,
    ids: list[int],
    start: int,
    *,
    keep: int = 0,
) -> Tensor:
    """Feed tokens behind the prefix, in pieces; return logits [1, keep or all, vocabulary]."""
    found = []
    for begin in range(0, len(ids), CHUNK):
        piece = torch.tensor([ids[begin : begin + CHUNK]], device=model.device)
        out = model(
            inputs_embeds=model.embed(piece),
            position_ids=snapshot.positions(piece.shape[1], start + begin),
            past_key_values=cache,
            logits_to_keep=keep,
        )
        found.append(out.logits)
    return found[-1] if keep else torch.cat(found, dim=1)
