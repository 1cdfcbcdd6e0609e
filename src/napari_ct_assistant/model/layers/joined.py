"""Linear layers of one input whose weights stand one behind the other, computed as one product.

A product with one token takes as long as its weights take to be read, and a long run of memory is
read faster than several short ones. Each layer keeps its own weight, as a part of the whole: no
memory is added.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn

from napari_ct_assistant.model.layers.onednn import Linear, linear

PLAIN: Final = (Linear, nn.Linear)


def join(layers: Sequence[Any]) -> None:
    """Move the weights of linear layers together; the layers compute what they did before."""
    whole = torch.cat([layer.weight.data for layer in layers])
    parts = whole.split([len(layer.weight) for layer in layers])
    for layer, part in zip(layers, parts, strict=True):
        layer.weight.data = part


class Joined:
    """What several layers make of the same input, one behind the other.

    Parameters
    ----------
    layers
        It is read from their weights whether `join` moved them together. A layer that was
        replaced, quantized or moved since is computed by itself.
    """

    def __init__(self, layers: Sequence[Any]):
        self.layers = layers
        self.weight = _whole(layers)
        self.bias: Tensor | None = None
        if self.weight is not None and layers[0].bias is not None:
            self.bias = torch.cat([layer.bias.data for layer in layers])

    def __call__(self, x: Tensor) -> Tensor:
        """x: [..., in_features] -> [..., sum of out_features]."""
        if self.weight is None:
            return torch.cat([layer(x) for layer in self.layers], dim=-1)
        return linear(x, self.weight, self.bias)


def _whole(layers: Sequence[Any]) -> Tensor | None:
    """Return the weights of layers as one matrix, None where they do not stand together."""
    if any(type(layer) not in PLAIN for layer in layers):
        return None
    first: Tensor = layers[0].weight.data
    place = first.storage_offset()
    for layer in layers:
        weight = layer.weight.data
        if (
            weight.untyped_storage().data_ptr() != first.untyped_storage().data_ptr()
            or weight.storage_offset() != place
            or weight.dtype != first.dtype
            or not weight.is_contiguous()
            or weight.shape[1] != first.shape[1]
            or (layer.bias is None) != (layers[0].bias is None)
        ):
            return None
        place += weight.numel()
    rows = sum(len(layer.weight) for layer in layers)
    return first.as_strided((rows, first.shape[1]), (first.shape[1], 1))
