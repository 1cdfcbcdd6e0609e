"""Translate M3D's configuration to ours: sizes from the tensors, the rest from `config.json`.

It follows M3D's code (LaMed/src/model, LaMed/src/train/train.py). Settings that none of the
published models use are refused by name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import GenerationConfig, LlamaConfig, Phi3Config, PreTrainedConfig

from napari_ct_assistant.model.configuration import VolumeLanguageConfig
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.model.presets import vit3d_llama3_vision
from napari_ct_assistant.model.processor import VolumeLanguageProcessor
from napari_ct_assistant.model.settings import read_json
from napari_ct_assistant.model.vision_configuration import VisionConfig3D
from napari_ct_assistant.report_text.questions import FINDING_QUESTION

Shapes = Mapping[str, tuple[int, ...]]

IMAGE_WORD = "<im_patch>"
HEADS = 12  # of the ViT; stated in the published code, not in a configuration
# The question of M3D's demonstration, the first of its Caption_templates.
CAPTION_QUESTION = "Can you provide a caption consists of findings for this medical image?"
MAX_NEW_TOKENS = 256  # of M3D's benchmark

# Settings of the published models; another value means another network.
PUBLISHED: dict[str, Any] = {
    "vision_tower": "vit3d",
    "mm_projector_type": "spp",
    "proj_layer_type": "mlp",
    "proj_layer_num": 2,
    "proj_pooling_type": "spatial",
    "vision_select_layer": -1,
    "vision_select_feature": "patch",
    "enable_u2tokenizer": False,
}
LANGUAGE_SETTINGS = (
    "attention_bias",
    "bos_token_id",
    "embd_pdrop",
    "eos_token_id",
    "head_dim",
    "hidden_act",
    "initializer_range",
    "max_position_embeddings",
    "mlp_bias",
    "original_max_position_embeddings",
    "pad_token_id",
    "partial_rotary_factor",
    "resid_pdrop",
    "rms_norm_eps",
    "rope_parameters",
    "rope_scaling",
    "rope_theta",
    "sliding_window",
    "tie_word_embeddings",
)


def vision_config(config: Mapping[str, Any], shapes: Shapes) -> VisionConfig3D:
    """Return the encoder's configuration.

    Parameters
    ----------
    config : mapping
        `config.json`, or empty for the ViT by itself.
    shapes : mapping
        Shapes of the encoder's tensors by M3D's names, without prefix.
    """
    preset = vit3d_llama3_vision()
    image = config.get("image_size", config.get("img_size", preset.image_size))
    patch = config.get("patch_size", preset.patch_size)
    channels = config.get("image_channel", config.get("in_channels", preset.in_channels))
    dim = _shape(shapes, "cls_token")[-1]
    hidden_dim = _shape(shapes, "blocks.0.mlp.linear1.weight")[0]
    mlp_ratio = hidden_dim / dim
    if int(dim * mlp_ratio) != hidden_dim:  # rounding
        mlp_ratio = (hidden_dim + 0.5) / dim
    try:
        vision = VisionConfig3D(
            image_size=tuple(image),
            patch_size=tuple(patch),
            in_channels=channels,
            hidden_size=dim,
            num_hidden_layers=count_layers(shapes, "blocks."),
            # "num_heads" is M3D-CLIP's name for it.
            num_attention_heads=config.get(
                "vision_num_attention_heads", config.get("num_heads", HEADS)
            ),
            mlp_ratio=mlp_ratio,
            qkv_bias=preset.qkv_bias,
            class_token=preset.class_token,
            pos_embed=preset.pos_embed,
            layer_norm_eps=preset.layer_norm_eps,
        )
    except (TypeError, ValueError) as error:
        raise ModelLoadError(f"config.json, encoder's settings: {_line(error)}") from error
    positions = _shape(shapes, "patch_embedding.position_embeddings")[1]
    if math.prod(vision.grid) != positions:
        raise ModelLoadError(
            f"image_size {tuple(image)} in patches of {tuple(patch)} makes "
            f"{math.prod(vision.grid)} tokens, but the encoder has {positions} positions"
        )
    return vision


def text_config(config: Mapping[str, Any], shapes: Shapes) -> PreTrainedConfig:
    """Return the language model's configuration; `shapes` are by transformers' names."""
    embedding = _shape(shapes, "model.embed_tokens.weight")
    heads = config.get("num_attention_heads")
    if not isinstance(heads, int) or heads < 1:
        raise ModelLoadError(f"config.json has num_attention_heads {heads!r}, expected a number")
    fused = "model.layers.0.self_attn.qkv_proj.weight" in shapes
    if fused:
        inner = _shape(shapes, "model.layers.0.mlp.gate_up_proj.weight")[0] // 2
    else:
        inner = _shape(shapes, "model.layers.0.mlp.gate_proj.weight")[0]
    settings = {key: config[key] for key in LANGUAGE_SETTINGS if key in config}
    settings |= {
        "vocab_size": embedding[0],
        "hidden_size": embedding[1],
        "intermediate_size": inner,
        "num_hidden_layers": count_layers(shapes, "model.layers."),
        "num_attention_heads": heads,
        "num_key_value_heads": config.get("num_key_value_heads") or heads,
        # The default of the configuration's class may lie outside a small vocabulary.
        "pad_token_id": config.get("pad_token_id"),
    }
    kind = Phi3Config if fused else LlamaConfig
    try:
        return kind(**settings)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise ModelLoadError(f"config.json, language model's settings: {_line(error)}") from error


def lamed_config(
    config: Mapping[str, Any], shapes: Shapes, image_token_id: int
) -> VolumeLanguageConfig:
    """Return the configuration of a whole M3D-LaMed; `shapes` are by M3D's names."""
    for key, value in PUBLISHED.items():
        if config.get(key, value) != value:
            raise ModelLoadError(
                f"config.json has {key} {config[key]!r}; only {value!r} is supported"
            )
    tower = "model.vision_tower.vision_tower."
    vision = {k.removeprefix(tower): s for k, s in shapes.items() if k.startswith(tower)}
    text = text_config(config, shapes)
    if not 0 <= image_token_id < text.vocab_size:
        raise ModelLoadError(
            f"{IMAGE_WORD} has id {image_token_id}, but the model has {text.vocab_size} "
            "embeddings; copy model and tokenizer of the same release"
        )
    return VolumeLanguageConfig(
        vision_config=vision_config(config, vision),
        text_config=text,
        perceiver="spatial_pooling",
        perceiver_kernel=config.get("proj_pooling_size", 2),
        image_token_id=image_token_id,
        image_splice="positional",
        tie_word_embeddings=bool(config.get("tie_word_embeddings", False)),
    )


