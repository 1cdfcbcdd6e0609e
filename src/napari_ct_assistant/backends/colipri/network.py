"""COLIPRI's network, with the names of its published tensors and the methods of its package.

Primus with a projection and attention pooling on the image side, a stock BERT with attention
pooling on the text side. The scores are cosines between both.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import BertConfig, BertModel

from napari_ct_assistant.backends.colipri.configuration import ColipriSizes, TextSizes
from napari_ct_assistant.backends.primus.network import Primus

BeforeBlock = Callable[[], None]


class AttentionPool(nn.Module):
    """Attention whose only query is the mean of the tokens."""

    def __init__(self, width: int, num_heads: int):
        super().__init__()
        self.attn = nn.MultiheadAttention(width, num_heads, batch_first=True)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Pool tokens. [B, N, C] -> [B, C]; `mask` [B, N] is 0 at tokens that do not count."""
        if mask is None:
            query, ignored = tokens.mean(1), None
        else:
            shares = mask.to(tokens.dtype)[..., None]
            query = (tokens * shares).sum(1) / shares.sum(1)
            ignored = mask == 0
        pooled, _ = self.attn(
            query[:, None], tokens, tokens, key_padding_mask=ignored, need_weights=False
        )
        result: Tensor = pooled[:, 0]
        return result

    def dense(self, tokens: Tensor) -> Tensor:
        """Take each token by itself through the pooling's value and output projections."""
        width = tokens.shape[-1]
        weight, bias = self.attn.in_proj_weight, self.attn.in_proj_bias
        values = functional.linear(tokens, weight[2 * width :], bias[2 * width :])
        projected: Tensor = self.attn.out_proj(values)
        return projected


class ImageEncoder(nn.Module):
    """Primus, a projection to the width of text, and attention pooling."""

    def __init__(self, sizes: ColipriSizes):
        super().__init__()
        edge, patch = (sizes.input_size,) * 3, (sizes.patch_size,) * 3
        self.backbone = Primus(
            edge, patch, sizes.embed_dim, sizes.depth, sizes.num_heads, sizes.mlp_hidden
        )
        self.projector = nn.Conv3d(sizes.embed_dim, sizes.projection_dim, kernel_size=1)
        self.pooler = AttentionPool(sizes.projection_dim, sizes.pooler_heads)

    def project(self, tokens: Tensor) -> Tensor:
        """[B, N, embed_dim] -> [B, N, projection_dim]."""
        weight = self.projector.weight.flatten(1)
        return functional.linear(tokens, weight, self.projector.bias)


class TextEncoder(nn.Module):
    """BERT without its own pooler, and attention pooling."""

    def __init__(self, sizes: TextSizes):
        super().__init__()
        config = BertConfig(
            vocab_size=sizes.vocabulary,
            hidden_size=sizes.width,
            num_hidden_layers=sizes.depth,
            num_attention_heads=sizes.num_heads,
            intermediate_size=sizes.intermediate,
            max_position_embeddings=sizes.positions,
        )
        config._attn_implementation = "sdpa"
        self.backbone = BertModel(config, add_pooling_layer=False)
        self.pooler = AttentionPool(sizes.width, sizes.pooler_heads)


class Colipri(nn.Module):
    """COLIPRI's image and text encoders.

    Parameters
    ----------
    sizes : ColipriSizes
    """

    def __init__(self, sizes: ColipriSizes):
        super().__init__()
        self.sizes = sizes
        self.image_encoder = ImageEncoder(sizes)
        self.text_encoder = None if sizes.text is None else TextEncoder(sizes.text)
        self.softmax_temperature = nn.Parameter(torch.ones(()), requires_grad=False)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.image_encoder.projector.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the computation."""
        return self.image_encoder.projector.weight.dtype

    def reset_buffers(self, device: torch.device, stored: torch.dtype = torch.float32) -> None:
        """Compute what no checkpoint holds: the rotary table, and BERT's positions.

        A checkpoint of 16-bit weights comes from a module that was converted as a whole, with its
        table; the table then has the rounding of `stored`.
        """
        trunk = self.image_encoder.backbone.eva
        trunk.reset_rope(device)
        trunk.rope = trunk.rope.to(stored).float()
        if self.text_encoder is not None and self.sizes.text is not None:
            embeddings = self.text_encoder.backbone.embeddings
            places = torch.arange(self.sizes.text.positions, device=device)[None]
            embeddings.position_ids = places
            embeddings.token_type_ids = torch.zeros_like(places)

    def image_tokens(self, images: Tensor, before_block: BeforeBlock | None = None) -> Tensor:
        """Return the trunk's tokens. [B, 1, n, n, n] -> [B, N, embed_dim]."""
        tokens: Tensor = self.image_encoder.backbone(images.to(self.device), before_block)
        return tokens

    def encode_image(
        self,
        images: Tensor,
        *,
        project: bool = False,
        pool: bool = False,
        normalize: bool = False,
    ) -> Tensor:
        """Encode volumes, as the package's `Model.encode_image` does.

        Parameters
        ----------
        images : Tensor [B, 1, n, n, n]
        project
            To the width of text. Without pooling, a grid that can be compared with text place by
            place.
        pool
            One vector for each volume; needs `project`.
        normalize
            To length 1 along the channels.

        Returns
        -------
        Tensor [B, C, grid, grid, grid], or [B, C] with `pool`.

        Raises
        ------
        ValueError
            For `pool` without `project`.
        """
        if pool and not project:
            raise ValueError("pool=True needs project=True")
        tokens = self.image_tokens(images)
        if project:
            tokens = self.image_encoder.project(tokens)
        if pool:
            found = self.image_encoder.pooler(tokens)
        else:
            found = self.image_encoder.pooler.dense(tokens) if project else tokens
            found = found.transpose(1, 2).unflatten(2, (self.sizes.grid,) * 3)
        return functional.normalize(found, dim=1) if normalize else found

    def encode_text(
        self,
        token_ids: Tensor,
        attention_mask: Tensor | None = None,
        *,
        normalize: bool = True,
    ) -> Tensor:
        """Encode texts. [B, T] -> [B, C]; `attention_mask` [B, T] is 0 at padding.

        Raises
        ------
        ValueError
            If the folder has no text side.
        """
        if self.text_encoder is None:
            raise ValueError("this folder has no text encoder")
        ids = token_ids.to(self.device)
        mask = torch.ones_like(ids) if attention_mask is None else attention_mask.to(self.device)
        states = self.text_encoder.backbone(ids, attention_mask=mask).last_hidden_state
        pooled: Tensor = self.text_encoder.pooler(states, mask)
        return functional.normalize(pooled, dim=1) if normalize else pooled

    def classify(self, images: Tensor, text: Tensor) -> Tensor:
        """Return the softmax over prompts, which depends on all prompts given. [B, prompts].

        images: [B, C], text: [prompts, C]; both of length 1.
        """
        return (images @ text.T / self.softmax_temperature).softmax(-1)
