"""Greedy decoding gives the tokens of transformers' `generate`, whatever it expects."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM, DynamicCache, LlamaConfig

from napari_ct_assistant import CTVolume, load_assistant
from napari_ct_assistant.backends.settings import GenerationSettings
from napari_ct_assistant.backends.volume_language import decoding, generation
from napari_ct_assistant.backends.volume_language.decoding import decodes, greedy, join_weights
from napari_ct_assistant.model.layers.onednn import use_onednn

PROMPT = torch.tensor([[5, 9, 2, 7, 7, 3]])


def llama(seed: int = 0, **changes: Any) -> Any:
    """Return a model with random weights that does not say the same token for ever."""
    torch.manual_seed(seed)
    sizes: dict[str, Any] = {
        "vocab_size": 60,
        "hidden_size": 24,
        "intermediate_size": 40,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 128,
        "initializer_range": 0.5,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": 0,
    }
    return use_onednn(AutoModelForCausalLM.from_config(LlamaConfig(**(sizes | changes))).eval())


def by_transformers(model: Any, limit: int) -> list[int]:
    out = model.generate(
        PROMPT, attention_mask=torch.ones_like(PROMPT), max_new_tokens=limit, do_sample=False
    )
    return out[0, PROMPT.shape[1] :].tolist()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"num_key_value_heads": 4, "head_dim": 8, "attention_bias": True, "mlp_bias": True},
        {
            "tie_word_embeddings": True,
            "rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0},
        },
    ],
    ids=["grouped", "biases", "tied, scaled positions"],
)
def test_the_tokens_are_those_of_generate(seed: int, changes: dict[str, Any]) -> None:
    model = llama(seed, **changes)
    assert decodes(model)
    expected = by_transformers(model, 60)
    assert len(set(expected)) > 2
    cache = DynamicCache(config=model.config)
    with torch.no_grad():
        model(PROMPT[:, :4], past_key_values=cache, use_cache=True)
        before = [layer.keys.clone() for layer in cache.layers]
        embeddings = model.get_input_embeddings()(PROMPT)
    # Behind a cache, from nothing, without expectations, and with those of the runs before.
    for given, lookup in ((cache, True), (None, True), (None, False), (cache, True)):
        rest = embeddings if given is None else embeddings[:, 4:]
        assert list(greedy(model, rest, given, 60, lookup=lookup)) == expected
    join_weights(model)
    assert by_transformers(model, 60) == expected
    assert list(greedy(model, embeddings, None, 60, lookup=False)) == expected
    assert all(
        torch.equal(layer.keys, keys) for layer, keys in zip(cache.layers, before, strict=True)
    )


def test_a_phrase_that_was_said_before_costs_few_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    model = llama(1)
    with torch.no_grad():
        embeddings = model.get_input_embeddings()(PROMPT)
    passes = []
    whole = decoding.LlamaSteps.__call__
    monkeypatch.setattr(
        decoding.LlamaSteps, "__call__", lambda *a, **k: (passes.append(1), whole(*a, **k))[1]
    )
    first = list(greedy(model, embeddings, None, 40, lookup=False))
    assert len(passes) == 40
    passes.clear()
    assert list(greedy(model, embeddings, None, 40)) == first
    # Three tokens before anything is expected, then up to eight with each pass.
    assert len(passes) <= 15


def test_a_wrong_expectation_changes_nothing() -> None:
    model = llama(2)
    expected = by_transformers(model, 40)
    wrong = [(token + 1) % 60 for token in expected]
    mixed = [t for i in range(0, 36, 4) for t in (*expected[i : i + 4], *wrong[i + 4 : i + 8])]
    decoding.Phrases(model).keep(mixed)
    with torch.no_grad():
        embeddings = model.get_input_embeddings()(PROMPT)
    assert list(greedy(model, embeddings, None, 40)) == expected


def test_other_models_are_left_to_transformers() -> None:
    assert not decodes(llama().bfloat16())
    assert not decodes(llama().train())
    dynamic = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}
    assert not decodes(llama(rope_parameters=dynamic))
    adapted = llama()
    adapted.model.layers[0].self_attn.q_proj = nn.Sequential(nn.Linear(24, 24))
    assert decodes(adapted)  # ... as a plain layer in a wrapper computes the same
    adapted.model.layers[0].self_attn.q_proj = type("Lora", (nn.Linear,), {})(24, 24)
    assert not decodes(adapted)


def test_answers_are_those_of_transformers(
    tiny_model_folder: Path, small_volume: CTVolume, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = load_assistant(tiny_model_folder, device="cpu").read(small_volume).context
    question = next(iter(context.report_sections()))
    prompts = [
        context.prompt(context.report_question(question, {})[0]),
        context.prompt("Does this image show signs of emphysema?"),
        context.prompt("Where?", text_only=True),
    ]
    found = []
    for ours in (True, False):
        if not ours:
            monkeypatch.setattr(generation, "decodes", lambda _: False)
        pieces: list[str] = []
        answers = [context.generate(prompt, on_text=pieces.append) for prompt in prompts]
        few = context.generate(prompts[0], settings=GenerationSettings(max_new_tokens=3))
        found.append([(a.text, a.ids, a.cut, a.stopped) for a in [*answers, few]])
        assert "".join(pieces) == "".join(a.text for a in answers)
    assert found[0] == found[1]
    assert found[0][-1][2]  # cut after three tokens


def test_stop_ends_after_the_token_at_hand(tiny_model_folder: Path, small_volume: CTVolume) -> None:
    context = load_assistant(tiny_model_folder, device="cpu").read(small_volume).context
    prompt = context.prompt(context.report_question(context.report_sections()[0], {})[0])
    # Said before, so that several tokens are expected at a time.
    whole = context.generate(prompt)
    cancel = threading.Event()
    stopped = context.generate(prompt, on_text=lambda _: cancel.set(), cancel=cancel)
    assert stopped.stopped
    assert not stopped.cut
    assert len(stopped.ids) < len(whole.ids) // 2
    assert stopped.ids == whole.ids[: len(stopped.ids)]