def adds_a_space(folder: Path, name: str) -> bool:
    """Return whether M3D's code, with a release's tokenizer, puts a space before a question.

    M3D runs Llama's slow tokenizer. Its `legacy` behaviour, the default at the time, adds a space
    before each text that follows a special token; today's tokenizers do not.
    """
    file = folder / "tokenizer_config.json"
    if not (folder / "tokenizer.model").is_file() or not file.is_file():
        return False
    settings = read_json(file, name)
    slow = settings.get("tokenizer_class") == "LlamaTokenizer"
    return slow and settings.get("legacy") is not False


def processor_for(
    config: VolumeLanguageConfig, tokenizer: Any, *, space: bool = False
) -> VolumeLanguageProcessor:
    """Return M3D's preparation and prompt: image words and question, without a chat template.

    A caption's question directly follows the image; all others follow after one space. With
    `space` (see `adds_a_space`) each has one more before it.
    """
    more = " " if space else ""
    vision = config.vision_config
    grid = [n // config.perceiver_kernel for n in vision.grid]
    return VolumeLanguageProcessor(
        tokenizer,
        image_size=vision.image_size,
        patch_size=vision.patch_size,
        num_image_tokens=math.prod(grid),
        preparation="minmax",
        image_token=IMAGE_WORD,
        prompt=f"{{image}}{more} {{question}}",
        report_prompt=f"{{image}}{more}{{question}}",
        answer_prefix=" ",
        report_questions={"report": CAPTION_QUESTION},
        finding_question=FINDING_QUESTION,
        max_new_tokens=MAX_NEW_TOKENS,
        image_splice="positional",
    )


def generation_config(source: Path, config: VolumeLanguageConfig, name: str) -> GenerationConfig:
    """Return the settings of generation: the model's end tokens, greedy as in M3D's benchmark."""
    file = source / "generation_config.json"
    stored = read_json(file, name) if file.is_file() else {}
    text = config.text_config
    ids = {
        key: stored.get(key, getattr(text, key, None))
        for key in ("bos_token_id", "eos_token_id", "pad_token_id")
    }
    return GenerationConfig(**ids, do_sample=False, max_new_tokens=MAX_NEW_TOKENS)


def _shape(shapes: Shapes, key: str) -> tuple[int, ...]:
    if key not in shapes:
        raise ModelLoadError(f"1 tensor(s) missing: {key}")
    if len(shapes[key]) < 2:
        raise ModelLoadError(f"{key} is {list(shapes[key])}, expected two or more dimensions")
    return shapes[key]


def count_layers(shapes: Shapes, prefix: str) -> int:
    """Return the number of layers, from the highest number; missing ones are found later."""
    numbers = {
        int(part)
        for key in shapes
        if key.startswith(prefix)
        and (part := key.removeprefix(prefix).partition(".")[0]).isdecimal()
    }
    return max(numbers, default=-1) + 1


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
