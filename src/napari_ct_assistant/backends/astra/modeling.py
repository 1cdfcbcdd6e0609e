"""Astra's network: encoder, perceiver with projection and norm, language model."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import GenerationConfig, Qwen2Config, Qwen2ForCausalLM

from napari_ct_assistant.backends.astra.configuration import (
    LEAST_NEW_TOKENS,
    AstraSettings,
    AstraSizes,
    grid_of,
)
from napari_ct_assistant.backends.i3resnet.network.modeling import I3ResNet
from napari_ct_assistant.model.perceivers import ResamplerPerceiver


class AstraProjector(nn.Module):
    """From the encoder's map to image tokens."""

    def __init__(self, sizes: AstraSizes, heads: int, hidden_size: int, grid: tuple[int, int, int]):
        super().__init__()
        self.perceiver = ResamplerPerceiver(
            sizes.encoder.channels,
            hidden_size,
            grid,
            1,
            latents=sizes.latents,
            layers=sizes.layers,
            head_dim=sizes.head_dim,
            heads=heads,
        )
        self.layer_norm = nn.LayerNorm(hidden_size)

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens: [B, N, C] -> [B, latents, hidden_size]."""
        projected: Tensor = self.layer_norm(self.perceiver(tokens))
        return projected


class AstraModel(nn.Module):
    """The network; positions of the image tokens are plain, as the release's are.

    Parameters
    ----------
    sizes : AstraSizes
    settings : AstraSettings
    image_token_id : int
    end_token_ids : list of int
        That end an answer.
    """

    def __init__(
        self,
        sizes: AstraSizes,
        settings: AstraSettings,
        image_token_id: int = 0,
        end_token_ids: list[int] | None = None,
    ) -> None:
        super().__init__()
        stated = dict(settings.text)
        theta = stated.pop("rope_theta", None)
        if theta is not None:
            stated["rope_parameters"] = {"rope_type": "default", "rope_theta": float(theta)}
        text = Qwen2Config(**stated)
        text._attn_implementation = "sdpa"
        self.vision_tower = I3ResNet(sizes.encoder)
        self.projector = AstraProjector(
            sizes, settings.heads, text.hidden_size, grid_of(settings.encoder.size)
        )
        self.language_model = Qwen2ForCausalLM(text)
        self.config = SimpleNamespace(text_config=text)
        self.image_token_id = image_token_id
        self.language_model.generation_config = GenerationConfig(
            eos_token_id=end_token_ids, pad_token_id=(end_token_ids or [0])[0]
        )

    @property
    def device(self) -> torch.device:
        """Where the language model is."""
        return self.language_model.get_input_embeddings().weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the language model; the encoder's is float32."""
        return self.language_model.get_input_embeddings().weight.dtype

    @property
    def num_image_tokens(self) -> int:
        """Image tokens of one volume."""
        return self.projector.perceiver.num_tokens

    @property
    def generation_config(self) -> Any:
        """What ends an answer."""
        return self.language_model.generation_config

    def get_image_features(self, vision_tokens: Tensor) -> Tensor:
        """vision_tokens: [B, N, C] -> image tokens [B, latents, hidden_size]."""
        weight = self.projector.layer_norm.weight
        image: Tensor = self.projector(vision_tokens.to(weight.device, weight.dtype))
        return image

    def embed(self, input_ids: Tensor, image: Tensor | None = None) -> Tensor:
        """Embed text [B, T], and put the image tokens [B, n, hidden_size] in their places."""
        embeddings: Tensor = self.language_model.get_input_embeddings()(input_ids)
        if image is None:
            return embeddings
        places = (input_ids == self.image_token_id)[..., None].expand_as(embeddings)
        return embeddings.masked_scatter(places, image.to(embeddings.dtype))

    def forward(self, **inputs: Any) -> Any:
        """Run the language model, as `Qwen2ForCausalLM`."""
        return self.language_model(**inputs)

    def generate(self, **inputs: Any) -> Any:
        """Generate as the language model does, at least two tokens."""
        least = min(LEAST_NEW_TOKENS, int(inputs["max_new_tokens"]))
        return self.language_model.generate(**inputs, min_new_tokens=least)
