"""Tiny stock image-text models with random weights, in the layouts in which they are published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForImageTextToText, PreTrainedTokenizerFast

GEMMA_TOKENS = ("<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>",
                "<start_of_image>", "<end_of_image>", "<image_soft_token>")  # fmt: skip
QWEN_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>",
               "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")  # fmt: skip
GEMMA4_TOKENS = ("<pad>", "<eos>", "<bos>", "<|turn>", "<turn|>", "<|image>", "<image|>",
                 "<|image|>", "<|video|>")  # fmt: skip

GEMMA_TEMPLATE = (
    "{{ bos_token }}{% for turn in messages %}{{ '<start_of_turn>' + ('model' if turn['role'] == "
    "'assistant' else turn['role']) + '\n' }}{% if turn['content'] is string %}"
    "{{ turn['content'] | trim }}{% else %}{% for part in turn['content'] %}{% if part['type'] == "
    "'image' %}{{ '<start_of_image>' }}{% else %}{{ part['text'] | trim }}{% endif %}{% endfor %}"
    "{% endif %}{{ '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<start_of_turn>model\n' }}{% endif %}"
)
QWEN_TEMPLATE = (
    "{% for turn in messages %}{% if loop.first and turn['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}{% endif %}"
    "{{ '<|im_start|>' + turn['role'] + '\n' }}{% if turn['content'] is string %}"
    "{{ turn['content'] }}{% else %}{% for part in turn['content'] %}{% if part['type'] == "
    "'image' %}{{ '<|vision_start|><|image_pad|><|vision_end|>' }}{% else %}{{ part['text'] }}"
    "{% endif %}{% endfor %}{% endif %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

_TEXT = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "max_position_embeddings": 8192,
    "vocab_size": 272,
}
_SLIDING = {
    "num_hidden_layers": 3,
    "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
    "sliding_window": 96,
    "tie_word_embeddings": True,
}
_QWEN = {
    "num_hidden_layers": 2,
    "rope_parameters": {
        "rope_type": "default",
        "rope_theta": 1_000_000.0,
        "mrope_section": [2, 3, 3],
    },
}
_PIXELS = {"do_convert_rgb": True, "do_rescale": True, "do_resize": True, "do_normalize": True}
_HALF = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}


def _gemma3(at: dict[str, int]) -> tuple[dict[str, Any], dict[str, Any]]:
    config = {
        "model_type": "gemma3",
        "boi_token_index": at["<start_of_image>"],
        "eoi_token_index": at["<end_of_image>"],
        "image_token_index": at["<image_soft_token>"],
        "mm_tokens_per_image": 4,
        "text_config": _TEXT
        | _SLIDING
        | {
            "model_type": "gemma3_text",
            "query_pre_attn_scalar": 16,
            "rope_parameters": {
                "full_attention": {"rope_theta": 1_000_000.0, "rope_type": "default"},
                "sliding_attention": {"rope_theta": 10_000.0, "rope_type": "default"},
            },
        },
        "vision_config": {
            "model_type": "siglip_vision_model",
            "hidden_size": 32,
            "image_size": 56,
            "intermediate_size": 48,
            "num_attention_heads": 2,
            "num_hidden_layers": 2,
            "patch_size": 14,
            "vision_use_head": False,
        },
    }
    pixels = {"image_processor_type": "Gemma3ImageProcessor", "size": {"height": 56, "width": 56}}
    return config, _PIXELS | _HALF | pixels | {"resample": 2}


def _gemma4(at: dict[str, int]) -> tuple[dict[str, Any], dict[str, Any]]:
    config = {
        "model_type": "gemma4",
        "boi_token_id": at["<|image>"],
        "eoi_token_id": at["<image|>"],
        "image_token_id": at["<|image|>"],
        "video_token_id": at["<|video|>"],
        "audio_config": None,
        "text_config": _TEXT
        | _SLIDING
        | {
            "model_type": "gemma4_text",
            "global_head_dim": 32,
            "hidden_size_per_layer_input": 0,
            "vocab_size_per_layer_input": _TEXT["vocab_size"],
            "num_kv_shared_layers": 0,
            "use_bidirectional_attention": "vision",
            "rope_parameters": {
                "full_attention": {
                    "partial_rotary_factor": 0.25,
                    "rope_theta": 1_000_000.0,
                    "rope_type": "proportional",
                },
                "sliding_attention": {"rope_theta": 10_000.0, "rope_type": "default"},
            },
        },
        "vision_config": {
            "model_type": "gemma4_vision",
            "hidden_size": 32,
            "head_dim": 16,
            "intermediate_size": 48,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "num_hidden_layers": 2,
            "patch_size": 2,
            "pooling_kernel_size": 3,
            "position_embedding_size": 128,
            "use_clipped_linears": False,
        },
    }
    pixels = {
        "image_processor_type": "Gemma4ImageProcessor",
        "do_normalize": False,
        "max_soft_tokens": 70,
        "patch_size": 2,
        "pooling_kernel_size": 3,
        "resample": 3,
    }
    return config, _PIXELS | pixels


def _qwen(at: dict[str, int], version: int) -> tuple[dict[str, Any], dict[str, Any]]:
    patch = 14 if version == 2 else 16
    text: dict[str, Any] = _TEXT | _QWEN
    vision: dict[str, Any] = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_heads": 2,
        "out_hidden_size": 32,
        "patch_size": patch,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
    }
    if version == 2:
        kind = "qwen2_5_vl"
        del text["head_dim"]
        vision |= {"fullatt_block_indexes": [1], "window_size": 56}
    else:
        kind = "qwen3_vl"
        text["rope_parameters"] = text["rope_parameters"] | {"mrope_interleaved": True}
        vision |= {"deepstack_visual_indexes": [0, 1], "num_position_embeddings": 64}
    config = {
        "model_type": kind,
        "image_token_id": at["<|image_pad|>"],
        "video_token_id": at["<|video_pad|>"],
        "vision_start_token_id": at["<|vision_start|>"],
        "vision_end_token_id": at["<|vision_end|>"],
        "tie_word_embeddings": False,
        "text_config": text | {"model_type": f"{kind}_text"},
        "vision_config": vision | {"model_type": f"{kind}_vision"},
    }
    pixels = {
        "image_processor_type": "Qwen2VLImageProcessor",
        "patch_size": patch,
        "merge_size": 2,
        "temporal_patch_size": 2,
        "resample": 3,
        "size": {"shortest_edge": (2 * patch) ** 2, "longest_edge": (4 * patch) ** 2},
    }
    return config, _PIXELS | _HALF | pixels


def save_tiny_model(folder: Path, kind: str = "gemma3", *, seed: int = 0) -> Path:
    """Write a model; kind: "gemma3", "gemma4", "qwen2_5_vl" or "qwen3_vl"."""
    folder.mkdir(parents=True)
    tokens = {"gemma3": GEMMA_TOKENS, "gemma4": GEMMA4_TOKENS}.get(kind, QWEN_TOKENS)
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = {word: number for number, word in enumerate((*tokens, *letters))}
    bytewise = Tokenizer(models.BPE(words, []))
    bytewise.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    bytewise.decoder = decoders.ByteLevel()
    bytewise.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in tokens])
    gemma = kind.startswith("gemma")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bytewise,
        bos_token="<bos>" if gemma else None,
        eos_token=tokens[1] if gemma else tokens[2],
        pad_token=tokens[0],
    )
    tokenizer.save_pretrained(folder)
    if kind != "gemma4":
        template = GEMMA_TEMPLATE if gemma else QWEN_TEMPLATE
        (folder / "chat_template.jinja").write_text(template)
    if kind == "gemma3":
        said, pixels = _gemma3(words)
    elif kind == "gemma4":
        said, pixels = _gemma4(words)
    else:
        said, pixels = _qwen(words, 2 if kind == "qwen2_5_vl" else 3)
    torch.manual_seed(seed)
    network = AutoModelForImageTextToText.from_config(
        AutoConfig.for_model(
            said["model_type"], **{k: v for k, v in said.items() if k != "model_type"}
        )
    )
    for key, value in network.named_parameters():
        if value.ndim > 1:
            torch.nn.init.normal_(value, std=0.2 if "embed" in key else 0.12)
    tied = set(network.all_tied_weights_keys)
    state = {k: v.clone() for k, v in network.state_dict().items() if k not in tied}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    network.config.save_pretrained(folder)
    ends = [tokens[1], tokens[4]] if gemma else [tokens[2], tokens[0]]
    generation = {"eos_token_id": [words[end] for end in ends], "pad_token_id": words[tokens[0]]}
    (folder / "generation_config.json").write_text(json.dumps(generation))
    (folder / "preprocessor_config.json").write_text(json.dumps(pixels))
    return folder
