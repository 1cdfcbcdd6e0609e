"""Linear layers and attention by oneDNN give what torch.nn.functional gives."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_ct_assistant.model.layers import onednn
from tests.tiny_model import tiny_model


@pytest.fixture(params=[True, False], ids=["oneDNN", "fallback"])
def by_onednn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    if request.param and not onednn.available():
        pytest.skip("no AVX-512 here, or torch without oneDNN")
    monkeypatch.setattr(onednn, "available", lambda: request.param)
    return bool(request.param)


def layer() -> tuple[onednn.Linear, Tensor]:
    torch.manual_seed(0)
    made = onednn.Linear(24, 40)
    return made.requires_grad_(False), torch.randn(2, 7, 24)


@pytest.mark.usefixtures("by_onednn")
@pytest.mark.parametrize("bias", [True, False])
def test_a_layer_gives_what_torch_gives(bias: bool) -> None:
    linear, x = layer()
    if not bias:
        linear.bias = None
    expected = functional.linear(x, linear.weight, linear.bias)
    torch.testing.assert_close(linear(x), expected)
    # Values of which some are left out in memory, and a single row.
    torch.testing.assert_close(linear(x[:, ::2]), expected[:, ::2])
    torch.testing.assert_close(linear(x[:1, :1]), expected[:1, :1])
    assert linear(x[:0]).shape == (0, 7, 40)


@pytest.mark.usefixtures("by_onednn")
def test_the_gradient_of_the_input_is_torch_s() -> None:
    linear, x = layer()
    seen = []
    for compute in (linear, lambda v: functional.linear(v, linear.weight, linear.bias)):
        leaf = x.clone().requires_grad_()
        compute(leaf).square().sum().backward()
        seen.append(leaf.grad)
    torch.testing.assert_close(*seen)


@pytest.mark.usefixtures("by_onednn")
def test_weights_that_learn_get_their_gradient() -> None:
    linear, x = layer()
    linear.requires_grad_(True)
    linear(x).sum().backward()
    assert linear.weight.grad is not None
    torch.testing.assert_close(linear.weight.grad[0], x.sum((0, 1)))


def test_another_precision_stays_torch_s() -> None:
    linear, x = layer()
    linear, x = linear.bfloat16(), x.bfloat16()
    assert torch.equal(linear(x), functional.linear(x, linear.weight, linear.bias))


@pytest.mark.usefixtures("by_onednn")
def test_attention_in_parts_is_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onednn, "SCORES", 64 * 70)
    torch.manual_seed(0)
    # As an encoder cuts them out of one tensor: [B, N, 3, heads, d].
    q, k, v = torch.randn(2, 150, 3, 2, 16).permute(2, 0, 3, 1, 4)
    expected = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2)
    torch.testing.assert_close(onednn.attention(q, k, v), expected)
    few = q[:, :, :70]
    torch.testing.assert_close(onednn.attention(few, k, v), expected[:, :70])


def test_only_plain_layers_are_replaced() -> None:
    class Adapted(nn.Linear):
        pass

    model = nn.Sequential(nn.Linear(3, 3), Adapted(3, 3), nn.ReLU())
    onednn.use_onednn(model)
    assert [type(m) for m in model] == [onednn.Linear, Adapted, nn.ReLU]
    assert list(model.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    assert type(copy.deepcopy(model)[0]) is onednn.Linear


@pytest.mark.skipif(not onednn.available(), reason="no AVX-512 here, or torch without oneDNN")
def test_the_encoder_and_the_answer_are_those_without_onednn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, _ = tiny_model()
    plain = copy.deepcopy(model)
    onednn.use_onednn(model)
    torch.manual_seed(1)
    pixel_values = torch.rand(1, 1, *model.config.vision_config.image_size)
    ids = torch.tensor([[1, *[model.config.image_token_id] * model.num_image_tokens, 5, 6, 7]])
    found = []
    for each, on in ((model, True), (plain, False)):
        monkeypatch.setattr(onednn, "available", lambda on=on: on)
        with torch.no_grad():
            tokens = each.vision_tower(pixel_values)
        answer = each.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            pixel_values=pixel_values,
            max_new_tokens=12,
            do_sample=False,
            eos_token_id=None,
            pad_token_id=0,
        )
        found.append((tokens, answer))
    torch.testing.assert_close(found[0][0], found[1][0], atol=1e-5, rtol=1e-5)
    assert torch.equal(found[0][1], found[1][1])
