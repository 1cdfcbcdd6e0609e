"""Settings and tensors of an Astra folder. Importing it brings no torch."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from napari_ct_assistant.backends.i3resnet.folder import EncoderSettings, read_settings
from napari_ct_assistant.backends.i3resnet.network.sizes import I3ResNetSizes, read_sizes
from napari_ct_assistant.backends.loading.sizes import QUESTION_TOKENS, Counts, count, header_shapes
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.support.translation import said

MODEL_TYPE: Final = "astra"
FORMAT: Final = 1
VISION: Final = "vision_tower."
PERCEIVER: Final = "projector.perceiver."
MAX_NEW_TOKENS: Final = 600  # of a report, in the release
LEAST_NEW_TOKENS: Final = 2
# What Qwen2's configuration is made of; positions are plain, so nothing of the grid's is read.
TEXT_KEYS: Final = (
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "hidden_act", "max_position_embeddings", "rms_norm_eps", "rope_theta",
    "tie_word_embeddings",
)  # fmt: skip


@dataclass(frozen=True)
class AstraSizes:
    """Sizes of the parts between scan and language model, from the tensors' shapes.

    Attributes
    ----------
    encoder : I3ResNetSizes
    latents, layers, head_dim : int
        Of the perceiver; the heads are a setting.
    """

    encoder: I3ResNetSizes
    latents: int
    layers: int
    head_dim: int


@dataclass(frozen=True)
class AstraSettings:
    """The content of `config.json`.

    Attributes
    ----------
    encoder : EncoderSettings
    heads : int
        Of the perceiver.
    text : mapping
        Of the language model: `TEXT_KEYS`.
    """

    encoder: EncoderSettings
    heads: int
    text: Mapping[str, Any]


def is_astra(config: Mapping[str, Any]) -> bool:
    """Return whether the content of a `config.json` describes such a model."""
    return config.get("model_type") == MODEL_TYPE


def text_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the language model's settings from the configuration of Qwen2.5 or Qwen2.5-VL."""
    stated = config.get("text_config")
    text = {**config, **stated} if isinstance(stated, Mapping) else dict(config)
    rope = text.get("rope_parameters")
    if isinstance(rope, Mapping) and "rope_theta" in rope:
        text["rope_theta"] = rope["rope_theta"]
    return {key: text[key] for key in TEXT_KEYS if text.get(key) is not None}


def read_config(config: Mapping[str, Any], name: str) -> AstraSettings:
    """Return the settings of a folder.

    Raises
    ------
    ModelLoadError
        If one is missing or impossible.
    """
    text = config.get("text_config")
    missing = [
        key
        for key in TEXT_KEYS[:6]
        if not isinstance(text, Mapping) or not isinstance(text.get(key), int)
    ]
    if missing or not isinstance(text, Mapping):
        raise ModelLoadError(
            said(
                "{name}: config.json lacks {missing} of text_config; import again",
                name=name,
                missing=missing[0],
            )
        )
    heads = config.get("perceiver_heads", 8)
    if not isinstance(heads, int) or not 1 <= heads <= 256:
        raise ModelLoadError(
            said(
                "{name}: perceiver_heads {heads} in config.json; expected a number",
                name=name,
                heads=repr(heads),
            )
        )
    return AstraSettings(read_settings(config, name), heads, text)


def read_shapes(shapes: Mapping[str, tuple[int, ...]], heads: int, name: str) -> AstraSizes:
    """Return the sizes that tensors describe.

    Raises
    ------
    ModelLoadError
        If a tensor is missing that decides a size.
    """
    vision = {k.removeprefix(VISION): s for k, s in shapes.items() if k.startswith(VISION)}
    try:
        encoder = read_sizes(vision)
        latents = shapes[f"{PERCEIVER}latents"][0]
        inner = shapes[f"{PERCEIVER}layers.0.query.weight"][0]
    except (KeyError, IndexError) as error:
        raise ModelLoadError(
            said("{name}: {args} is missing; import the model again", name=name, args=error.args[0])
        ) from error
    numbers = {k.split(".")[3] for k in shapes if k.startswith(f"{PERCEIVER}layers.")}
    if inner % heads:
        raise ModelLoadError(
            said(
                "{name}: {heads} perceiver_heads do not divide {inner} channels",
                name=name,
                heads=heads,
                inner=inner,
            )
        )
    return AstraSizes(encoder, latents, len(numbers), inner // heads)


def count_folder(folder: Path) -> tuple[Counts, int] | None:
    """Return the values of a folder, and the tokens of its longest prompt; None if broken."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        shapes = header_shapes(folder)
        latents = shapes[f"{PERCEIVER}latents"][0]
        counts = count(shapes, config["text_config"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        return None
    return counts, latents + QUESTION_TOKENS * 3 + MAX_NEW_TOKENS


def grid_of(size: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return the encoder's tokens (z, x, y) for an input (x, y, z)."""
    x, y, z = size
    return math.ceil(z / 16), math.ceil(x / 32), math.ceil(y / 32)
