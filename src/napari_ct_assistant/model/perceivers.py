"""Perceivers: from the encoder's tokens to the language model's image tokens.

The six of E3D-GPT's Table 5, M3D's spatial pooling and RadFM's resampler, in one registry. Each
merges k x k x k neighbouring tokens (2744 -> 343 at paper size), or all of them into a few (RadFM),
and projects to the language model's channels. What Table 5 leaves open (depths, heads, activations)
is stated at each class.

Shapes: B volumes, N tokens, n = N / k^3 image tokens, C channels (`in_dim`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from napari_ct_assistant.model.configuration import VolumeLanguageConfig

Grid = tuple[int, int, int]
# Names of the last layers, whose outputs are as wide as the language model.
LAST_LAYER = ("convolution.", "projection.", "projector.", "mix_channels.")


class Perceiver(nn.Module):
    """What every perceiver shares: its sizes, and [B, N, C] <-> [B, C, d, h, w].

    Parameters
    ----------
    in_dim, out_dim : int
        Channels of a token, and of an image token.
    grid : (d, h, w)
        Of the tokens.
    kernel : int
        k, tokens merged along each axis.
    bias : bool
        Of the projections.

    Raises
    ------
    ValueError
        If the kernel is larger than the grid.
    """

    # Whether image token (i, j, k) of `output_grid` stands for that place in the scan.
    spatial = True

    def __init__(self, in_dim: int, out_dim: int, grid: Grid, kernel: int, bias: bool = True):
        super().__init__()
        self.in_dim = in_dim
        self.out_dim = out_dim
        self.grid = grid
        self.kernel = kernel
        self.bias = bias
        self.output_grid: Grid = (grid[0] // kernel, grid[1] // kernel, grid[2] // kernel)
        if min(self.output_grid) < 1:
            raise ValueError(f"perceiver_kernel {kernel} is larger than the token grid {grid}")

    @property
    def num_tokens(self) -> int:
        """Image tokens that reach the language model: n."""
        return math.prod(self.output_grid)

    def to_3d(self, tokens: Tensor) -> Tensor:
        """tokens: [B, N, C] -> [B, C, d, h, w] ("To3D" of E3D-GPT, eq. 1)."""
        return tokens.transpose(1, 2).unflatten(2, self.grid)

    def to_sequence(self, volume: Tensor) -> Tensor:
        """volume: [B, C, d, h, w] -> [B, N, C] ("ToSequence" of E3D-GPT, eq. 3)."""
        return volume.flatten(2).transpose(1, 2)

    def neighbourhoods(self, tokens: Tensor) -> Tensor:
        """Group the tokens that are merged. tokens: [B, N, C] -> [B, n, k^3, C]."""
        k = self.kernel
        d, h, w = self.output_grid
        x = tokens.unflatten(1, self.grid)[:, : d * k, : h * k, : w * k]
        x = x.reshape(len(x), d, k, h, k, w, k, -1).permute(0, 1, 3, 5, 2, 4, 6, 7)
        return x.reshape(len(x), d * h * w, k**3, -1)


class ConvolutionPerceiver(Perceiver):
    """E3D-GPT's own: one Conv3d with kernel = stride = k merges and projects (eq. 2)."""

    def __init__(self, in_dim: int, out_dim: int, grid: Grid, kernel: int, bias: bool = True):
        super().__init__(in_dim, out_dim, grid, kernel, bias)
        self.convolution = nn.Conv3d(in_dim, out_dim, kernel, stride=kernel, bias=bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens: [B, N, C] -> [B, n, out_dim]."""
        return self.to_sequence(self.convolution(self.to_3d(tokens)))


class PoolingPerceiver(Perceiver):
    """Average or maximum over the neighbours, then one linear layer (Table 5)."""

    def __init__(
        self,
        in_dim: int,
        out_dim: int,
        grid: Grid,
        kernel: int,
        bias: bool = True,
        *,
        pool: Callable[..., Tensor],
    ):
        super().__init__(in_dim, out_dim, grid, kernel, bias)
        self.pool = pool
        self.projection = nn.Linear(in_dim, out_dim, bias=bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens: [B, N, C] -> [B, n, out_dim]."""
        return self.projection(self.to_sequence(self.pool(self.to_3d(tokens), self.kernel)))


class SpatialPoolingPerceiver(Perceiver):
    """M3D's: average over the neighbours, then Linear, GELU, Linear (`spp`, mlp, 2 layers)."""

    def __init__(self, in_dim: int, out_dim: int, grid: Grid, kernel: int, bias: bool = True):
        super().__init__(in_dim, out_dim, grid, kernel, bias)
        self.projector = nn.Sequential(
            nn.Linear(in_dim, out_dim, bias=bias),
            nn.GELU(),
            nn.Linear(out_dim, out_dim, bias=bias),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens: [B, N, C] -> [B, n, out_dim]."""
        pooled = nn.functional.avg_pool3d(self.to_3d(tokens), self.kernel)
        return self.projector(self.to_sequence(pooled))


class MixerPerceiver(Perceiver):
    """MLP-Mixer: mix the N tokens down to n along the sequence, then the channels (Table 5).

    One mixing layer each way, with as many hidden units as outputs; the paper gives no sizes.
    """

    spatial = False

    def __init__(self, in_dim: int, out_dim: int, grid: Grid, kernel: int, bias: bool = True):
        super().__init__(in_dim, out_dim, grid, kernel, bias)
        self.norm_tokens = nn.LayerNorm(in_dim)
        self.mix_tokens = nn.Sequential(
            nn.Linear(math.prod(grid), self.num_tokens, bias=bias),
            nn.GELU(),
            nn.Linear(self.num_tokens, self.num_tokens, bias=bias),
        )
        self.norm_channels = nn.LayerNorm(in_dim)
        self.mix_channels = nn.Sequential(
            nn.Linear(in_dim, out_dim, bias=bias),
            nn.GELU(),
            nn.Linear(out_dim, out_dim, bias=bias),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens: [B, N, C] -> [B, n, out_dim]."""
        mixed = self.mix_tokens(self.norm_tokens(tokens).transpose(1, 2)).transpose(1, 2)
        return self.mix_channels(self.norm_channels(mixed))


class CrossAttention(nn.Module):
    """One Q-Former layer: queries attend to keys, then an MLP (pre-norm)."""

    def __init__(self, dim: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.norm_query = nn.LayerNorm(dim)
        self.norm_key = nn.LayerNorm(dim)
        self.query = nn.Linear(dim, dim)
        self.key_value = nn.Linear(dim, 2 * dim)
        self.projection = nn.Linear(dim, dim)
        self.norm_mlp = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        """queries: [B, q, C], keys: [B, m, C] -> [B, q, C]."""
        b, count, dim = queries.shape
        q = self.query(self.norm_query(queries)).reshape(b, count, self.num_heads, -1)
        kv = self.key_value(self.norm_key(keys)).reshape(b, keys.shape[1], 2, self.num_heads, -1)
        k, v = kv.permute(2, 0, 3, 1, 4)
        x = nn.functional.scaled_dot_product_attention(q.transpose(1, 2), k, v)
        queries = queries + self.projection(x.transpose(1, 2).reshape(b, count, dim))
        return queries + self.mlp(self.norm_mlp(queries))


class QFormerPerceiver(Perceiver):
    """Learned queries attend to tokens, then one linear layer: two layers (no depth in Table 5).

    As many heads as divide the channels, at most 16.
    """

    def __init__(self, in_dim: int, out_dim: int, grid: Grid, kernel: int, bias: bool = True):
        super().__init__(in_dim, out_dim, grid, kernel, bias)
        num_heads = next(heads for heads in (16, 8, 4, 2, 1) if in_dim % heads == 0)
        self.queries = nn.Parameter(torch.randn(1, self.num_tokens, in_dim) * 0.02)
        self.layers = nn.ModuleList(CrossAttention(in_dim, num_heads) for _ in range(2))
        self.projection = nn.Linear(in_dim, out_dim, bias=bias)


class GlobalQFormerPerceiver(QFormerPerceiver):
    """Every query attends to all tokens."""

    spatial = False

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens: [B, N, C] -> [B, n, out_dim]."""
        queries = self.queries.expand(len(tokens), -1, -1)
        for layer in self.layers:
            queries = layer(queries, tokens)
        return self.projection(queries)


class LocalQFormerPerceiver(QFormerPerceiver):
    """Every query attends only to its own k^3 neighbours (the idea of Cambrian-1)."""

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens: [B, N, C] -> [B, n, out_dim]."""
        keys = self.neighbourhoods(tokens).flatten(0, 1)  # [B*n, k^3, C]
        queries = self.queries.expand(len(tokens), -1, -1).reshape(len(keys), 1, -1)
        for layer in self.layers:
            queries = layer(queries, keys)
        return self.projection(queries.reshape(len(tokens), self.num_tokens, -1))


class ResamplerLayer(nn.Module):
    """One layer of RadFM's (Flamingo's) resampler: latents attend to tokens and to themselves."""

    def __init__(self, dim: int, num_heads: int, head_dim: int):
        super().__init__()
        self.num_heads = num_heads
        inner_dim = num_heads * head_dim
        self.norm_tokens = nn.LayerNorm(dim)
        self.norm_latents = nn.LayerNorm(dim)
        self.query = nn.Linear(dim, inner_dim, bias=False)
        self.key_value = nn.Linear(dim, 2 * inner_dim, bias=False)
        self.projection = nn.Linear(inner_dim, dim, bias=False)
        self.mlp = nn.Sequential(
            nn.LayerNorm(dim),
            nn.Linear(dim, 4 * dim, bias=False),
            nn.GELU(),
            nn.Linear(4 * dim, dim, bias=False),
        )

    def forward(self, latents: Tensor, tokens: Tensor) -> Tensor:
        """latents: [B, q, C], tokens: [B, N, C] -> [B, q, C]."""
        own = self.norm_latents(latents)
        both = torch.cat([self.norm_tokens(tokens), own], dim=1)
        q = self.query(own).unflatten(2, (self.num_heads, -1)).transpose(1, 2)
        k, v = self.key_value(both).unflatten(2, (2, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        x = nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        latents = latents + self.projection(x)
        return latents + self.mlp(latents)


class ResamplerPerceiver(Perceiver):
    """RadFM's: learned latents attend to all tokens in six layers, then one linear layer.

    The number of image tokens is that of the latents, whatever the grid and the kernel.
    """

    spatial = False
    NUM_HEADS = 8  # in RadFM's code; no checkpoint says it

    def __init__(
        self,
        in_dim: int,
        out_dim: int,
        grid: Grid,
        kernel: int,
        bias: bool = True,
        *,
        latents: int = 32,
        layers: int = 6,
        head_dim: int = 64,
        heads: int = NUM_HEADS,
    ):
        super().__init__(in_dim, out_dim, grid, kernel, bias)
        self.output_grid = (1, 1, latents)
        self.latents = nn.Parameter(torch.randn(latents, in_dim))
        self.layers = nn.ModuleList(ResamplerLayer(in_dim, heads, head_dim) for _ in range(layers))
        self.norm = nn.LayerNorm(in_dim)
        self.projection = nn.Linear(in_dim, out_dim, bias=bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens: [B, N, C] -> [B, latents, out_dim]."""
        latents = self.latents.expand(len(tokens), -1, -1)
        for layer in self.layers:
            latents = layer(latents, tokens)
        return self.projection(self.norm(latents))


def resampler_sizes(shapes: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """Return a resampler's settings in `VolumeLanguageConfig`, from its tensors' shapes."""
    layers = {int(name.split(".")[1]) for name in shapes if name.startswith("layers.")}
    inner = shapes["layers.0.query.weight"][0]
    return {
        "perceiver_latents": shapes["latents"][0],
        "perceiver_layers": len(layers),
        "perceiver_head_dim": inner // ResamplerPerceiver.NUM_HEADS,
    }


def _average(in_dim: int, out_dim: int, grid: Grid, kernel: int, bias: bool = True) -> Perceiver:
    return PoolingPerceiver(in_dim, out_dim, grid, kernel, bias, pool=nn.functional.avg_pool3d)


def _maximum(in_dim: int, out_dim: int, grid: Grid, kernel: int, bias: bool = True) -> Perceiver:
    return PoolingPerceiver(in_dim, out_dim, grid, kernel, bias, pool=nn.functional.max_pool3d)


PERCEIVERS: dict[str, Callable[..., Perceiver]] = {
    "convolution": ConvolutionPerceiver,
    "global_qformer": GlobalQFormerPerceiver,
    "local_qformer": LocalQFormerPerceiver,
    "mlp_mixer": MixerPerceiver,
    "average_pooling": _average,
    "max_pooling": _maximum,
    "spatial_pooling": SpatialPoolingPerceiver,
    "resampler": ResamplerPerceiver,
}


class ImageProjector(nn.Module):
    """The perceiver that a configuration names.

    Parameters
    ----------
    config : VolumeLanguageConfig
    in_dim : int, optional
        Channels that the perceiver reads; those of an encoder's token when absent.

    Raises
    ------
    ValueError
        If there is no perceiver of that name.
    """

    def __init__(self, config: VolumeLanguageConfig, in_dim: int | None = None):
        super().__init__()
        if config.perceiver not in PERCEIVERS:
            raise ValueError(
                f"unknown perceiver {config.perceiver!r}; choose one of {', '.join(PERCEIVERS)}"
            )
        vision = config.vision_config
        sizes = {
            "latents": config.perceiver_latents,
            "layers": config.perceiver_layers,
            "head_dim": config.perceiver_head_dim,
        }
        self.perceiver = PERCEIVERS[config.perceiver](
            in_dim or vision.output_size,
            config.hidden_size,
            vision.grid,
            config.perceiver_kernel,
            config.perceiver_bias,
            **(sizes if config.perceiver == "resampler" else {}),
        )

    @property
    def num_tokens(self) -> int:
        """Image tokens that reach the language model: n."""
        return self.perceiver.num_tokens

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens: [B, N, C] -> image tokens [B, n, hidden_size of the language model]."""
        return self.perceiver(tokens)
