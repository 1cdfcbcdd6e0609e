"""Perceivers: from the encoder's tokens to the language model's image tokens.

The six of E3D-GPT's Table 5 and M3D's spatial pooling, in one registry. Each merges k x k x k
neighbours (2744 -> 343 tokens at paper size) and projects to the language model's width.
What Table 5 leaves open (depths, heads, activations) is stated at each class.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from napari_ct_assistant.model.configuration import VolumeLanguageConfig
from napari_ct_assistant.model.positions import sincos_3d

Grid = tuple[int, int, int]


class Perceiver(nn.Module):
    """What every perceiver shares: its sizes, and [B, N, C] <-> [B, C, d, h, w]."""

    def __init__(self, inputs: int, outputs: int, grid: Grid, kernel: int, bias: bool = True):
        super().__init__()
        self.inputs = inputs
        self.outputs = outputs
        self.grid = grid
        self.kernel = kernel
        self.bias = bias
        self.output_grid: Grid = (grid[0] // kernel, grid[1] // kernel, grid[2] // kernel)
        if min(self.output_grid) < 1:
            raise ValueError(f"perceiver_kernel {kernel} is larger than the token grid {grid}")

    @property
    def num_tokens(self) -> int:
        """Image tokens that reach the language model."""
        return math.prod(self.output_grid)

    def to_3d(self, tokens: Tensor) -> Tensor:
        """tokens: [B, N, C] -> [B, C, d, h, w] ("To3D" of E3D-GPT, eq. 1)."""
        return tokens.transpose(1, 2).unflatten(2, self.grid)

    def to_sequence(self, volume: Tensor) -> Tensor:
        """volume: [B, C, d, h, w] -> [B, N, C] ("ToSequence" of E3D-GPT, eq. 3)."""
        return volume.flatten(2).transpose(1, 2)

    def blocks(self, tokens: Tensor) -> Tensor:
        """Group the neighbours that are merged. tokens: [B, N, C] -> [B, n, k^3, C]."""
        k = self.kernel
        d, h, w = self.output_grid
        x = tokens.unflatten(1, self.grid)[:, : d * k, : h * k, : w * k]
        x = x.reshape(len(x), d, k, h, k, w, k, -1).permute(0, 1, 3, 5, 2, 4, 6, 7)
        return x.reshape(len(x), d * h * w, k**3, -1)


class ConvolutionPerceiver(Perceiver):
    """E3D-GPT's own: one Conv3d with kernel = stride = k that merges and projects (eq. 2)."""

    def __init__(self, inputs: int, outputs: int, grid: Grid, kernel: int, bias: bool = True):
        super().__init__(inputs, outputs, grid, kernel, bias)
        self.convolution = nn.Conv3d(inputs, outputs, kernel, stride=kernel, bias=bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens: [B, N, C] -> [B, n, outputs]."""
        return self.to_sequence(self.convolution(self.to_3d(tokens)))


class PoolingPerceiver(Perceiver):
    """Average or maximum over the neighbours, then one linear layer (Table 5)."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        grid: Grid,
        kernel: int,
        bias: bool = True,
        *,
        pool: Callable[..., Tensor],
    ):
        super().__init__(inputs, outputs, grid, kernel, bias)
        self.pool = pool
        self.projection = nn.Linear(inputs, outputs, bias=bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens: [B, N, C] -> [B, n, outputs]."""
        return self.projection(self.to_sequence(self.pool(self.to_3d(tokens), self.kernel)))


class SpatialPoolingPerceiver(Perceiver):
    """M3D's: average over the neighbours, then Linear, GELU, Linear (`spp`, mlp, 2 layers)."""

    def __init__(self, inputs: int, outputs: int, grid: Grid, kernel: int, bias: bool = True):
        super().__init__(inputs, outputs, grid, kernel, bias)
        self.projector = nn.Sequential(
            nn.Linear(inputs, outputs, bias=bias), nn.GELU(), nn.Linear(outputs, outputs, bias=bias)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens: [B, N, C] -> [B, n, outputs]."""
        pooled = nn.functional.avg_pool3d(self.to_3d(tokens), self.kernel)
        return self.projector(self.to_sequence(pooled))


class MixerPerceiver(Perceiver):
    """MLP-Mixer: mix all tokens down to n along the sequence, then the channels (Table 5).

    One mixing layer each way, as wide as its output; the paper gives no sizes.
    """

    def __init__(self, inputs: int, outputs: int, grid: Grid, kernel: int, bias: bool = True):
        super().__init__(inputs, outputs, grid, kernel, bias)
        self.norm_tokens = nn.LayerNorm(inputs)
        self.mix_tokens = nn.Sequential(
            nn.Linear(math.prod(grid), self.num_tokens, bias=bias),
            nn.GELU(),
            nn.Linear(self.num_tokens, self.num_tokens, bias=bias),
        )
        self.norm_channels = nn.LayerNorm(inputs)
        self.mix_channels = nn.Sequential(
            nn.Linear(inputs, outputs, bias=bias), nn.GELU(), nn.Linear(outputs, outputs, bias=bias)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens: [B, N, C] -> [B, n, outputs]."""
        mixed = self.mix_tokens(self.norm_tokens(tokens).transpose(1, 2)).transpose(1, 2)
        return self.mix_channels(self.norm_channels(mixed))


class CrossAttention(nn.Module):
    """One Q-Former layer: queries attend to keys, then an MLP (pre-norm)."""

    def __init__(self, width: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.norm_query = nn.LayerNorm(width)
        self.norm_key = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.projection = nn.Linear(width, width)
        self.norm_mlp = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        """queries: [B, q, C], keys: [B, n, C] -> [B, q, C]."""
        b, count, width = queries.shape
        q = self.query(self.norm_query(queries)).reshape(b, count, self.num_heads, -1)
        kv = self.key_value(self.norm_key(keys)).reshape(b, keys.shape[1], 2, self.num_heads, -1)
        k, v = kv.permute(2, 0, 3, 1, 4)
        x = nn.functional.scaled_dot_product_attention(q.transpose(1, 2), k, v)
        queries = queries + self.projection(x.transpose(1, 2).reshape(b, count, width))
        return queries + self.mlp(self.norm_mlp(queries))


def _heads(width: int) -> int:
    """Return the largest of 16, 8, ... 1 heads that divides a width."""
    return next(h for h in (16, 8, 4, 2, 1) if width % h == 0)


class GlobalQFormerPerceiver(Perceiver):
    """n learned queries attend to all tokens: two layers (Table 5 gives no depth)."""

    def __init__(self, inputs: int, outputs: int, grid: Grid, kernel: int, bias: bool = True):
        super().__init__(inputs, outputs, grid, kernel, bias)
        self.queries = nn.Parameter(torch.randn(1, self.num_tokens, inputs) * 0.02)
        self.layers = nn.ModuleList(CrossAttention(inputs, _heads(inputs)) for _ in range(2))
        self.projection = nn.Linear(inputs, outputs, bias=bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens: [B, N, C] -> [B, n, outputs]."""
        queries = self.queries.expand(len(tokens), -1, -1)
        for layer in self.layers:
            queries = layer(queries, tokens)
        return self.projection(queries)


class LocalQFormerPerceiver(Perceiver):
    """Each query attends only to its own k^3 neighbours (Cambrian-1's idea, Table 5)."""

    def __init__(self, inputs: int, outputs: int, grid: Grid, kernel: int, bias: bool = True):
        super().__init__(inputs, outputs, grid, kernel, bias)
        self.queries = nn.Parameter(torch.randn(1, self.num_tokens, inputs) * 0.02)
        self.layers = nn.ModuleList(CrossAttention(inputs, _heads(inputs)) for _ in range(2))
        self.projection = nn.Linear(inputs, outputs, bias=bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens: [B, N, C] -> [B, n, outputs]."""
        keys = self.blocks(tokens).flatten(0, 1)  # [B*n, k^3, C]
        queries = self.queries.expand(len(tokens), -1, -1).reshape(len(keys), 1, -1)
        for layer in self.layers:
            queries = layer(queries, keys)
        return self.projection(queries.reshape(len(tokens), self.num_tokens, -1))


def _average(inputs: int, outputs: int, grid: Grid, kernel: int, bias: bool = True) -> Perceiver:
    return PoolingPerceiver(inputs, outputs, grid, kernel, bias, pool=nn.functional.avg_pool3d)


def _maximum(inputs: int, outputs: int, grid: Grid, kernel: int, bias: bool = True) -> Perceiver:
    return PoolingPerceiver(inputs, outputs, grid, kernel, bias, pool=nn.functional.max_pool3d)


PERCEIVERS: dict[str, Callable[..., Perceiver]] = {
    "convolution": ConvolutionPerceiver,
    "global_qformer": GlobalQFormerPerceiver,
    "local_qformer": LocalQFormerPerceiver,
    "mlp_mixer": MixerPerceiver,
    "average_pooling": _average,
    "max_pooling": _maximum,
    "spatial_pooling": SpatialPoolingPerceiver,
}


class ImageProjector(nn.Module):
    """The perceiver that a configuration names, with its optional positions.

    Of each token it may read the concepts alone (`perceiver_concepts_only`).
    """

    def __init__(self, config: VolumeLanguageConfig):
        super().__init__()
        if config.perceiver not in PERCEIVERS:
            raise ValueError(
                f"unknown perceiver {config.perceiver!r}; choose one of {', '.join(PERCEIVERS)}"
            )
        vision = config.vision_config
        self.first_channel = config.first_channel
        self.perceiver = PERCEIVERS[config.perceiver](
            vision.output_size - self.first_channel,
            config.hidden_size,
            vision.grid,
            config.perceiver_kernel,
            config.perceiver_bias,
        )
        self.position_scale = config.perceiver_position
        if self.position_scale:
            self.register_buffer("position", self.make_position(), persistent=False)

    def make_position(self) -> Tensor:
        """Return the positions of the image tokens, [1, n, outputs]."""
        position = sincos_3d(self.perceiver.output_grid, self.perceiver.outputs)[None]
        return self.position_scale * position

    @property
    def num_tokens(self) -> int:
        """Image tokens that reach the language model."""
        return self.perceiver.num_tokens

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens: [B, N, C] -> image tokens [B, n, hidden_size of the language model]."""
        image = self.perceiver(tokens[..., self.first_channel :])
        return image + self.position.to(image.dtype) if self.position_scale else image
