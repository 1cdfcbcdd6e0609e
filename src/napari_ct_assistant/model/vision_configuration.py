"""Configuration of the papers' encoder: a 3D vision transformer.

Sizes of volumes, patches and token grids are (D, H, W): slices from head to feet, rows from
front to back, columns from the patient's right to left, the axes (I, P, L) of a `CTVolume`.
E3D-GPT writes the same sizes the other way round, as 224x224x112.

What the papers leave open is a field here with a stated default.
"""

from __future__ import annotations

from typing import Any, Literal

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, PreTrainedConfig

from napari_ct_assistant.model.format import upgraded

Size3D = list[int] | tuple[int, ...]


def token_grid(image_size: Size3D, patch_size: Size3D) -> tuple[int, int, int]:
    """Return the token grid (d, h, w) of a volume that is cut into patches.

    Raises
    ------
    ValueError
        If the patch size does not divide the volume; the message quotes the numbers.
    """
    if len(image_size) != 3 or len(patch_size) != 3:
        raise ValueError(
            f"image_size {tuple(image_size)} and patch_size {tuple(patch_size)} need three "
            "numbers each: (D, H, W)"
        )
    for axis, size, patch in zip("DHW", image_size, patch_size, strict=True):
        if patch < 1 or size % patch:
            raise ValueError(f"patch_size {patch} must divide image_size {size} on axis {axis}")
    d, h, w = (size // patch for size, patch in zip(image_size, patch_size, strict=True))
    return d, h, w


@strict
class VisionConfig3D(PreTrainedConfig):
    """The 3D vision transformer. The defaults are E3D-GPT's encoder at paper size.

    Attributes
    ----------
    image_size, patch_size : three ints, (D, H, W)
        E3D-GPT: 224x224x112 voxels in patches of 16x16x8, 2744 tokens.
    in_channels : int
        1 for CT. An encoder of colour images (RadFM: 3) gets the CT in each channel.
    hidden_size : int
        The embedding dimension (`embed_dim` in the MAE code). E3D-GPT: 1536, twice ViT-Base.
    num_hidden_layers : int
        12 is ViT-Base's depth, which the paper implies.
    num_attention_heads : int
        Not stated in the paper; 12 is ViT-Base's, with 128 channels a head at 1536.
    head_dim : int
        Channels of an attention head; 0 for hidden_size / num_attention_heads. RadFM: 64.
    mlp_ratio, qkv_bias, layer_norm_eps
        Not stated; ViT-Base's. M3D-CLIP has no qkv bias.
    class_token : bool
        Whether a class token runs along. It gets no position and is dropped from the output, as
        in M3D-CLIP.
    pos_embed : "sincos", "learned" or "none"
        Not stated; fixed 3D sine-cosine, as in the MAE code.
    patch_norm : bool
        Whether a LayerNorm stands before and after the projection of the patches (RadFM).
    final_norm : bool
        Whether a LayerNorm ends the encoder.
    dropout : float
        In attention and MLP.
    """

    model_type = "ct_vision_3d"

    image_size: Size3D = (112, 224, 224)
    patch_size: Size3D = (8, 16, 16)
    in_channels: int = 1
    hidden_size: int = 1536
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    head_dim: int = 0
    mlp_ratio: float = 4.0
    qkv_bias: bool = True
    class_token: bool = False
    pos_embed: Literal["sincos", "learned", "none"] = "sincos"
    patch_norm: bool = False
    final_norm: bool = True
    layer_norm_eps: float = 1e-6
    dropout: float = 0.0
    initializer_range: float = 0.02

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        if not self.head_dim and self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"num_attention_heads ({self.num_attention_heads}) must divide "
                f"hidden_size ({self.hidden_size})"
            )
        token_grid(self.image_size, self.patch_size)

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """Build from the content of a `config.json`, of today's or an older format.

        Raises
        ------
        ValueError
            If it is the configuration of another kind of encoder.
        """
        settings = upgraded(config_dict)
        if settings.get("model_type", cls.model_type) != cls.model_type:
            raise ValueError(
                f"model_type is {settings['model_type']!r}, expected {cls.model_type!r}; "
                "load_encoder_config reads either"
            )
        return super().from_dict(settings, **kwargs)

    @property
    def grid(self) -> tuple[int, int, int]:
        """Token grid (d, h, w)."""
        return token_grid(self.image_size, self.patch_size)

    @property
    def output_size(self) -> int:
        """Channels of an output token."""
        return self.hidden_size


AutoConfig.register(VisionConfig3D.model_type, VisionConfig3D)
