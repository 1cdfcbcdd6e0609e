"""NV-Reason-CT's encoder and the merger behind it, named as the tensors `model.vision3d.*`."""

from __future__ import annotations

from typing import Final

from torch import Tensor, nn
from torch.nn import functional

from napari_ct_assistant.backends.primus.network import Primus, Triple

MERGER_EPS: Final = 1e-6


class Vision3D(nn.Module):
    """Encoder and merger: a volume becomes one embedding of the language model for each patch.

    Parameters
    ----------
    input_shape, patch_size : (T, H, W)
        Voxels of the input and of a patch, in the order z, y, x.
    embed_dim, depth, num_heads : int
    mlp_hidden : int
    out_hidden_size : int
        Width of the language model.
    """

    def __init__(
        self,
        input_shape: Triple,
        patch_size: Triple,
        embed_dim: int,
        depth: int,
        num_heads: int,
        mlp_hidden: int,
        out_hidden_size: int,
    ):
        super().__init__()
        self.sub_vision = Primus(input_shape, patch_size, embed_dim, depth, num_heads, mlp_hidden)
        self.merger = Merger(embed_dim, out_hidden_size)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Return the embeddings. pixel_values: [B, 1, T, H, W] -> [B, N, out_hidden_size]."""
        features: Tensor = self.merger(self.sub_vision(pixel_values))
        return features


class Merger(nn.Module):
    """From the encoder's width to the language model's; no tokens are joined."""

    def __init__(self, embed_dim: int, out_hidden_size: int):
        super().__init__()
        self.norm = nn.LayerNorm(embed_dim, eps=MERGER_EPS)
        self.linear_fc1 = nn.Linear(embed_dim, embed_dim)
        self.linear_fc2 = nn.Linear(embed_dim, out_hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, embed_dim] -> [B, N, out_hidden_size]."""
        hidden = functional.gelu(self.linear_fc1(self.norm(x)))
        merged: Tensor = self.linear_fc2(hidden)
        return merged
