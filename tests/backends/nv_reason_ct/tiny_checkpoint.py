"""A tiny checkpoint in NV-Reason-CT's published layout, with random weights."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers.models.qwen3_5.configuration_qwen3_5 import Qwen3_5TextConfig

from napari_ct_assistant.backends.nv_reason_ct.loading import TEXT_KEYS
from napari_ct_assistant.backends.nv_reason_ct.network.configuration import EncoderSizes
from napari_ct_assistant.backends.nv_reason_ct.network.modeling import NVReasonCT

SPECIAL = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>",
    "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>",
)  # fmt: skip
TEXT: dict[str, Any] = {
    "vocab_size": 288,
    "hidden_size": 64,
    "intermediate_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "hidden_act": "silu",
    "max_position_embeddings": 4096,
    "rms_norm_eps": 1e-6,
    "layer_types": [*["linear_attention"] * 3, "full_attention"],
    "linear_conv_kernel_dim": 4,
    "linear_key_head_dim": 16,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_value_head_dim": 16,
    "attention_bias": False,
    "rope_parameters": {
        "rope_type": "default",
        "rope_theta": 10_000_000,
        "partial_rotary_factor": 0.25,
        "mrope_section": [2, 1, 1],
        "mrope_interleaved": True,
    },
    "tie_word_embeddings": True,
    "model_type": "qwen3_5_text",
}
SIZES = EncoderSizes((32, 32, 32), (8, 8, 8), 48, 2, 4, 128, TEXT["hidden_size"])


def byte_tokenizer() -> Tokenizer:
    """Return a tokenizer with a token for each byte, and the special ones."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: i for i, letter in enumerate(letters)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in SPECIAL])
    tokenizer.add_tokens([AddedToken(t, normalized=False) for t in ("<think>", "</think>")])
    return tokenizer


def save_tiny_checkpoint(
    folder: Path, *, seed: int = 0, text: dict[str, Any] | None = None
) -> Path:
    """Write the checkpoint, with the parts of the published one that no CT reaches."""
    folder.mkdir(parents=True)
    torch.manual_seed(seed)
    said = TEXT | (text or {})
    tokenizer = byte_tokenizer()
    ids = {token: tokenizer.token_to_id(token) for token in SPECIAL}
    config = Qwen3_5TextConfig(**{key: said[key] for key in TEXT_KEYS if key in said})
    sizes = replace(SIZES, out_hidden_size=said["hidden_size"])
    network = NVReasonCT(sizes, config, ids["<|image_pad|>"])
    tensors = {}
    for key, value in network.state_dict().items():
        drawn = torch.randn_like(value) * 0.08
        if ("norm" in key and key.endswith("weight") and "vision3d" in key) or "gamma" in key:
            drawn = 1 + drawn
        if key.endswith("A_log"):
            drawn = torch.rand_like(value)
        tensors[f"model.{key}"] = drawn.to(torch.bfloat16)
    tensors["lm_head.weight"] = tensors["model.language_model.embed_tokens.weight"].clone()
    tensors["model.visual.pos_embed.weight"] = torch.zeros(4, 8, dtype=torch.bfloat16)
    tensors["model.vision3d.sub_vision.mask_token"] = torch.zeros(1, 1, 48, dtype=torch.bfloat16)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "architectures": ["VLM3D_ForConditionalGeneration"],
        "auto_map": {"AutoModelForImageTextToText": "model.VLM3D_ForConditionalGeneration"},
        "model_type": "qwen3_5",
        "image_token_id": ids["<|image_pad|>"],
        "video_token_id": ids["<|video_pad|>"],
        "vision_start_token_id": ids["<|vision_start|>"],
        "vision_end_token_id": ids["<|vision_end|>"],
        "text_config": said,
        "tie_word_embeddings": True,
        "vit3d_input_shape": list(SIZES.input_shape),
        "vit3d_patch_embed_size": list(SIZES.patch_size),
        "vit3d_tiny": {"num_heads": SIZES.num_heads},
    }
    write(folder / "config.json", settings)
    end = [ids["<|im_end|>"], ids["<|endoftext|>"]]
    write(folder / "generation_config.json", {"eos_token_id": end})
    write(folder / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast"})
    (folder / "image_processor_3d").mkdir()
    write(
        folder / "image_processor_3d" / "preprocessor_config.json",
        {
            "image_processor_type": "ImageLoader3D",
            "pixdim": [2.0, 2.0, 2.0],
            "spatial_size": list(SIZES.input_shape[::-1]),
            "final_grid_size": list(SIZES.grid),
            "merge_size": 1,
            "normalize_mode": "ct",
        },
    )
    return folder


def write(file: Path, content: dict[str, Any]) -> None:
    """Write a JSON file."""
    file.write_text(json.dumps(content), encoding="utf-8")


def change(file: Path, **changes: Any) -> None:
    """Change keys of a JSON file; None takes a key away."""
    content = json.loads(file.read_text(encoding="utf-8")) | changes
    write(file, {key: value for key, value in content.items() if value is not None})
