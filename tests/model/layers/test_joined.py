"""Layers whose weights stand together give what each of them gives alone."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from napari_ct_assistant.model.layers.joined import Joined, join


@pytest.fixture(params=[True, False], ids=["biases", "no biases"])
def layers(request: pytest.FixtureRequest) -> list[Any]:
    torch.manual_seed(0)
    made = [nn.Linear(8, out, bias=request.param) for out in (6, 2, 2)]
    return [layer.requires_grad_(False) for layer in made]


def test_layers_that_stand_together_are_one_product(layers: list[Any]) -> None:
    x = torch.rand(3, 8)
    before = [layer.weight.clone() for layer in layers]
    expected = torch.cat([layer(x) for layer in layers], dim=-1)
    assert Joined(layers).weight is None
    torch.testing.assert_close(Joined(layers)(x), expected)
    join(layers)
    joined = Joined(layers)
    assert joined.weight is not None
    assert joined.weight.data_ptr() == layers[0].weight.data_ptr()
    torch.testing.assert_close(joined(x), expected)
    assert all(torch.equal(a.weight, b) for a, b in zip(layers, before, strict=True))
    torch.testing.assert_close(Joined(copy.deepcopy(layers))(x), expected)


def test_a_layer_that_was_changed_since_is_computed_by_itself(layers: list[Any]) -> None:
    x = torch.rand(3, 8)
    join(layers)
    layers[1].weight = nn.Parameter(torch.rand(2, 8), requires_grad=False)
    joined = Joined(layers)
    assert joined.weight is None
    torch.testing.assert_close(joined(x), torch.cat([layer(x) for layer in layers], dim=-1))
    layers[1] = nn.Sequential(layers[1])
    assert Joined(layers).weight is None
    # Parts of one storage in another order.
    join(layers[::2])
    assert Joined([layers[2], layers[0]]).weight is None
