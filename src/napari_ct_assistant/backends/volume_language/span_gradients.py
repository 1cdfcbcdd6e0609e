"""What each image token adds to the log-likelihood of parts of an answer.

`one_by_one` takes a backward pass through the text for each part, and any language model.
`side_by_side` gives the same values in one pass for all parts, where the model attends by
softmax(q k^T) v.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import DynamicCache

from napari_ct_assistant.backends.cache_copies import copied
from napari_ct_assistant.backends.volume_language.image_attention import (
    NAME,
    Contributions,
    UnknownAttentionError,
)
from napari_ct_assistant.backends.volume_language.packed_text import PackedText, Span, packs
from napari_ct_assistant.backends.volume_language.prefix_cache import PrefixCache, scored


class SpanGradient(NamedTuple):
    """One part of an answer.

    Attributes
    ----------
    log_likelihood : Tensor []
        Of its tokens, with the image.
    attributions : float32 Tensor [n] or None
        What each image token adds to it; None if there was no memory for the gradient.
    """

    log_likelihood: Tensor
    attributions: Tensor | None


def side_by_side(
    context: PrefixCache, question: list[int], answer: list[int], spans: Sequence[Span]
) -> list[SpanGradient | None]:
    """Return the gradients of all parts from one pass, or few; None for an empty part.

    Raises
    ------
    UnknownAttentionError
        If the language model attends in another way.
    """
    model: Any = context.loaded.model
    if not getattr(model.language_model, "_supports_attention_backend", False):
        raise UnknownAttentionError
    attends_by = model.language_model.config._attn_implementation
    found: list[SpanGradient | None] = [None] * len(spans)
    cache = copied(context.cache)
    for pack in packs(question, answer, spans):
        if pack.begin:
            _fill(context, cache, question + answer, len(question) - 1 + pack.begin)
        sees = pack.seen(len(context.prefix), cache.get_seq_length()).to(model.device)
        live = pack.live().to(model.device)
        noted = Contributions(sees, live, context.cache, context.blind_cache())
        model.language_model.set_attn_implementation(NAME)
        try:
            likelihoods = _pack_gradient(context, pack, cache, answer, spans, noted)
        finally:
            model.language_model.set_attn_implementation(attends_by)
        for number, likelihood in likelihoods.items():
            values = noted.values[(pack.part == number).to(model.device)].sum(0)
            is_image = context.is_image.to(values.device)
            found[number] = SpanGradient(likelihood, values[is_image])
    return found


def _pack_gradient(
    context: PrefixCache,
    pack: PackedText,
    cache: DynamicCache,
    answer: list[int],
    spans: Sequence[Span],
    noted: Contributions,
) -> dict[int, Tensor]:
    """Go through a pack and back, which fills `noted`; return each part's log-likelihood."""
    model: Any = context.loaded.model
    numbers = [number for number in pack.part.unique().tolist() if number >= 0]
    places = [pack.scored(number) for number in numbers]
    asked = [token for number in numbers for token in answer[slice(*spans[number])]]
    length = len(pack.ids)
    with torch.enable_grad():
        embeddings = model.embed(pack.ids[None].to(model.device)).detach().requires_grad_()
        logits = model.language_model(
            inputs_embeds=embeddings,
            position_ids=(len(context.prefix) + pack.positions)[None].to(model.device),
            # What `noted` says counts. This mask keeps the model from making a causal one.
            attention_mask=embeddings.new_zeros(1, 1, length, cache.get_seq_length() + length),
            past_key_values=copied(cache),
            use_cache=True,
            logits_to_keep=torch.cat(places),
            contributions=noted,
        ).logits[0]
        likelihoods = scored(logits.float(), asked)
        torch.autograd.grad(likelihoods.sum(), embeddings)
    parts = likelihoods.detach().split([len(place) for place in places])
    return {number: part.sum() for number, part in zip(numbers, parts, strict=True)}


def one_by_one(
    context: PrefixCache, question: list[int], answer: list[int], spans: Sequence[Span]
) -> list[SpanGradient | None]:
    """Return the gradient of each part by a backward pass of its own; None for an empty part."""
    model: Any = context.loaded.model
    first = len(question) - 1
    text = torch.tensor([question + answer], device=model.device)
    cache = copied(context.cache)
    leaves = [t.requires_grad_() for layer in cache.layers for t in (layer.keys, layer.values)]
    blind = [t for layer in context.blind_cache().layers for t in (layer.keys, layer.values)]
    differences = [leaf.detach() - without for leaf, without in zip(leaves, blind, strict=True)]
    found: list[SpanGradient | None] = []

    def extend(cache: DynamicCache, begin: int, end: int) -> Tensor:
        """Return the logits of tokens `begin` to `end` of the text."""
        logits: Tensor = model(
            input_ids=text[:, begin:end], past_key_values=cache, use_cache=True
        ).logits[0]
        return logits.float()

    with torch.enable_grad():
        if first:
            extend(cache, 0, first)
        for a, b in spans:
            if b <= a:
                found.append(None)
                continue
            behind = copied(cache)
            if a:
                extend(behind, first, first + a)
                for layer in behind.layers:
                    layer.keys = _constant_from(layer.keys, a)
                    layer.values = _constant_from(layer.values, a)
            likelihood = scored(extend(behind, first + a, first + b), answer[a:b]).sum()
            gradients = torch.autograd.grad(likelihood, leaves, retain_graph=True)
            total = torch.zeros(len(context.prefix), device=model.device)
            for gradient, difference in zip(gradients, differences, strict=True):
                # [1, heads, prefix, channels] -> [prefix]
                total += (gradient * difference).float().sum((0, 1, 3)).to(total.device)
            is_image = context.is_image.to(total.device)
            found.append(SpanGradient(likelihood.detach(), total[is_image]))
    return found


def _constant_from(states: Tensor, last: int) -> Tensor:
    """Return keys or values of which the `last` tokens are constant. [1, heads, N, channels]."""
    return torch.cat((states[:, :, :-last], states[:, :, -last:].detach()), 2)


def _fill(context: PrefixCache, cache: DynamicCache, text: list[int], end: int) -> None:
    """Extend a cache of the prefix to the first `end` tokens of a text, or cut it back to them."""
    model: Any = context.loaded.model
    done = cache.get_seq_length() - len(context.prefix)
    if end < done:
        cache.crop(end - done)
    elif end > done:
        ids = torch.tensor([text[done:end]], device=model.device)
        with torch.no_grad():
            model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
