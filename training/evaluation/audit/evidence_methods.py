"""Other ways to say where a statement comes from, measured beside the one that is used.

All take a reading, a question and what is said to it, and give a `HeatMap`; each is slower or
less right than `assistant.evidence` (docs/evidence.md has the figures).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_ct_assistant.assistant import Reading
from napari_ct_assistant.assistant.evidence.heat_map import HeatMap

OCCLUDED_AT_ONCE = 49


def encoder_gradient(reading: Reading, question: str, said: str) -> HeatMap | None:
    """Gradient with respect to the encoder's tokens, times their difference from their mean.

    Finer than the image tokens (one patch instead of kernel^3), at the price of a forward and
    a backward pass through the whole prompt.
    """
    model, prefix, text, answer = _parts(reading, question, said)
    tokens = reading.vision_tokens.detach().clone().requires_grad_(True)
    with torch.enable_grad():
        image = model.get_image_features(vision_tokens=tokens)
        ids = torch.tensor([prefix + text], device=model.device)
        logits = model(
            inputs_embeds=model.embed(ids, image), logits_to_keep=answer + 1, use_cache=False
        ).logits[0, :-1]
        target = ids[0, -answer:, None]
        total = logits.float().log_softmax(-1).gather(1, target).sum()
        (gradient,) = torch.autograd.grad(total, tokens)
    share = (gradient * (tokens.detach() - tokens.detach().mean(1, keepdim=True))).sum(-1)[0]
    return _map(share.reshape(reading.grid.tokens), reading.grid.token_affine)


def attention_rollout(reading: Reading, question: str, said: str) -> HeatMap | None:
    """Attention from the answer to the image tokens, multiplied through the layers (Abnar 2020)."""
    model, prefix, text, answer = _parts(reading, question, said)
    before = model.language_model.config._attn_implementation
    model.language_model.set_attn_implementation("eager")
    try:
        with torch.no_grad():
            ids = torch.tensor([prefix + text], device=model.device)
            layers = model(
                inputs_embeds=model.embed(ids, reading.image_tokens),
                use_cache=False,
                output_attentions=True,
            ).attentions
    finally:
        model.language_model.set_attn_implementation(before)
    flow = torch.eye(ids.shape[1], device=ids.device)
    for layer in layers:
        attention = layer[0].float().mean(0)
        flow = (attention + torch.eye(len(attention), device=ids.device)) / 2 @ flow
    return _map(_on_grid(reading, flow[-answer - 1 : -1].mean(0)), _affine(reading))


def occlusion(reading: Reading, question: str, said: str) -> HeatMap | None:
    """Fall in log-likelihood when one image token's keys and values are the blind ones."""
    _, _, text, answer = _parts(reading, question, said)
    context = reading.context
    statement = (text[:-answer], text[-answer:])
    where = torch.nonzero(context.is_image)[:, 0].tolist()
    blind = context.blind_cache()
    falls: list[Tensor] = []
    with torch.no_grad():
        full = context.log_likelihoods([statement])[0].sum()
        for begin in range(0, len(where), OCCLUDED_AT_ONCE):
            hidden = where[begin : begin + OCCLUDED_AT_ONCE]
            cache = copy.deepcopy(context.cache)
            cache.batch_repeat_interleave(len(hidden))
            for layer, without in zip(cache.layers, blind.layers, strict=True):
                for row, token in enumerate(hidden):
                    layer.keys[row, :, token] = without.keys[0, :, token]
                    layer.values[row, :, token] = without.values[0, :, token]
            rows = context.log_likelihoods([statement] * len(hidden), cache, in_place=True)
            falls += [full - row.sum() for row in rows]
    share = torch.zeros(len(context.prefix))
    share[where] = torch.stack(falls).cpu()
    return _map(_on_grid(reading, share), _affine(reading))


METHODS: dict[str, Callable[[Reading, str, str], HeatMap | None]] = {
    "encoder gradient": encoder_gradient,
    "attention rollout": attention_rollout,
    "occlusion": occlusion,
}


def _parts(reading: Reading, question: str, said: str) -> tuple[Any, list[int], list[int], int]:
    """Return model, prefix ids, text ids and how many of those are the answer's."""
    processor = reading.loaded.processor
    answer = processor.answer_ids(said)[:-1]
    return (
        reading.loaded.model,
        processor.prefix_ids(),
        processor.question_ids(question) + answer,
        len(answer),
    )


def _on_grid(reading: Reading, by_position: Tensor) -> Tensor:
    context = reading.context
    image = by_position.cpu()[: len(context.prefix)][context.is_image]
    return image.reshape(reading.attributor.token_shape)


def _affine(reading: Reading) -> NDArray[np.float64]:
    return reading.attributor.token_affine


def _map(share: Tensor, affine: NDArray[np.float64]) -> HeatMap | None:
    return HeatMap.from_attributions(share.detach().float().cpu().numpy(), affine)
