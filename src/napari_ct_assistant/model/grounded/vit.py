"""The 3D vision transformer with a concept head: features, then concept probabilities."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_ct_assistant.model.checkpoints import read_older_names
from napari_ct_assistant.model.grounded.concept_maps import DetailReadout, with_places
from napari_ct_assistant.model.grounded.configuration import GroundedVisionConfig3D
from napari_ct_assistant.model.grounded.stem import ConvolutionStem
from napari_ct_assistant.model.vit import VisionTransformer3D


class GroundedVisionTransformer3D(VisionTransformer3D):
    """Encode CT volumes into tokens that also say which concepts lie in their patch.

    The last channels of an output token are the probabilities of the configuration's concepts
    and pairs, times `concept_scale`. Stage `ground` teaches them; `concept_maps` makes the patches
    of a volume agree.
    """

    config_class = GroundedVisionConfig3D
    config: GroundedVisionConfig3D

    def __init__(self, config: GroundedVisionConfig3D):
        super().__init__(config, ConvolutionStem(config) if config.stem == "convolution" else None)
        self.concepts = (
            nn.Linear(config.hidden_size, config.num_concepts) if config.num_concepts else None
        )
        self.details = DetailReadout(config.concept_owners) if config.concept_owners else None
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, DetailReadout):
            module.reset()
        elif isinstance(module, nn.BatchNorm3d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)

    def embed_crops(self, pixel_values: Tensor, start: Tensor) -> Tensor:
        """Do what `embed` does for crops of volumes.

        Parameters
        ----------
        pixel_values : Tensor [B, c, D, H, W]
            Crops of whole patches.
        start : Tensor [B, 3]
            The token (d, h, w) at which each begins in the volume's grid.

        Returns
        -------
        Tensor [B, N, C], N the number of a crop's patches.
        """
        tokens = self.patch_embed(pixel_values.to(self.dtype))
        if self.pos_embed is None:
            return tokens
        d, h, w = (
            size // patch
            for size, patch in zip(pixel_values.shape[2:], self.config.patch_size, strict=True)
        )
        table = self.pos_embed.to(tokens.dtype).unflatten(1, self.config.grid)
        crops = [table[:, i : i + d, j : j + h, k : k + w] for i, j, k in start.tolist()]
        return tokens + torch.cat(crops).flatten(1, 3)

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
        """pixel_values: [B, c, D, H, W] -> tokens [B, N, output_size]."""
        return self.append_concepts(super().forward(pixel_values))


read_older_names(GroundedVisionTransformer3D)
