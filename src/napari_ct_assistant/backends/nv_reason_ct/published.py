"""The published checkpoint's sizes and tensors, from its description; no weight is needed."""

from __future__ import annotations

from typing import Any, Final

import torch
from transformers.models.qwen3_5.configuration_qwen3_5 import (
    Qwen3_5TextConfig,
    Qwen3_5VisionConfig,
)
from transformers.models.qwen3_5.modeling_qwen3_5 import Qwen3_5VisionModel

from napari_ct_assistant.backends.nv_reason_ct.network.configuration import (
    INPUT_SHAPE,
    NUM_HEADS,
    PATCH_SIZE,
    EncoderSizes,
)
from napari_ct_assistant.backends.nv_reason_ct.network.modeling import NVReasonCT

SIZES: Final = EncoderSizes(INPUT_SHAPE, PATCH_SIZE, 864, 16, NUM_HEADS, 2304, 2560)
IMAGE_TOKEN_ID: Final = 248_056
# Qwen3.5-4B.
TEXT: Final[dict[str, Any]] = {
    "vocab_size": 248_320,
    "hidden_size": 2560,
    "intermediate_size": 9216,
    "num_hidden_layers": 32,
    "num_attention_heads": 16,
    "num_key_value_heads": 4,
    "head_dim": 256,
    "max_position_embeddings": 262_144,
    "rms_norm_eps": 1e-6,
    "layer_types": [*["linear_attention"] * 3, "full_attention"] * 8,
    "linear_conv_kernel_dim": 4,
    "linear_key_head_dim": 128,
    "linear_num_key_heads": 16,
    "linear_num_value_heads": 32,
    "linear_value_head_dim": 128,
    "rope_parameters": {
        "rope_type": "default",
        "rope_theta": 10_000_000,
        "partial_rotary_factor": 0.25,
        "mrope_section": [11, 11, 10],
        "mrope_interleaved": True,
    },
}
# The 2D tower, which no CT reaches.
TOWER: Final[dict[str, Any]] = {
    "depth": 24,
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_heads": 16,
    "num_position_embeddings": 2304,
    "out_hidden_size": 2560,
    "patch_size": 16,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
    "deepstack_visual_indexes": [],
}


def published_network() -> NVReasonCT:
    """Return the network at its published size, without memory for its weights."""
    text = Qwen3_5TextConfig(**TEXT)
    text._attn_implementation = "sdpa"
    with torch.device("meta"):
        return NVReasonCT(SIZES, text, IMAGE_TOKEN_ID)


def published_tensors() -> dict[str, tuple[int, ...]]:
    """Return name and shape of each tensor of the published file, the unused ones among them."""
    own = published_network().state_dict()
    with torch.device("meta"):
        tower = Qwen3_5VisionModel(Qwen3_5VisionConfig(**TOWER)).state_dict()
    shapes = {f"model.{key}": tuple(tensor.shape) for key, tensor in own.items()}
    shapes |= {f"model.visual.{key}": tuple(tensor.shape) for key, tensor in tower.items()}
    shapes["model.vision3d.sub_vision.mask_token"] = (1, 1, SIZES.embed_dim)
    shapes["lm_head.weight"] = shapes["model.language_model.embed_tokens.weight"]
    return shapes
