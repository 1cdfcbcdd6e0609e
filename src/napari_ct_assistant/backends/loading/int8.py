"""Linear layers with 8-bit weights, without a quantization library."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

BLOCK: Final = 32  # weights that share a scale


class Int8Linear(nn.Module):
    """A linear layer without bias whose weights are 8-bit integers times a scale for each block.

    Round to nearest, symmetric. The weights are multiplied out for each call, in the precision
    of the input.

    Parameters
    ----------
    in_features, out_features : int
        `in_features` must be a multiple of the block.
    dtype : torch.dtype
        Of the scales.
    """

    weight: Tensor
    scale: Tensor

    def __init__(self, in_features: int, out_features: int, dtype: torch.dtype):
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        blocks = in_features // BLOCK
        weight = torch.empty(out_features, blocks, BLOCK, dtype=torch.int8)
        self.register_buffer("weight", weight)
        self.register_buffer("scale", torch.empty(out_features, blocks, 1, dtype=dtype))

    def quantize(self, weight: Tensor) -> None:
        """Take the weights of a layer. weight: [out_features, in_features]."""
        blocks = weight.float().view(self.out_features, -1, BLOCK)
        scale = blocks.abs().amax(-1, keepdim=True) / 127
        # The scale as it is kept decides how weights are rounded.
        kept = scale.to(self.scale.dtype)
        self.scale.copy_(kept)
        whole = (blocks / kept.float().clamp_min(1e-30)).round().clamp(-127, 127)
        self.weight.copy_(whole.to(torch.int8))

    def forward(self, x: Tensor) -> Tensor:
        """[..., in_features] -> [..., out_features]."""
        weight = (self.weight.to(x.dtype) * self.scale.to(x.dtype)).flatten(1)
        return functional.linear(x, weight)
