"""The perceiver with the demonstration model's additions: positions, and concepts alone."""

from __future__ import annotations

from torch import Tensor

from napari_ct_assistant.model.configuration import VolumeLanguageConfig
from napari_ct_assistant.model.layers.pos_embed import get_3d_sincos_pos_embed
from napari_ct_assistant.model.perceivers import ImageProjector


class GroundedImageProjector(ImageProjector):
    """An `ImageProjector` that can add fixed positions, and can leave out the features.

    See `perceiver_pos_embed_scale` and `perceiver_concepts_only` in `VolumeLanguageConfig`.
    """

    def __init__(self, config: VolumeLanguageConfig):
        super().__init__(config, config.vision_config.output_size - config.first_channel)
        self.first_channel = config.first_channel
        self.pos_embed_scale = config.perceiver_pos_embed_scale
        if self.pos_embed_scale:
            self.register_buffer("pos_embed", self.make_pos_embed(), persistent=False)

    def make_pos_embed(self) -> Tensor:
        """Return what is added to the image tokens, [1, n, out_dim]: no checkpoint holds it."""
        perceiver = self.perceiver
        pos_embed = get_3d_sincos_pos_embed(perceiver.out_dim, perceiver.output_grid)
        return self.pos_embed_scale * pos_embed[None]

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens: [B, N, output_size] -> image tokens [B, n, hidden_size of the LLM]."""
        image = super().forward(tokens[..., self.first_channel :])
        return image + self.pos_embed.to(image.dtype) if self.pos_embed_scale else image
