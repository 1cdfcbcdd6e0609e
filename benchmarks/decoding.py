"""Rows of decoding: Llama-shaped models with random weights, and reports of the bundled model.

Random weights repeat themselves more than reports do, so phrases are looked up only in the row of
the bundled model, whose reports are real text. The share of the bandwidth is that of reading the
weights once for each token, beside reading as many bytes by matrix-vector products in the same run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, LlamaConfig

from benchmarks.machine import named, threads_of_torch, usable_cores
from benchmarks.rows import Groups, Row, Settings, Target, clock, faster, race
from napari_ct_assistant import load_assistant
from napari_ct_assistant.backends.protocol import View
from napari_ct_assistant.backends.volume_language import decoding
from napari_ct_assistant.backends.volume_language.decoding import LlamaSteps, greedy, join_weights
from napari_ct_assistant.model.layers.onednn import use_onednn
from napari_ct_assistant.phantoms import make_phantom

# Hidden, MLP, layers, heads, key-value heads, vocabulary, tied; prompt and answer in tokens.
SIZES: Final[dict[str, tuple[int, ...]]] = {
    "135 M": (576, 1536, 30, 9, 3, 49152, 1),
    "1.1 B": (2048, 5632, 22, 32, 4, 32000, 0),
}
PROMPT: Final = 64
ANSWER: Final = 24


def decoding_small(settings: Settings) -> Iterator[Row]:
    """A model of the shape of SmolLM-135M beside transformers' generate."""
    yield from _decoding("135 M", settings)


def decoding_large(settings: Settings) -> Iterator[Row]:
    """A model of the shape of TinyLlama-1.1B beside transformers' generate."""
    yield from _decoding("1.1 B", settings)


def reports(settings: Settings) -> Iterator[Row]:
    """Reports of the bundled model: phrases looked up, beside transformers' generate."""
    if settings.quick:
        return
    backend: Any = load_assistant("demo", device="cpu").backend
    scans = [backend.encode(backend.prepare(make_phantom(seed).volume, View())) for seed in (1, 2)]
    model = backend.model.language_model
    decoding._answers.clear()
    rates = []
    for scan in scans:
        passes, tokens = _passes(scan)
        rates.append(tokens / passes)
    context = scans[1]
    ids = torch.tensor([_prompt(context).ids])
    limit = len(context.generate(_prompt(context)).ids)
    cache = context.prefix_cache.cache

    def ours() -> list[int]:
        decoding._answers.clear()
        return list(greedy(model, backend.model.embed(ids), cache, limit))

    def theirs() -> Tensor:
        whole = torch.tensor([context.prefix_cache.prefix + ids[0].tolist()])
        found: Tensor = backend.model.generate(
            input_ids=whole,
            attention_mask=torch.ones_like(whole),
            past_key_values=cache,
            do_sample=False,
            max_new_tokens=limit,
            eos_token_id=None,
            pad_token_id=0,
        )
        cache.crop(len(context.prefix_cache.prefix) - cache.get_seq_length())
        return found

    here, there = race(ours, theirs, settings)
    yield Row(
        f"report of the bundled model, {limit} tokens",
        "transformers generate",
        here,
        there,
        (faster(1.3),),
        measured={"tokens of a pass, first report": rates[0], "tokens of a pass, later": rates[1]},
    )


GROUPS: Final[Groups] = {
    "decoding-135m": decoding_small,
    "decoding-1b": decoding_large,
    "reports": reports,
}


def _decoding(size: str, settings: Settings) -> Iterator[Row]:
    if settings.quick:
        return
    model, plain = _models(size)
    ids = torch.arange(10, 10 + PROMPT)[None]
    with torch.no_grad():
        embeddings = model.get_input_embeddings()(ids)

    def start() -> Iterator[int]:
        return greedy(model, embeddings, None, ANSWER, lookup=False)

    def theirs() -> Tensor:
        found: Tensor = plain.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=ANSWER,
            eos_token_id=None,
            pad_token_id=0,
        )
        return found

    for threads in usable_cores() if size == "135 M" else (max(usable_cores()),):
        with threads_of_torch(threads):
            yield _row(size, threads, model, start, theirs, settings)


def _row(
    size: str,
    threads: int,
    model: Any,
    start: Callable[[], Iterator[int]],
    theirs: Callable[[], Tensor],
    settings: Settings,
) -> Row:
    def ours() -> list[int]:
        return list(start())

    same = ours() == theirs()[0, PROMPT:].tolist()
    here, there = race(ours, theirs, settings)
    weights = sum(p.numel() for p in model.parameters())
    if not model.config.tie_word_embeddings:
        weights -= model.get_input_embeddings().weight.numel()  # one row of it is read
    memory = torch.ones(weights // 2048, 2048)
    vector = torch.ones(2048)
    ways: tuple[Callable[[], object], ...] = (lambda: torch.mv(memory, vector), memory.sum)
    # In turn, and the best of each: what else the machine does slows both, but not at once.
    reading, token = float("inf"), float("inf")
    for _ in range(2 * settings.repeat):
        reading = min(reading, *(clock(way)[0] for way in ways))
        tokens = start()
        next(tokens)  # reads the prompt, too
        token = min(token, clock(lambda tokens=tokens: list(tokens))[0] / (ANSWER - 1))
    return Row(
        f"decoding {ANSWER} tokens behind {PROMPT}, {size} parameters, {named(threads)}",
        "transformers generate",
        here,
        there,
        (faster(1.3), Target("share of bandwidth", 0.6)),
        {"tokens that are those of the peer": ANSWER if same else 0},
        {
            "share of bandwidth": reading / token,
            "bandwidth, GB/s": weights * 4 / reading / 1e9,
            "seconds of a token": token,
        },
    )


def _models(size: str) -> tuple[Any, Any]:
    """Return a model as the package runs it, and the same one as transformers does."""
    hidden, mlp, layers, heads, key_values, vocabulary, tied = SIZES[size]
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=mlp,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=key_values,
        max_position_embeddings=2048,
        tie_word_embeddings=bool(tied),
        bos_token_id=None,
        eos_token_id=None,
    )
    torch.manual_seed(0)
    plain = AutoModelForCausalLM.from_config(config).eval()
    with torch.device("meta"):
        ours = AutoModelForCausalLM.from_config(config).eval()
    ours.load_state_dict(plain.state_dict(), assign=True)
    ours.model.rotary_emb = plain.model.rotary_emb
    join_weights(use_onednn(ours.requires_grad_(False)))
    return ours, plain


def _passes(context: Any) -> tuple[int, int]:
    """Return the passes and the tokens of a report."""
    passes = 0
    whole = LlamaSteps.__call__

    def counted(self: LlamaSteps, x: Tensor, **how: bool) -> Tensor:
        nonlocal passes
        passes += 1
        return whole(self, x, **how)

    LlamaSteps.__call__ = counted  # type: ignore[method-assign]
    try:
        answer = context.generate(_prompt(context))
    finally:
        LlamaSteps.__call__ = whole  # type: ignore[method-assign]
    return passes, len(answer.ids) + 1


def _prompt(context: Any) -> Any:
    return context.prompt(context.report_question(context.report_sections()[0], {})[0])
