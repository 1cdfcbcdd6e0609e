"""The vision-language model as a transformers model: cache, splice, saving, peft."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from napari_ct_assistant.model import PERCEIVERS, VisionTransformer3D, VolumeLanguageModel
from napari_ct_assistant.model.presets import e3d_gpt, vit3d_llama3_vision
from tests.tiny_model import tiny_model, tiny_vision


def batch(model: VolumeLanguageModel, rows: int = 2) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    ids = torch.randint(4, 200, (rows, 20 + model.num_image_tokens))
    ids[:, 1 : 1 + model.num_image_tokens] = model.config.image_token_id
    shape = model.config.vision_config.image_size
    return {"input_ids": ids, "pixel_values": torch.rand(rows, 1, *shape)}


def test_with_cache_is_without_cache() -> None:
    model, _ = tiny_model()
    inputs = batch(model)
    mask = torch.ones_like(inputs["input_ids"])
    kwargs = {"max_new_tokens": 8, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}
    a = model.generate(**inputs, attention_mask=mask, use_cache=True, **kwargs)
    b = model.generate(**inputs, attention_mask=mask, use_cache=False, **kwargs)
    assert torch.equal(a, b)
    assert a.shape[1] == inputs["input_ids"].shape[1] + 8


def test_the_image_reaches_the_logits_only_where_it_stands() -> None:
    model, _ = tiny_model()
    inputs = batch(model, rows=1)
    other = {**inputs, "pixel_values": torch.rand_like(inputs["pixel_values"])}
    with torch.no_grad():
        a, b = model(**inputs).logits, model(**other).logits
    assert torch.equal(a[:, 0], b[:, 0])  # BOS comes before the image
    assert (a[:, -1] - b[:, -1]).abs().max() > 1e-4


def test_a_wrong_number_of_image_tokens_is_refused() -> None:
    model, _ = tiny_model()
    inputs = batch(model)
    inputs["input_ids"][0, 1] = 9
    with pytest.raises(ValueError, match=r"hold 15 image tokens .* make 16"):
        model(**inputs)


def test_a_wrong_volume_is_refused() -> None:
    model, _ = tiny_model()
    inputs = batch(model)
    with pytest.raises(ValueError, match=r"expected \[B, 1, 32, 64, 64\]"):
        model(**inputs | {"pixel_values": torch.rand(2, 1, 32, 64, 60)})


def test_save_and_load(tmp_path: Path) -> None:
    model, _ = tiny_model(perceiver_pos_embed_scale=0.5)
    model.save_pretrained(tmp_path)
    again = VolumeLanguageModel.from_pretrained(tmp_path).eval()
    inputs = batch(model)
    with torch.no_grad():
        assert torch.equal(model(**inputs).logits, again(**inputs).logits)


@pytest.mark.parametrize("name", sorted(PERCEIVERS))
def test_a_perceiver_may_read_concepts_alone(name: str) -> None:
    model, _ = tiny_model(
        vision_config=tiny_vision(num_concepts=3), perceiver=name, perceiver_concepts_only=True
    )
    tokens = torch.rand(1, 64, 24 + 3)
    other = tokens.clone()
    other[..., :24] = torch.rand(1, 64, 24)
    with torch.no_grad():
        first, second = (model.get_image_features(vision_tokens=t) for t in (tokens, other))
        torch.testing.assert_close(first, second)
        other[..., 25] = 1
        assert not torch.allclose(model.get_image_features(vision_tokens=other), first)
    with pytest.raises(ValueError, match="the encoder has no concepts"):
        tiny_model(perceiver=name, perceiver_concepts_only=True)


@pytest.mark.parametrize("name", sorted(PERCEIVERS))
def test_every_perceiver_trains(name: str) -> None:
    model, _ = tiny_model(perceiver=name)
    assert model.num_image_tokens == (32 if name == "resampler" else 8)
    inputs = batch(model)
    loss = model(
        **inputs,
        labels=inputs["input_ids"].masked_fill(
            inputs["input_ids"] == model.config.image_token_id, -100
        ),
    ).loss
    loss.backward()
    gradients = [p.grad for p in model.projector.parameters()]
    assert gradients
    assert all(g is not None and torch.isfinite(g).all() for g in gradients)


def test_local_perceivers_keep_their_place() -> None:
    """Changing one corner of the token grid changes one image token."""
    for name in (
        "convolution",
        "local_qformer",
        "average_pooling",
        "max_pooling",
        "spatial_pooling",
    ):
        model, _ = tiny_model(perceiver=name)
        tokens = torch.rand(1, 64, model.config.vision_config.output_size)
        other = tokens.clone()
        other[0, 0] = torch.rand(tokens.shape[-1])  # token (0, 0, 0)
        with torch.no_grad():
            changed = (model.projector(tokens) - model.projector(other)).abs().amax(-1)[0]
        assert changed[0] > 1e-4, name
        assert changed[1:].max() == 0, name


def test_unknown_perceiver_is_named() -> None:
    with pytest.raises(ValueError, match="unknown perceiver 'cubist'; choose one of convolution"):
        tiny_model(perceiver="cubist")


def test_paper_size_on_the_meta_device() -> None:
    with torch.device("meta"):
        model = VolumeLanguageModel(e3d_gpt())
    assert model.config.vision_config.grid == (14, 14, 14)
    assert model.num_image_tokens == 343
    encoder = sum(p.numel() for p in model.vision_tower.parameters())
    # 12 blocks x (12 x 1536^2 + 13 x 1536) + patch 2048 x 1536 + biases and the last norm.
    assert encoder == 12 * (12 * 1536**2 + 13 * 1536) + 2048 * 1536 + 1536 + 2 * 1536
    perceiver = sum(p.numel() for p in model.projector.parameters())
    assert perceiver == 1536 * 4096 * 8 + 4096
    assert sum(p.numel() for p in model.language_model.parameters()) == 6_738_415_616  # Vicuna-7B


def test_m3d_vit_has_its_true_size() -> None:
    with torch.device("meta"):
        vit = VisionTransformer3D(vit3d_llama3_vision())
    assert sum(p.numel() for p in vit.parameters()) == 87_389_184


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_attention_heads": 5}, r"num_attention_heads \(5\) must divide hidden_size \(24\)"),
        ({"patch_size": (8, 16, 15)}, "patch_size 15 must divide image_size 64 on axis W"),
    ],
)
def test_impossible_configurations_quote_their_numbers(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny_vision(**changes)
