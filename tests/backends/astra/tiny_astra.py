"""A tiny Astra with random weights, in the published layout, and a base with its tokenizer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import Qwen2Config, Qwen2ForCausalLM

from napari_ct_assistant.backends.i3resnet.layouts import ASTRA_PREFIX
from tests.backends.i3resnet.tiny_encoder import SIZES, tiny_tensors
from tests.backends.nv_reason_ct.tiny_checkpoint import byte_tokenizer

TEXT: dict[str, Any] = {
    "vocab_size": 288,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "hidden_act": "silu",
    "max_position_embeddings": 4096,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1e6,
    "tie_word_embeddings": False,
}
SETTINGS = {"size": [64, 64, 48], "spacing": [8.0, 8.0, 12.0], "perceiver_heads": 4}
LATENTS, HEAD_DIM, DEPTH = 8, 12, 2


def between() -> dict[str, tuple[int, ...]]:
    """Return name and shape of each tensor between encoder and language model."""
    dim, inner = SIZES.channels, SETTINGS["perceiver_heads"] * HEAD_DIM  # type: ignore[operator]
    shapes: dict[str, tuple[int, ...]] = {"perceiver.latents": (LATENTS, dim)}
    for layer in range(DEPTH):
        name = f"perceiver.layers.{layer}"
        for norm in ("0.norm_media", "0.norm_latents", "1.0"):
            shapes |= {f"{name}.{norm}.{kind}": (dim,) for kind in ("weight", "bias")}
        shapes[f"{name}.0.to_q.weight"] = (inner, dim)
        shapes[f"{name}.0.to_kv.weight"] = (2 * inner, dim)
        shapes[f"{name}.0.to_out.weight"] = (dim, inner)
        shapes[f"{name}.1.1.weight"] = (4 * dim, dim)
        shapes[f"{name}.1.3.weight"] = (dim, 4 * dim)
    hidden = TEXT["hidden_size"]
    shapes |= {f"perceiver.norm.{kind}": (dim,) for kind in ("weight", "bias")}
    shapes |= {"llama_proj.weight": (hidden, dim), "llama_proj.bias": (hidden,)}
    return shapes | {f"layer_norm.{kind}": (hidden,) for kind in ("weight", "bias")}


def astra_tensors(*, newer_names: bool = False) -> dict[str, Tensor]:
    """Return the checkpoint's tensors, what nothing reads among them."""
    generator = torch.Generator().manual_seed(0)
    tensors = {ASTRA_PREFIX + key: tensor for key, tensor in tiny_tensors().items()}
    tensors |= {
        f"{ASTRA_PREFIX}classifier.weight": torch.zeros(3, SIZES.channels, 1, 1, 1),
        f"{ASTRA_PREFIX}classifier.bias": torch.zeros(3),
    }
    for key, shape in between().items():
        drawn = 0.3 * torch.randn(shape, generator=generator)
        norm = key.endswith("weight") and len(shape) == 1
        tensors[key] = drawn + 1 if norm else drawn
    torch.manual_seed(0)
    language = Qwen2ForCausalLM(Qwen2Config(**TEXT)).state_dict()
    for key, tensor in language.items():
        name = key.replace("model.", "model.language_model.", 1) if newer_names else key
        tensors[f"language_model.{name}"] = tensor + 0.1 * torch.randn(
            tensor.shape, generator=generator
        )
    # Words of letters, with blanks between them: a text can be shown while it is written.
    ids = byte_tokenizer().get_vocab()
    head = tensors["language_model.lm_head.weight"]
    shown = [number for token, number in ids.items() if token.isascii() and len(token) == 1]
    mask = torch.zeros(len(head), 1)
    mask[shown] = 1.0
    mask[ids["\u0120"]] = 2.5
    tensors["language_model.lm_head.weight"] = head * mask
    tensors["embed_tokens.weight"] = tensors[
        next(k for k in tensors if k.endswith("embed_tokens.weight"))
    ]
    return tensors


def save_base(folder: Path) -> Path:
    """Write a base: Qwen2.5-VL's tokenizer and configuration."""
    folder.mkdir(parents=True)
    byte_tokenizer().save(str(folder / "tokenizer.json"))
    said = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(said))
    config = {"model_type": "qwen2_5_vl", "text_config": TEXT, "tie_word_embeddings": False}
    (folder / "config.json").write_text(json.dumps(config))
    return folder
