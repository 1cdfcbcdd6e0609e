"""The 3D vision transformer: E3D-GPT's encoder, and M3D-CLIP's and RadFM's by configuration.

voxels -> patch embedding -> + position embedding -> blocks -> norm -> tokens

Names follow timm and the MAE code. Shapes: B volumes, N = d*h*w tokens in D-major order,
L <= N tokens that are kept, C channels (`hidden_size`).
"""

from __future__ import annotations

import math
from functools import partial
from typing import ClassVar, Final

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

from napari_ct_assistant.model.checkpoints import CurrentNamesModel, read_older_names
from napari_ct_assistant.model.layers.onednn import Linear, attention
from napari_ct_assistant.model.layers.pos_embed import get_3d_sincos_pos_embed
from napari_ct_assistant.model.vision_configuration import Size3D, VisionConfig3D

MLP_CHUNK: Final = 512  # tokens at a time


def patchify(x: Tensor, patch_size: Size3D) -> Tensor:
    """Cut volumes into patches. x: [B, c, D, H, W] -> [B, N, c*pd*ph*pw]."""
    b, c, d, h, w = x.shape
    pd, ph, pw = patch_size
    x = x.reshape(b, c, d // pd, pd, h // ph, ph, w // pw, pw)
    return x.permute(0, 2, 4, 6, 1, 3, 5, 7).reshape(b, -1, c * pd * ph * pw)


def take(x: Tensor, ids: Tensor) -> Tensor:
    """Pick tokens. x: [B, N, C], ids: [B, L] -> [B, L, C]."""
    return x.gather(1, ids[..., None].expand(-1, -1, x.shape[-1]))


class PatchEmbed3D(nn.Module):
    """Project each patch linearly: a convolution whose kernel is its stride.

    It is computed as a matrix product, so that the masked autoencoder projects only the patches
    that it keeps.

    Parameters
    ----------
    patch_size : (d, h, w)
    in_channels, embed_dim : int
    norm_eps : float, optional
        Put a LayerNorm with this epsilon before and after the projection.
    """

    def __init__(
        self, patch_size: Size3D, in_channels: int, embed_dim: int, norm_eps: float | None = None
    ):
        super().__init__()
        self.patch_size = tuple(patch_size)
        values = in_channels * math.prod(patch_size)
        normed = norm_eps is not None
        self.norm_patch = nn.LayerNorm(values, eps=norm_eps or 0) if normed else nn.Identity()
        self.norm_token = nn.LayerNorm(embed_dim, eps=norm_eps or 0) if normed else nn.Identity()
        self.proj = nn.Conv3d(in_channels, embed_dim, self.patch_size, stride=self.patch_size)

    def forward(self, x: Tensor, ids_keep: Tensor | None = None) -> Tensor:
        """x: [B, c, D, H, W], ids_keep: [B, L] -> [B, L, C], or [B, N, C] without `ids_keep`."""
        patches = patchify(x, self.patch_size)
        if ids_keep is not None:
            patches = take(patches, ids_keep)
        patches = self.norm_patch(patches)
        tokens = nn.functional.linear(patches, self.proj.weight.flatten(1), self.proj.bias)
        return self.norm_token(tokens)


class Attention(nn.Module):
    """Multi-head self-attention over all tokens; `head_dim` 0 is dim / num_heads."""

    def __init__(
        self,
        dim: int,
        num_heads: int,
        *,
        head_dim: int = 0,
        qkv_bias: bool = True,
        attn_drop: float = 0.0,
    ):
        super().__init__()
        self.num_heads = num_heads
        self.attn_drop = attn_drop
        inner_dim = num_heads * head_dim or dim
        self.qkv = Linear(dim, 3 * inner_dim, bias=qkv_bias)
        self.proj = Linear(inner_dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """x: [B, L, C] -> [B, L, C]."""
        b, n, _ = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        x = attention(q, k, v, dropout=self.attn_drop if self.training else 0.0)
        return self.proj(x.reshape(b, n, -1))


class Mlp(nn.Module):
    """Two linear layers with a GELU between them."""

    def __init__(self, dim: int, hidden_dim: int, *, drop: float = 0.0):
        super().__init__()
        self.fc1 = Linear(dim, hidden_dim)
        self.act = nn.GELU()
        self.drop = nn.Dropout(drop)
        self.fc2 = Linear(hidden_dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """x: [B, L, C] -> [B, L, C]."""
        if torch.is_grad_enabled() and (x.requires_grad or self.fc1.weight.requires_grad):
            return self.fc2(self.drop(self.act(self.fc1(x))))
        # A token's MLP does not depend on the other tokens: the wide layer is never held whole.
        out = torch.empty_like(x)
        for part, into in zip(x.split(MLP_CHUNK, 1), out.split(MLP_CHUNK, 1), strict=True):
            into.copy_(self.fc2(self.drop(self.act(self.fc1(part)))))
        return out


class Block(GradientCheckpointingLayer):
    """Pre-norm transformer block.

    With gradient checkpointing (`set_grad_checkpointing`), training keeps only its input, and the
    backward pass computes the rest again.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        *,
        head_dim: int = 0,
        mlp_ratio: float = 4.0,
        qkv_bias: bool = True,
        eps: float = 1e-6,
        drop: float = 0.0,
    ):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=eps)
        self.attn = Attention(dim, num_heads, head_dim=head_dim, qkv_bias=qkv_bias, attn_drop=drop)
        self.norm2 = nn.LayerNorm(dim, eps=eps)
        self.mlp = Mlp(dim, int(dim * mlp_ratio), drop=drop)

    def forward(self, x: Tensor) -> Tensor:
        """x: [B, L, C] -> [B, L, C]."""
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


def set_grad_checkpointing(model: nn.Module, enable: bool = True) -> int:
    """Trade compute for memory in every transformer block of a model, while it is in training.

    This covers our own blocks (encoder, MAE decoder) and those of a transformers language model,
    also inside other modules such as peft's.

    Returns
    -------
    int
        How many blocks there are.
    """
    blocks = [m for m in model.modules() if isinstance(m, GradientCheckpointingLayer)]
    for block in blocks:
        block.gradient_checkpointing = enable
        block._gradient_checkpointing_func = partial(checkpoint, use_reentrant=False)
    return len(blocks)


class VisionTransformer3D(CurrentNamesModel):
    """Encode CT volumes into tokens.

    Parameters
    ----------
    config : VisionConfig3D
    patch_embed : nn.Module, optional
        From voxels to tokens, with the signature of `PatchEmbed3D.forward`; a `PatchEmbed3D`
        when absent.
    """

    config_class = VisionConfig3D
    config: VisionConfig3D
    base_model_prefix = "vision_tower"
    main_input_name = "pixel_values"
    supports_gradient_checkpointing = True
    _no_split_modules: ClassVar[list[str]] = ["Block"]
    _supports_sdpa = True

    def __init__(self, config: VisionConfig3D, patch_embed: nn.Module | None = None):
        super().__init__(config)
        dim = config.hidden_size
        self.patch_embed = patch_embed or PatchEmbed3D(
            config.patch_size,
            config.in_channels,
            dim,
            config.layer_norm_eps if config.patch_norm else None,
        )
        if config.pos_embed == "sincos":
            # Computed from the configuration, again in `_init_weights`: no checkpoint holds it.
            pos_embed = get_3d_sincos_pos_embed(dim, config.grid)[None]
            self.register_buffer("pos_embed", pos_embed, persistent=False)
        elif config.pos_embed == "learned":
            d, h, w = config.grid
            self.pos_embed = nn.Parameter(torch.zeros(1, d * h * w, dim))
        else:
            self.pos_embed = None
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim)) if config.class_token else None
        self.blocks = nn.ModuleList(
            Block(
                dim,
                config.num_attention_heads,
                head_dim=config.head_dim,
                mlp_ratio=config.mlp_ratio,
                qkv_bias=config.qkv_bias,
                eps=config.layer_norm_eps,
                drop=config.dropout,
            )
            for _ in range(config.num_hidden_layers)
        )
        self.norm = (
            nn.LayerNorm(dim, eps=config.layer_norm_eps) if config.final_norm else nn.Identity()
        )
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Draw fresh weights, and compute what no checkpoint holds."""
        config = self.config
        if module is self and config.pos_embed == "sincos":
            self.pos_embed.copy_(get_3d_sincos_pos_embed(config.hidden_size, config.grid)[None])
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=config.initializer_range)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Conv3d):
            nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)

    def embed(self, pixel_values: Tensor, ids_keep: Tensor | None = None) -> Tensor:
        """Turn voxels into tokens with positions.

        Parameters
        ----------
        pixel_values : Tensor [B, c, D, H, W]
        ids_keep : Tensor [B, L], optional
            Indices of the tokens to make; all N when absent.

        Returns
        -------
        Tensor [B, L, C] or [B, N, C]

        Raises
        ------
        ValueError
            If the volumes are not of the configuration's size.
        """
        image_size = tuple(self.config.image_size)
        if pixel_values.dim() != 5 or tuple(pixel_values.shape[2:]) != image_size:
            raise ValueError(
                f"pixel_values {tuple(pixel_values.shape)} do not fit this encoder: expected "
                f"[B, {self.config.in_channels}, {', '.join(map(str, image_size))}]"
            )
        if pixel_values.shape[1] == 1 and self.config.in_channels > 1:
            pixel_values = pixel_values.expand(-1, self.config.in_channels, -1, -1, -1)
        tokens = self.patch_embed(pixel_values.to(self.dtype), ids_keep)
        if self.pos_embed is None:
            return tokens
        pos_embed = self.pos_embed.to(tokens.dtype)
        if ids_keep is not None:
            pos_embed = take(pos_embed.expand(len(tokens), -1, -1), ids_keep)
        return tokens + pos_embed

    def encode(self, tokens: Tensor) -> Tensor:
        """Run the blocks over all tokens, or over those that are kept. [B, L, C] -> [B, L, C]."""
        if self.cls_token is not None:
            tokens = torch.cat([self.cls_token.expand(len(tokens), -1, -1), tokens], dim=1)
        for block in self.blocks:
            tokens = block(tokens)
        tokens = self.norm(tokens)
        return tokens[:, 1:] if self.cls_token is not None else tokens

    def forward(self, pixel_values: Tensor) -> Tensor:
        """pixel_values: [B, c, D, H, W] -> tokens [B, N, output_size]."""
        return self.encode(self.embed(pixel_values))


read_older_names(VisionTransformer3D)
