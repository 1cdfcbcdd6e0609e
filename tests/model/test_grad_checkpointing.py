"""Gradient checkpointing: the same loss and gradients, fewer saved activations."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from napari_ct_assistant.model import MaskedAutoencoder3D
from napari_ct_assistant.model.encoders import make_encoder
from napari_ct_assistant.model.vit import set_grad_checkpointing
from tests.tiny_model import tiny_model, tiny_vision

DEPTH = 4
PIXELS = torch.rand(2, 1, 32, 64, 64, generator=torch.Generator().manual_seed(0))
NOISE = torch.rand(2, 64, generator=torch.Generator().manual_seed(1))


def masked_autoencoder() -> tuple[nn.Module, Callable[[], Tensor], int]:
    """Return model, loss, and the bytes of its blocks' inputs."""
    vision = tiny_vision(hidden_size=96, num_hidden_layers=DEPTH, dropout=0.1)
    mae = MaskedAutoencoder3D(
        make_encoder(vision), decoder_embed_dim=96, decoder_depth=2, decoder_num_heads=2
    )
    inputs = 2 * 96 * 4 * (DEPTH * 16 + 2 * 64)
    return mae, lambda: mae(PIXELS, NOISE)["loss"], inputs


def language_model() -> tuple[nn.Module, Callable[[], Tensor], int]:
    """Return model, loss, and the bytes of its blocks' inputs."""
    model, _ = tiny_model(vision_config=tiny_vision(num_hidden_layers=DEPTH, dropout=0.1))
    n = model.num_image_tokens
    ids = torch.arange(10, 60).repeat(2, 1)
    ids[:, 1 : 1 + n] = model.config.image_token_id
    labels = ids.masked_fill(ids == model.config.image_token_id, -100)

    def loss() -> Tensor:
        made: Tensor = model(
            input_ids=ids, pixel_values=PIXELS, labels=labels, use_cache=False
        ).loss
        return made

    return model, loss, 2 * 24 * 4 * (DEPTH * 64 + 2 * 50)


def measure(model: nn.Module, loss: Callable[[], Tensor]) -> tuple[int, dict[str, Tensor]]:
    """Return the bytes that a forward pass saves for the backward pass, and what both compute."""
    saved: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    model.zero_grad()
    torch.manual_seed(7)  # of the dropout
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        value = loss()
    value.backward()
    gradients = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    parameters = {p.untyped_storage().data_ptr() for p in model.parameters()}
    size = sum(size for place, size in saved.items() if place not in parameters)
    return size, {"loss": value.detach(), **gradients}


@pytest.mark.parametrize("make", [masked_autoencoder, language_model])
def test_checkpointed_blocks_give_the_same_gradients_for_fewer_activations(
    make: Callable[[], tuple[nn.Module, Callable[[], Tensor], int]],
) -> None:
    torch.manual_seed(0)
    model, loss, inputs = make()
    model.train()
    plain, expected = measure(model, loss)
    assert set_grad_checkpointing(model) == DEPTH + 2
    checkpointed, found = measure(model, loss)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=0, msg=name)
    # Torch keeps the blocks' inputs beside what the hook sees.
    assert checkpointed + inputs < plain / 2
    set_grad_checkpointing(model, enable=False)
    assert measure(model, loss)[0] == plain


def test_a_frozen_encoder_computes_nothing_twice() -> None:
    model, loss, _ = language_model()
    model.vision_tower.requires_grad_(False)
    set_grad_checkpointing(model.train())
    ran = []
    model.vision_tower.blocks[0].mlp.register_forward_hook(lambda *_: ran.append("mlp"))
    loss().backward()
    assert ran == ["mlp"]
