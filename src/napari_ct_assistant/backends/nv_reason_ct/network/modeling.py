"""NV-Reason-CT's network: Primus, the merger, and Qwen3.5's text model."""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import DynamicCache
from transformers.modeling_outputs import CausalLMOutputWithPast
from transformers.models.qwen3_5.configuration_qwen3_5 import Qwen3_5TextConfig
from transformers.models.qwen3_5.modeling_qwen3_5 import (
    Qwen3_5TextModel,
    Qwen3_5TextRotaryEmbedding,
)

from napari_ct_assistant.backends.nv_reason_ct.network.configuration import EncoderSizes
from napari_ct_assistant.backends.nv_reason_ct.network.positions import prompt_positions
from napari_ct_assistant.backends.nv_reason_ct.network.vision import Vision3D

# It recommends GPU packages that the torch code does without.
logging.getLogger("transformers.integrations.hub_kernels").setLevel(logging.ERROR)


class NVReasonCT(nn.Module):
    """A language model that reads a CT volume, with the names of the published tensors.

    Parameters
    ----------
    sizes : EncoderSizes
    text_config : Qwen3_5TextConfig
    image_token_id : int
        Stands in `input_ids` for each token of the volume.
    """

    def __init__(self, sizes: EncoderSizes, text_config: Qwen3_5TextConfig, image_token_id: int):
        super().__init__()
        self.sizes = sizes
        self.config = text_config
        self.image_token_id = image_token_id
        self.vision3d = Vision3D(
            sizes.input_shape,
            sizes.patch_size,
            sizes.embed_dim,
            sizes.depth,
            sizes.num_heads,
            sizes.mlp_hidden,
            sizes.out_hidden_size,
        )
        self.language_model = Qwen3_5TextModel(text_config)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        device: torch.device = self.language_model.embed_tokens.weight.device
        return device

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the computation."""
        return self.vision3d.merger.linear_fc2.weight.dtype

    @property
    def num_image_tokens(self) -> int:
        """Tokens of one volume."""
        return self.sizes.num_tokens

    def reset_buffers(self, device: torch.device) -> None:
        """Compute what no checkpoint holds: both rotary tables, in float32."""
        self.vision3d.sub_vision.eva.reset_rope(device)
        self.language_model.rotary_emb = Qwen3_5TextRotaryEmbedding(self.config).to(device)

    def get_image_features(self, pixel_values: Tensor) -> Tensor:
        """Encode volumes. [B, 1, T, H, W] -> [B, N, hidden_size]."""
        features: Tensor = self.vision3d(pixel_values.to(self.device))
        return features

    def embed(self, input_ids: Tensor, image_features: Tensor | None = None) -> Tensor:
        """Embed tokens; the volume's take the place of the image tokens, in order.

        Parameters
        ----------
        input_ids : Tensor [B, T]
        image_features : Tensor [B, N, hidden_size], optional

        Raises
        ------
        ValueError
            If there are not as many image tokens as features.
        """
        embeddings: Tensor = self.language_model.embed_tokens(input_ids)
        if image_features is None:
            return embeddings
        where = input_ids == self.image_token_id
        if int(where.sum()) != image_features.shape[0] * image_features.shape[1]:
            raise ValueError(
                f"{int(where.sum())} image tokens for {image_features.shape[0]} volume(s) of "
                f"{image_features.shape[1]} tokens"
            )
        rows = image_features.to(embeddings).flatten(0, 1)
        return embeddings.masked_scatter(where[..., None], rows)

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the logits of hidden states; the head is the embedding matrix."""
        return functional.linear(hidden, self.language_model.embed_tokens.weight)

    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        *,
        image_features: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        logits_to_keep: int = 0,
    ) -> CausalLMOutputWithPast:
        """Predict the next tokens.

        Parameters
        ----------
        input_ids : Tensor [B, T]
            Without padding; every row has the volume at the same place, or none.
        pixel_values : Tensor [B, 1, T, H, W], optional
        image_features : Tensor [B, N, hidden_size], optional
            Of volumes that were encoded before, instead of `pixel_values`.
        inputs_embeds : Tensor [B, T, hidden_size], optional
            Instead of `input_ids`; needs `position_ids`.
        position_ids : Tensor [3, B, T], optional
            Made from `input_ids` when absent.
        past_key_values : DynamicCache, optional
            Is extended; needs `position_ids`.
        logits_to_keep : int
            Only of the last tokens; 0 for all.

        Returns
        -------
        CausalLMOutputWithPast with `logits` [B, T, vocabulary].
        """
        if inputs_embeds is None:
            if input_ids is None:
                raise ValueError("give input_ids or inputs_embeds")
            if pixel_values is not None:
                image_features = self.get_image_features(pixel_values)
            inputs_embeds = self.embed(input_ids, image_features)
        if position_ids is None:
            if input_ids is None or past_key_values is not None:
                raise ValueError("position_ids are needed beside inputs_embeds and a cache")
            positions, _ = prompt_positions(
                input_ids[0].cpu(), self.image_token_id, self.sizes.grid
            )
            position_ids = positions[:, None].expand(3, len(input_ids), -1)
        out = self.language_model(
            inputs_embeds=inputs_embeds,
            position_ids=position_ids.to(inputs_embeds.device),
            past_key_values=past_key_values,
            use_cache=past_key_values is not None,
        )
        hidden = out.last_hidden_state[:, -logits_to_keep:]
        return CausalLMOutputWithPast(
            logits=self.logits(hidden), past_key_values=out.past_key_values
        )

    @torch.no_grad()
    def generate(
        self,
        input_ids: Tensor,
        pixel_values: Tensor | None = None,
        *,
        max_new_tokens: int = 2048,
        eos_token_id: list[int] | None = None,
    ) -> Tensor:
        """Return a prompt with its most likely continuation, [1, T + new].

        Parameters
        ----------
        input_ids : Tensor [1, T]
        pixel_values : Tensor [1, 1, T, H, W], optional
        max_new_tokens : int
        eos_token_id : list of int, optional
            Tokens that end it; without them it ends at the limit.
        """
        cache = self.new_cache()
        ids = input_ids.to(self.device)
        features = None if pixel_values is None else self.get_image_features(pixel_values)
        positions, delta = prompt_positions(ids[0].cpu(), self.image_token_id, self.sizes.grid)
        step = {
            "inputs_embeds": self.embed(ids, features),
            "position_ids": positions[:, None],
        }
        for _ in range(max_new_tokens):
            out = self(**step, past_key_values=cache, logits_to_keep=1)
            following = out.logits[:, -1].argmax(-1, keepdim=True)
            ids = torch.cat([ids, following], dim=1)
            if int(following) in (eos_token_id or ()):
                break
            place = torch.tensor(ids.shape[1] - 1 + delta)
            step = {
                "inputs_embeds": self.embed(following),
                "position_ids": place.expand(3, 1, 1),
            }
        return ids

    def new_cache(self) -> DynamicCache:
        """Return an empty cache: keys and values of the full layers, states of the others."""
        return DynamicCache(config=self.config)
