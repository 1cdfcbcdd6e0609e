"""The gradient for the image of each part of an answer, in one pass and one by one."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from transformers import (
    Gemma2Config,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    Phi3Config,
    PreTrainedConfig,
    Qwen2Config,
    Qwen3Config,
)

from napari_ct_assistant.backends.model_info import ModelInfo
from napari_ct_assistant.backends.volume_language import image_attention, packed_text
from napari_ct_assistant.backends.volume_language.image_attention import UnknownAttentionError
from napari_ct_assistant.backends.volume_language.loaded_model import LoadedModel
from napari_ct_assistant.backends.volume_language.prefix_cache import PrefixCache, scored
from napari_ct_assistant.backends.volume_language.span_gradients import (
    SpanGradient,
    one_by_one,
    side_by_side,
)
from tests.tiny_model import REPORT, tiny_model

SIZES: dict[str, Any] = {
    "vocab_size": 320,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
}
SOFTMAX = {
    "llama": LlamaConfig(**SIZES),
    "qwen2": Qwen2Config(**SIZES),
    "qwen3": Qwen3Config(**SIZES, head_dim=8),
    "phi3": Phi3Config(**SIZES),
    "mistral": MistralConfig(**SIZES, sliding_window=4096),
    "gpt2": GPT2Config(vocab_size=320, n_embd=32, n_layer=2, n_head=4, n_positions=512),
}
OTHERS = {
    "softcap": Gemma2Config(**SIZES, head_dim=8, sliding_window=4096),
    "window": MistralConfig(**SIZES, sliding_window=16),
}


def prefix_cache(
    config: PreTrainedConfig | None = None,
) -> tuple[PrefixCache, list[int], list[int]]:
    """Return a scan's cache with a question and an answer to it."""
    model, processor = tiny_model(**({} if config is None else {"text_config": config}))
    torch.manual_seed(1)
    for parameter in model.parameters():
        # Sharper than fresh weights, so that each part depends on the image.
        parameter.detach().add_(torch.randn_like(parameter) * 0.2).requires_grad_(False)
    loaded = LoadedModel(model, processor, ModelInfo("tiny"))
    image = torch.randn(1, model.num_image_tokens, model.config.text_config.hidden_size)
    question = processor.question_ids("Write the report.")
    return PrefixCache(loaded, image), question, processor.answer_ids(REPORT)[:-1]


def spans_of(answer: list[int]) -> list[tuple[int, int]]:
    """Return parts that follow each other, with a gap, an empty one and two that overlap."""
    n = len(answer)
    return [(1, n // 4), (n // 4, n // 2), (3, 3), (n // 2 + 2, n - 3), (n - 6, n), (0, n // 3)]


def same(one: list[SpanGradient | None], other: list[SpanGradient | None]) -> None:
    for a, b in zip(one, other, strict=True):
        if a is None or b is None:
            assert a is b is None
            continue
        torch.testing.assert_close(a.log_likelihood, b.log_likelihood, atol=1e-4, rtol=1e-4)
        assert a.attributions is not None
        assert b.attributions is not None
        scale = float(b.attributions.abs().max())
        assert scale > 1e-3
        torch.testing.assert_close(a.attributions, b.attributions, atol=1e-4 * scale, rtol=1e-3)


@pytest.mark.parametrize("name", SOFTMAX)
def test_one_pass_gives_what_a_pass_for_each_part_gives(name: str) -> None:
    context, question, answer = prefix_cache(SOFTMAX[name])
    spans = spans_of(answer)
    attends_by = context.loaded.model.language_model.config._attn_implementation
    same(
        side_by_side(context, question, answer, spans), one_by_one(context, question, answer, spans)
    )
    assert context.loaded.model.language_model.config._attn_implementation == attends_by


@pytest.mark.parametrize("name", OTHERS)
def test_a_model_that_attends_in_another_way_is_not_computed_wrongly(name: str) -> None:
    context, question, answer = prefix_cache(OTHERS[name])
    with pytest.raises(UnknownAttentionError):
        side_by_side(context, question, answer, spans_of(answer))
    config = context.loaded.model.language_model.config
    assert config._attn_implementation != image_attention.NAME


def test_small_packs_and_weights_that_are_not_kept_change_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    context, question, answer = prefix_cache()
    spans = spans_of(answer)
    whole = side_by_side(context, question, answer, spans)
    monkeypatch.setattr(packed_text, "MOST", len(question) + len(answer) // 3)
    monkeypatch.setattr(image_attention, "KEPT", 0)
    assert len(list(packed_text.packs(question, answer, spans))) > 3
    same(side_by_side(context, question, answer, spans), whole)


def test_the_likelihood_is_that_of_the_whole_text() -> None:
    context, question, answer = prefix_cache()
    with torch.no_grad():
        (tokens,) = context.log_likelihoods([(question, answer)])
    spans = spans_of(answer)
    for (a, b), found in zip(spans, side_by_side(context, question, answer, spans), strict=True):
        if found is not None:
            torch.testing.assert_close(found.log_likelihood, tokens[a:b].sum())


def test_the_gradient_goes_through_question_and_sentence_and_not_through_earlier_ones() -> None:
    """A small step of the image towards the blind one, with the earlier sentence as it was."""
    context, question, answer = prefix_cache()
    model: Any = context.loaded.model
    begin, end = len(answer) // 3, len(answer) // 2
    found = side_by_side(context, question, answer, [(0, begin), (begin, end)])[1]
    assert found is not None
    assert found.attributions is not None
    first, prefix = len(question) - 1, len(context.prefix)
    ids = torch.tensor([question + answer])
    where, step = context.is_image, 1e-3

    def cache_of(sign: int) -> Any:
        cache = copy.deepcopy(context.cache)
        for layer, blind in zip(cache.layers, context.blind_cache().layers, strict=True):
            for tensor, without in ((layer.keys, blind.keys), (layer.values, blind.values)):
                tensor[:, :, where] += sign * step * (without - tensor)[:, :, where]
        return cache

    def likelihood(sign: int) -> float:
        cache, as_it_was = cache_of(sign), cache_of(0)
        for each in (cache, as_it_was):
            model(input_ids=ids[:, :first], past_key_values=each, use_cache=True)
        model(input_ids=ids[:, first : first + begin], past_key_values=as_it_was, use_cache=True)
        for layer, before in zip(cache.layers, as_it_was.layers, strict=True):
            layer.keys = torch.cat((layer.keys, before.keys[:, :, prefix + first :]), 2)
            layer.values = torch.cat((layer.values, before.values[:, :, prefix + first :]), 2)
        part = ids[:, first + begin : first + end]
        logits = model(input_ids=part, past_key_values=cache, use_cache=True).logits[0]
        return float(scored(logits, answer[begin:end]).double().sum())

    with torch.no_grad():
        slope = (likelihood(-1) - likelihood(1)) / (2 * step)
    assert abs(slope) > 1e-3
    assert float(found.attributions.sum()) == pytest.approx(slope, rel=0.02, abs=2e-3)
