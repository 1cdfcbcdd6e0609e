"""Which models these are and how large, from the files of a folder. Brings no torch."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from napari_ct_assistant.backends.loading.sizes import QUESTION_TOKENS, Counts, header_shapes
from napari_ct_assistant.backends.slices.preset import (
    GENERIC,
    IN_MODEL_FOLDER,
    MEDGEMMA,
    PresetError,
    SlicePreset,
    find_preset,
    read_preset,
)

GEMMA3: Final = "gemma3"
GEMMA4: Final = "gemma4"
QWEN2_5: Final = "qwen2_5_vl"
QWEN3: Final = "qwen3_vl"
MODEL_TYPES: Final = (GEMMA3, GEMMA4, QWEN2_5, QWEN3)
# MedGemma is one of Gemma 3's; the others have no published rules for CT.
PRESET_OF: Final = {GEMMA3: MEDGEMMA}

LABEL_TOKENS: Final = 8  # of a slice's label and the marks around the image
COPIES: Final = 3  # of the cache: the scan's, a question's, and that of slices without content
SIDE: Final = 512  # rows and columns of an ordinary CT
LAYERS: Final = ("language_model.", "model.layers.")

Settings = Mapping[str, Any]


def is_slice_model(config: Settings) -> bool:
    """Return whether a `config.json` describes a model of this family."""
    return config.get("model_type") in MODEL_TYPES


def preset_of(folder: Path, config: Settings) -> SlicePreset:
    """Return the preset of a model: the one in its folder, else its family's.

    Raises
    ------
    PresetError
        If the file in the folder is invalid.
    """
    own = folder / IN_MODEL_FOLDER
    if own.is_file():
        return read_preset(own)
    return find_preset(PRESET_OF.get(str(config.get("model_type")), GENERIC))


def image_settings(folder: Path) -> dict[str, Any]:
    """Return the settings of a folder's image processor; {} without any."""
    for name in ("preprocessor_config.json", "processor_config.json"):
        try:
            content = json.loads((folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        inner = content.get("image_processor", content) if isinstance(content, dict) else None
        if isinstance(inner, dict) and "image_processor_type" in inner:
            return inner
    return {}


def slice_tokens(config: Settings, settings: Settings, rows: int, columns: int) -> int:
    """Return how many tokens stand for a slice of rows x columns.

    Qwen2.5-VL and Qwen3-VL keep the proportions and round each side to whole patches; Gemma 4
    fills its budget of tokens; Gemma 3 has always the same number.
    """
    kind = config.get("model_type")
    if kind == GEMMA3:
        return int(config.get("mm_tokens_per_image", 256))
    vision = config.get("vision_config") or {}
    patch = int(settings.get("patch_size") or vision.get("patch_size") or 14)
    if kind == GEMMA4:
        pool = int(settings.get("pooling_kernel_size") or vision.get("pooling_kernel_size") or 3)
        budget = int(settings.get("max_soft_tokens") or 280)
        unit = patch * pool
        scale = math.sqrt(budget * unit**2 / (rows * columns))
        high, wide = (max(1, math.floor(side * scale / unit)) for side in (rows, columns))
        return min(high * wide, budget)
    unit = patch * int(settings.get("merge_size") or vision.get("spatial_merge_size") or 2)
    size = settings.get("size") or {}
    least = settings.get("min_pixels") or size.get("shortest_edge") or 56 * 56
    most = settings.get("max_pixels") or size.get("longest_edge") or 28 * 28 * 1280
    high, wide = (max(unit, round(side / unit) * unit) for side in (rows, columns))
    if high * wide > most:
        shrink = math.sqrt(rows * columns / most)
        high, wide = (
            max(unit, math.floor(side / shrink / unit) * unit) for side in (rows, columns)
        )
    elif high * wide < least:
        grow = math.sqrt(least / (rows * columns))
        high, wide = (math.ceil(side * grow / unit) * unit for side in (rows, columns))
    return (high // unit) * (wide // unit)


def longest_prompt(config: Settings, settings: Settings, preset: SlicePreset) -> int:
    """Return the tokens of all slices that a preset shows, a question and its answer."""
    one = slice_tokens(config, settings, SIDE, SIDE) + LABEL_TOKENS
    whole = preset.slices * one + QUESTION_TOKENS + preset.max_new_tokens
    window = int((config.get("text_config") or config).get("max_position_embeddings") or whole)
    return min(whole, window)


def model_counts(shapes: Mapping[str, tuple[int, ...]], config: Settings, tokens: int) -> Counts:
    """Return the values of a model and what a prompt of so many tokens needs.

    A layer with a sliding window keeps the window's tokens only; its share is spread over the
    prompt's. Where image tokens see each other both ways, a mask of tokens x tokens is built for
    each kind of layer.
    """
    text = config.get("text_config") or config
    heads = int(text.get("num_attention_heads") or 0)
    head_dim = text.get("head_dim") or int(text.get("hidden_size") or 0) // max(heads, 1)
    pair = 2 * int(text.get("num_key_value_heads") or heads) * int(head_dim)
    kinds = text.get("layer_types") or ["full_attention"] * int(text.get("num_hidden_layers") or 0)
    sliding = kinds.count("sliding_attention")
    window = min(int(text.get("sliding_window") or tokens), tokens)
    masks = 2 if config.get("model_type") in (GEMMA3, GEMMA4) else 0
    linear = [s for key, s in shapes.items() if _is_language(key) and len(s) == 2]
    return Counts(
        values=sum(map(math.prod, shapes.values())),
        linear=sum(map(math.prod, linear)),
        cached=pair * (len(kinds) - sliding) + math.ceil(pair * sliding * window / max(tokens, 1)),
        copies=COPIES,
        # The feed-forward network has the largest activations: gate, up, and their product.
        working=masks * tokens**2 + 3 * 2 * tokens * int(text.get("intermediate_size") or 0),
    )


def _is_language(key: str) -> bool:
    inside = any(part in key for part in LAYERS) and ".layers." in key
    return inside and "visual" not in key and "vision_tower" not in key


def count_folder(folder: Path) -> tuple[Counts, int] | None:
    """Return `model_counts` of a folder and its longest prompt; None for a broken one."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        preset = preset_of(folder, config)
        tokens = longest_prompt(config, image_settings(folder), preset)
        shapes = header_shapes(folder)
        return (model_counts(shapes, config, tokens), tokens) if shapes else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, PresetError):
        return None
