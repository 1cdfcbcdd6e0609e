"""Greedy decoding of a Llama-shaped language model on the CPU.

The result is that of transformers' `generate`. It takes less time per token: keys and values stand
in buffers that grow in place, where a `DynamicCache` copies all of them for every token; and tokens
that a repeated phrase lets expect are checked together, which costs little more than one token
(prompt lookup decoding, Saxena 2023). An expected token is kept only if it is the most likely one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from typing import Any, Final
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import DynamicCache, LlamaForCausalLM

from napari_ct_assistant.model.layers.joined import PLAIN, Joined, join

NGRAM: Final = 3  # tokens that must have stood together before
MOST: Final = 8  # tokens that are expected at a time
KEPT: Final = 16  # answers whose phrases are remembered, of each model

_answers: WeakKeyDictionary[nn.Module, deque[list[int]]] = WeakKeyDictionary()


def decodes(language_model: nn.Module) -> bool:
    """Return whether `greedy` takes a language model: a whole Llama in float32 on the CPU."""
    if type(language_model) is not LlamaForCausalLM or language_model.training:
        return False
    norm = language_model.model.norm.weight
    kind = (language_model.config.rope_parameters or {}).get("rope_type", "default")
    return kind in {"default", "linear", "llama3"} and all(
        type(module) in PLAIN
        and module.weight.device.type == "cpu"
        and module.weight.dtype == torch.float32
        for module in [*language_model.model.layers.modules(), language_model.lm_head]
        if getattr(module, "weight", norm).ndim > 1
    )


def join_weights(language_model: Any) -> None:
    """Move together what `greedy` computes as one product, in a model that it takes."""
    if decodes(language_model):
        for layer in language_model.model.layers:
            join(_qkv(layer))
            join(_gate_up(layer))


def greedy(
    language_model: Any,
    embeddings: Tensor,
    cache: DynamicCache | None,
    limit: int,
    *,
    lookup: bool = True,
) -> Generator[int, None, None]:
    """Yield the most likely next token again and again, `limit` times; the caller stops before.

    Parameters
    ----------
    language_model : LlamaForCausalLM
        One that `decodes` takes.
    embeddings : Tensor [1, T, hidden_size]
        Of the prompt behind the cache.
    cache
        Of what comes before; it stays as it is.
    lookup
        Whether tokens are expected from phrases of this answer and of earlier ones.
    """
    steps = LlamaSteps(language_model, cache, embeddings.shape[1] + limit + MOST)
    phrases = Phrases(language_model)
    size = MOST // 2
    with torch.no_grad():
        token = int(steps(embeddings[0], last=True).argmax())
    answer: list[int] = []
    try:
        while True:
            answer.append(token)
            yield token
            room = limit - len(answer)
            if room <= 0:
                return
            expected = phrases.after(answer)[: min(size, room - 1)] if lookup else []
            with torch.no_grad():
                ids = torch.tensor([token, *expected])
                found = steps(language_model.get_input_embeddings()(ids)).argmax(-1).tolist()
            right = next((i for i, each in enumerate(expected) if each != found[i]), len(expected))
            steps.length -= len(expected) - right
            if expected:
                size = min(2 * size, MOST) if right == len(expected) else max(size // 2, 2)
            for each in expected[:right]:
                answer.append(each)
                yield each
            token = found[right]
    finally:
        phrases.keep(answer)


class LlamaSteps:
    """Logits of the tokens that follow what was computed before.

    Parameters
    ----------
    language_model : LlamaForCausalLM
    cache : DynamicCache or None
        Of what comes before.
    room : int
        Tokens that follow at most.

    Attributes
    ----------
    length : int
        Tokens computed so far. Lower it to take tokens back.
    """

    def __init__(self, language_model: Any, cache: DynamicCache | None, room: int):
        self.language_model = language_model
        config = language_model.config
        self.length = 0 if cache is None else cache.get_seq_length()
        whole = self.length + room
        shape = (1, config.num_key_value_heads, whole, config.head_dim)
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []
        for number in range(config.num_hidden_layers):
            # Memory that is not written to is not taken.
            keys, values = torch.empty(shape), torch.empty(shape)
            if cache is not None:
                keys[:, :, : self.length] = cache.layers[number].keys
                values[:, :, : self.length] = cache.layers[number].values
            self.keys.append(keys)
            self.values.append(values)
        positions = torch.arange(self.length, whole)[None]
        cos, sin = language_model.model.rotary_emb(keys, positions)
        # A half of the channels is rotated against the other: half of the sines are negative.
        half = sin.shape[-1] // 2
        self.cos, self.sin = cos[0], torch.cat([-sin[0, :, :half], sin[0, :, half:]], dim=-1)
        self.begin = self.length
        layers = language_model.model.layers
        self.qkv = [Joined(_qkv(layer)) for layer in layers]
        self.gate_up = [Joined(_gate_up(layer)) for layer in layers]

    def __call__(self, x: Tensor, *, last: bool = False) -> Tensor:
        """x: [n, hidden_size] -> logits [n, vocabulary], or [1, vocabulary] with `last`."""
        model: Any = self.language_model
        begin, end = self.length, self.length + len(x)
        cos = self.cos[begin - self.begin : end - self.begin]
        sin = self.sin[begin - self.begin : end - self.begin]
        mask = None
        if len(x) > 1:
            mask = torch.ones(len(x), end, dtype=torch.bool).tril(begin)
        for i, layer in enumerate(model.model.layers):
            keys, values = self.keys[i], self.values[i]
            shared, d = keys.shape[1], keys.shape[-1]
            qkv = self.qkv[i](_normed(layer.input_layernorm, x)).unflatten(-1, (-1, d))
            qkv = qkv.transpose(0, 1)  # [heads, n, d]
            qk = _rotated(qkv[:-shared], cos, sin)
            keys[0, :, begin:end] = qk[-shared:]
            values[0, :, begin:end] = qkv[-shared:]
            seen = functional.scaled_dot_product_attention(
                qk[None, :-shared],
                keys[:, :, :end],
                values[:, :, :end],
                attn_mask=mask,
                enable_gqa=True,
            )
            x = x + layer.self_attn.o_proj(seen[0].transpose(0, 1).flatten(1))
            normed = _normed(layer.post_attention_layernorm, x)
            gate, up = self.gate_up[i](normed).chunk(2, dim=-1)
            x = x + layer.mlp.down_proj(layer.mlp.act_fn(gate) * up)
        self.length = end
        logits: Tensor = model.lm_head(_normed(model.model.norm, x[-1:] if last else x))
        return logits


class Phrases:
    """What followed the same tokens before, in this answer or in the model's latest ones."""

    def __init__(self, language_model: nn.Module):
        self.model = language_model
        self.earlier = list(_answers.get(language_model, ()))
        self.places: dict[tuple[int, ...], tuple[list[int], int]] = {}
        for answer in self.earlier:
            for end in range(NGRAM, len(answer)):
                self.places[tuple(answer[end - NGRAM : end])] = (answer, end)
        self.done = NGRAM

    def after(self, answer: list[int]) -> list[int]:
        """Return what may follow an answer that goes on growing; [] where nothing is known."""
        found = self.places.get(tuple(answer[-NGRAM:]))
        # The end of the answer is entered once something follows it.
        for end in range(self.done, len(answer)):
            self.places[tuple(answer[end - NGRAM : end])] = (answer, end)
        self.done = max(self.done, len(answer))
        if len(answer) < NGRAM or found is None:
            return []
        text, end = found
        return text[end : end + MOST]

    def keep(self, answer: Sequence[int]) -> None:
        """Remember an answer for those that follow, in memory."""
        _answers.setdefault(self.model, deque(maxlen=KEPT)).append(list(answer))


def _qkv(layer: Any) -> list[nn.Module]:
    attention = layer.self_attn
    return [attention.q_proj, attention.k_proj, attention.v_proj]


def _gate_up(layer: Any) -> list[nn.Module]:
    return [layer.mlp.gate_proj, layer.mlp.up_proj]


def _normed(norm: Any, x: Tensor) -> Tensor:
    # Fewer steps than `functional.rms_norm` takes on the CPU.
    spread = torch.rsqrt(x.square().mean(-1, keepdim=True) + norm.variance_epsilon)
    return x * spread * norm.weight


def _rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate pairs of channels that are half a head apart. x: [heads, n, channels]."""
    return x * cos + x.roll(x.shape[-1] // 2, -1) * sin
