"""Other attribution methods, measured beside the one that a backend uses.

Each takes a reading, a question and a statement that answers it, and returns a `HeatMap`. All are
slower or less accurate than the one in use; docs/evidence.md has the figures.
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
from napari_ct_assistant.backends.heat_map import HeatMap
from napari_ct_assistant.backends.volume_language.image_context import VolumeLanguageContext
from napari_ct_assistant.backends.volume_language.prefix_cache import PrefixCache
from napari_ct_assistant.model.errors import ModelLoadError

OCCLUSION_BATCH = 49  # image tokens occluded at once, each in a row of its own


def encoder_gradient(reading: Reading, question: str, statement: str) -> HeatMap | None:
    """Return the gradient for the encoder's tokens, times their difference from their mean.

    Finer than the image tokens (one patch instead of kernel^3), but it takes a forward and a
    backward pass through the whole prompt.
    """
    model, prefix, text, answer = _parts(reading, question, statement)
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
    attribution = (gradient * (tokens.detach() - tokens.detach().mean(1, keepdim=True))).sum(-1)[0]
    return _map(attribution.reshape(reading.grid.tokens), reading.grid.token_affine)


def attention_rollout(reading: Reading, question: str, statement: str) -> HeatMap | None:
    """Return attention from answer to image tokens, multiplied over layers (Abnar 2020)."""
    model, prefix, text, answer = _parts(reading, question, statement)
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


def occlusion(reading: Reading, question: str, statement: str) -> HeatMap | None:
    """Return the drop in log-likelihood if one image token's keys and values are the blind ones."""
    _, _, text, answer = _parts(reading, question, statement)
    context = _cache(reading)
    ids = (text[:-answer], text[-answer:])
    where = torch.nonzero(context.is_image)[:, 0].tolist()
    blind = context.blind_cache()
    drops: list[Tensor] = []
    with torch.no_grad():
        full = context.log_likelihoods([ids])[0].sum()
        for begin in range(0, len(where), OCCLUSION_BATCH):
            hidden = where[begin : begin + OCCLUSION_BATCH]
            cache = copy.deepcopy(context.cache)
            cache.batch_repeat_interleave(len(hidden))
            for layer, without in zip(cache.layers, blind.layers, strict=True):
                for row, token in enumerate(hidden):
                    layer.keys[row, :, token] = without.keys[0, :, token]
                    layer.values[row, :, token] = without.values[0, :, token]
            rows = context.log_likelihoods([ids] * len(hidden), cache, in_place=True)
            drops += [full - row.sum() for row in rows]
    attribution = torch.zeros(len(context.prefix))
    attribution[where] = torch.stack(drops).cpu()
    return _map(_on_grid(reading, attribution), _affine(reading))


METHODS: dict[str, Callable[[Reading, str, str], HeatMap | None]] = {
    "encoder gradient": encoder_gradient,
    "attention rollout": attention_rollout,
    "occlusion": occlusion,
}


def _parts(
    reading: Reading, question: str, statement: str
) -> tuple[Any, list[int], list[int], int]:
    """Return the model, prefix ids, text ids, and the number of answer ids that end the text."""
    processor = _own(reading).loaded.processor
    answer = processor.answer_ids(statement)[:-1]
    return (
        _own(reading).loaded.model,
        processor.prefix_ids(),
        processor.question_ids(question) + answer,
        len(answer),
    )


def _own(reading: Reading) -> VolumeLanguageContext:
    """Return the context; these methods look inside the one family that has it."""
    if not isinstance(reading.context, VolumeLanguageContext):
        raise ModelLoadError(
            f"{reading.info.name}: only its own evidence method can be measured; leave out --method"
        )
    return reading.context


def _cache(reading: Reading) -> PrefixCache:
    return _own(reading).prefix_cache


def _on_grid(reading: Reading, by_position: Tensor) -> Tensor:
    context = _cache(reading)
    image = by_position.cpu()[: len(context.prefix)][context.is_image]
    return image.reshape(_own(reading).attributor.token_shape)


def _affine(reading: Reading) -> NDArray[np.float64]:
    return _own(reading).attributor.token_affine


def _map(attribution: Tensor, affine: NDArray[np.float64]) -> HeatMap | None:
    return HeatMap.from_attributions(attribution.detach().float().cpu().numpy(), affine)
