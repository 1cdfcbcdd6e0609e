"""The 3D vision transformer: E3D-GPT's encoder, and M3D-CLIP's by configuration.

The way through it: voxels -> stem -> tokens + positions -> blocks -> norm -> concepts.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from napari_ct_assistant.model.configuration import VisionConfig3D
from napari_ct_assistant.model.grounded.concept_maps import DetailReadout, with_places
from napari_ct_assistant.model.grounded.stem import STEMS
from napari_ct_assistant.model.positions import sincos_3d


class Attention(nn.Module):
    """Multi-head self-attention over all tokens."""

    def __init__(self, width: int, num_heads: int, *, qkv_bias: bool = True, dropout: float = 0.0):
        super().__init__()
        self.num_heads = num_heads
        self.dropout = dropout
        self.qkv = nn.Linear(width, 3 * width, bias=qkv_bias)
        self.projection = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """x: [B, N, C] -> [B, N, C]."""
        b, n, c = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        x = nn.functional.scaled_dot_product_attention(
            q, k, v, dropout_p=self.dropout if self.training else 0.0
        )
        return self.projection(x.transpose(1, 2).reshape(b, n, c))


class Block(nn.Module):
    """Pre-norm transformer block."""

    def __init__(
        self,
        width: int,
        num_heads: int,
        *,
        mlp_ratio: float = 4.0,
        qkv_bias: bool = True,
        eps: float = 1e-6,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=eps)
        self.attention = Attention(width, num_heads, qkv_bias=qkv_bias, dropout=dropout)
        self.norm2 = nn.LayerNorm(width, eps=eps)
        hidden = int(width * mlp_ratio)
        self.mlp = nn.Sequential(
            nn.Linear(width, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """x: [B, N, C] -> [B, N, C]."""
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class VisionTransformer3D(PreTrainedModel):
    """Encode a CT volume into tokens.

    Output tokens are [B, N, output_size], N = d*h*w, D-major. With concepts
    (`config.num_concepts`), the last channels of a token are the probabilities that each
    concept (finding, degree, lobe) lies in its patch, times
    `config.concept_scale`: what stage `ground` taught, agreed upon over the volume
    (`concept_maps`).
    """

    config_class = VisionConfig3D
    config: VisionConfig3D
    base_model_prefix = "vision_tower"
    main_input_name = "pixel_values"
    _no_split_modules: ClassVar[list[str]] = ["Block"]
    _supports_sdpa = True

    def __init__(self, config: VisionConfig3D):
        super().__init__(config)
        width = config.hidden_size
        self.stem: nn.Module = STEMS[config.stem](config)
        if config.position == "sincos":
            # A constant of the configuration, made anew in `_init_weights`: not in checkpoints.
            self.register_buffer("position", sincos_3d(config.grid, width)[None], persistent=False)
        elif config.position == "learned":
            count = config.grid[0] * config.grid[1] * config.grid[2]
            self.position = nn.Parameter(torch.zeros(1, count, width))
        else:
            self.position = None
        self.class_token = nn.Parameter(torch.zeros(1, 1, width)) if config.class_token else None
        self.blocks = nn.ModuleList(
            Block(
                width,
                config.num_attention_heads,
                mlp_ratio=config.mlp_ratio,
                qkv_bias=config.qkv_bias,
                eps=config.layer_norm_eps,
                dropout=config.dropout,
            )
            for _ in range(config.num_hidden_layers)
        )
        self.norm = (
            nn.LayerNorm(width, eps=config.layer_norm_eps) if config.final_norm else nn.Identity()
        )
        self.concepts = nn.Linear(width, config.num_concepts) if config.num_concepts else None
        self.details = DetailReadout(config.concept_owners) if config.concept_owners else None
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Draw fresh weights; make constants anew, which no checkpoint holds."""
        std = self.config.initializer_range
        if module is self and self.config.position == "sincos":
            self.position.copy_(sincos_3d(self.config.grid, self.config.hidden_size)[None])
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Conv3d):
            nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, DetailReadout):
            module.reset()
        elif isinstance(module, nn.LayerNorm | nn.BatchNorm3d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)

    def check_size(self, pixel_values: Tensor, *, crops: bool = False) -> None:
        """Refuse volumes of another size than the configuration's."""
        whole = tuple(self.config.image_size)
        if pixel_values.dim() != 5 or (not crops and tuple(pixel_values.shape[2:]) != whole):
            raise ValueError(
                f"pixel_values {tuple(pixel_values.shape)} do not fit this encoder: expected "
                f"[B, {self.config.in_channels}, {', '.join(map(str, whole))}]"
            )

    def embed(self, pixel_values: Tensor, start: Tensor | None = None) -> Tensor:
        """Turn voxels into tokens with positions.

        Parameters
        ----------
        pixel_values : Tensor [B, 1, D, H, W]
            Whole volumes, or crops of whole patches.
        start : Tensor [B, 3], optional
            For crops: the token (d, h, w) at which each begins.

        Returns
        -------
        Tensor [B, N, C], D-major.
        """
        self.check_size(pixel_values, crops=start is not None)
        tokens = self.stem(pixel_values.to(self.dtype))  # [B, d, h, w, C]
        if self.position is not None:
            table = self.position.to(tokens.dtype).unflatten(1, self.config.grid)
            if start is not None:
                d, h, w = tokens.shape[1:4]
                table = torch.cat(
                    [table[:, i : i + d, j : j + h, k : k + w] for i, j, k in start.tolist()]
                )
            tokens = tokens + table
        return tokens.flatten(1, 3)

    def embed_patches(self, patches: Tensor, index: Tensor) -> Tensor:
        """Do what `embed` does for some patches of a linear stem.

        patches: [B, n, pd*ph*pw*channels], index: [B, n], which tokens they are -> [B, n, C]
        """
        projection = self.stem.projection
        weight = projection.weight.permute(0, 2, 3, 4, 1).flatten(1)
        tokens = nn.functional.linear(patches.to(self.dtype), weight, projection.bias)
        if self.position is None:
            return tokens
        return tokens + self.position[0].to(tokens.dtype)[index]

    def encode(self, tokens: Tensor) -> Tensor:
        """Run the blocks over (some of) the tokens. tokens: [B, n, C] -> [B, n, C]."""
        if self.class_token is not None:
            tokens = torch.cat([self.class_token.expand(len(tokens), -1, -1), tokens], dim=1)
        for block in self.blocks:
            tokens = block(tokens)
        tokens = self.norm(tokens)
        return tokens[:, 1:] if self.class_token is not None else tokens

    def append_concepts(self, features: Tensor) -> Tensor:
        """features: [B, N, C] -> [B, N, output_size]."""
        if self.concepts is None:
            return features
        probability = self.concepts(features).sigmoid()
        if self.details is not None:
            probability = self.details(probability)
        probability = with_places(probability, self.config.concept_pairs, self.config.grid)
        return torch.cat([features, self.config.concept_scale * probability], dim=-1)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """pixel_values: [B, 1, D, H, W] -> tokens [B, N, output_size]."""
        return self.append_concepts(self.encode(self.embed(pixel_values)))
