"""Primus: the 3D vision transformer of NV-Reason-CT and COLIPRI.

Wald et al. 2025 (arXiv 2503.01835), with an EVA-02 trunk: rotary positions on three axes, layer
scale, a LayerNorm within attention and MLP. Names are those of the published tensors, so that
weights need no table. Evaluation only: no drop path, no mask token.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_ct_assistant.model.layers.onednn import Linear, attention

ROPE_BASE: Final = 10_000.0
TRUNK_EPS: Final = 1e-5
MLP_CHUNK: Final = 512  # tokens at a time; bounds the memory of the wide layer

Triple = tuple[int, int, int]


class Primus(nn.Module):
    """The encoder: a volume becomes one token for each patch.

    Parameters
    ----------
    input_shape, patch_size : (T, H, W)
        Voxels of the input and of a patch, in the order of its axes.
    embed_dim, depth, num_heads : int
    mlp_hidden : int
    """

    def __init__(
        self,
        input_shape: Triple,
        patch_size: Triple,
        embed_dim: int,
        depth: int,
        num_heads: int,
        mlp_hidden: int,
    ):
        super().__init__()
        t, h, w = (n // p for n, p in zip(input_shape, patch_size, strict=True))
        self.grid = (t, h, w)
        self.down_projection = PatchEmbed(patch_size, embed_dim)
        self.eva = Eva(self.grid, embed_dim, depth, num_heads, mlp_hidden)

    def forward(
        self, pixel_values: Tensor, before_block: Callable[[], None] | None = None
    ) -> Tensor:
        """Return the tokens, t-major, then h, then w. [B, 1, T, H, W] -> [B, N, embed_dim].

        `before_block` is called before each block; it may raise to stop.
        """
        tokens: Tensor = self.eva(self.down_projection(pixel_values), before_block)
        return tokens


class PatchEmbed(nn.Module):
    """One token for each patch."""

    def __init__(self, patch_size: Triple, embed_dim: int):
        super().__init__()
        self.proj = nn.Conv3d(1, embed_dim, kernel_size=patch_size, stride=patch_size)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """[B, 1, T, H, W] -> [B, N, embed_dim]."""
        embedded: Tensor = self.proj(pixel_values.to(self.proj.weight.dtype))
        return embedded.flatten(2).transpose(1, 2)


class Eva(nn.Module):
    """The trunk: blocks with rotary positions, and a final norm."""

    def __init__(self, grid: Triple, embed_dim: int, depth: int, num_heads: int, mlp_hidden: int):
        super().__init__()
        self.grid = grid
        self.head_dim = embed_dim // num_heads
        self.blocks = nn.ModuleList([Block(embed_dim, num_heads, mlp_hidden) for _ in range(depth)])
        self.norm = nn.LayerNorm(embed_dim, eps=TRUNK_EPS)
        # In float32 whatever the precision of the weights, and in no checkpoint.
        self.register_buffer("rope", torch.empty(0), persistent=False)

    def reset_rope(self, device: torch.device) -> None:
        """Compute the rotary table: sine, then cosine. [2, N, head_dim] in float32."""
        self.rope = rotary_table(self.grid, self.head_dim).to(device)

    def forward(self, x: Tensor, before_block: Callable[[], None] | None = None) -> Tensor:
        """[B, N, embed_dim] -> [B, N, embed_dim]."""
        if not self.rope.numel():
            self.reset_rope(x.device)
        for block in self.blocks:
            if before_block is not None:
                before_block()
            x = block(x, self.rope)
        normed: Tensor = self.norm(x)
        return normed


class Block(nn.Module):
    """Attention, then a gated MLP, each normed before and scaled per channel after."""

    def __init__(self, embed_dim: int, num_heads: int, mlp_hidden: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(embed_dim, eps=TRUNK_EPS)
        self.attn = Attention(embed_dim, num_heads)
        self.gamma_1 = nn.Parameter(torch.empty(embed_dim))
        self.norm2 = nn.LayerNorm(embed_dim, eps=TRUNK_EPS)
        self.mlp = SwiGLU(embed_dim, mlp_hidden)
        self.gamma_2 = nn.Parameter(torch.empty(embed_dim))

    def forward(self, x: Tensor, rope: Tensor) -> Tensor:
        """[B, N, embed_dim] -> [B, N, embed_dim]."""
        x = x + self.gamma_1 * self.attn(self.norm1(x), rope)
        if torch.is_grad_enabled() and x.requires_grad:
            return x + self.gamma_2 * self.mlp(self.norm2(x))
        # A token's MLP does not depend on the other tokens.
        parts = [p + self.gamma_2 * self.mlp(self.norm2(p)) for p in x.split(MLP_CHUNK, dim=1)]
        return torch.cat(parts, dim=1)


class Attention(nn.Module):
    """Multi-head attention with rotary positions; the concatenated heads are normed."""

    def __init__(self, embed_dim: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.q_proj = Linear(embed_dim, embed_dim)
        self.k_proj = Linear(embed_dim, embed_dim, bias=False)
        self.v_proj = Linear(embed_dim, embed_dim)
        self.norm = nn.LayerNorm(embed_dim, eps=TRUNK_EPS)
        self.proj = Linear(embed_dim, embed_dim)

    def forward(self, x: Tensor, rope: Tensor) -> Tensor:
        """[B, N, embed_dim] -> [B, N, embed_dim]; the scores [N, N] are never held whole."""
        b, n, dim = x.shape
        heads = (b, n, self.num_heads, dim // self.num_heads)
        q, k, v = (
            p(x).view(heads).transpose(1, 2) for p in (self.q_proj, self.k_proj, self.v_proj)
        )
        q, k = rotated(q, rope).type_as(v), rotated(k, rope).type_as(v)
        joined: Tensor = self.proj(self.norm(attention(q, k, v).reshape(b, n, dim)))
        return joined


class SwiGLU(nn.Module):
    """SiLU(fc1_g(x)) * fc1_x(x), normed, then fc2."""

    def __init__(self, embed_dim: int, hidden: int):
        super().__init__()
        self.fc1_g = Linear(embed_dim, hidden)
        self.fc1_x = Linear(embed_dim, hidden)
        self.norm = nn.LayerNorm(hidden, eps=TRUNK_EPS)
        self.fc2 = Linear(hidden, embed_dim)

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, embed_dim] -> [B, N, embed_dim]."""
        gated = functional.silu(self.fc1_g(x)) * self.fc1_x(x)
        projected: Tensor = self.fc2(self.norm(gated))
        return projected


def rotary_table(grid: Triple, head_dim: int) -> Tensor:
    """Return sine and cosine of each token's angles. [2, N, head_dim], float32.

    Each of the three axes has head_dim / 6 frequencies; each angle stands twice, side by side
    (timm's `RotaryEmbeddingCat` with integer positions).
    """
    count = head_dim // 6
    frequencies = 1.0 / ROPE_BASE ** (torch.arange(count, dtype=torch.float32) / count)
    places = torch.stack(
        torch.meshgrid(*(torch.arange(n, dtype=torch.float32) for n in grid), indexing="ij"), dim=-1
    )
    angles = places.reshape(-1, 3, 1) * frequencies  # [N, 3, count]
    angles = angles.flatten(1).repeat_interleave(2, dim=-1)
    return torch.stack([angles.sin(), angles.cos()])


def rotated(x: Tensor, rope: Tensor) -> Tensor:
    """Rotate neighbouring pairs of channels, in float32. x: [B, heads, N, head_dim]."""
    sin, cos = rope[0], rope[1]
    turned = x * cos
    turned[..., ::2] -= x[..., 1::2] * sin[..., ::2]
    turned[..., 1::2] += x[..., ::2] * sin[..., 1::2]
    return turned
