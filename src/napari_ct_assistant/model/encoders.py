"""The encoder that a configuration describes: the papers', or the demonstration model's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor

from napari_ct_assistant.model.format import ENCODER, WEIGHTS, upgraded, upgraded_tensor
from napari_ct_assistant.model.grounded.configuration import GroundedVisionConfig3D
from napari_ct_assistant.model.grounded.vit import GroundedVisionTransformer3D
from napari_ct_assistant.model.vision_configuration import VisionConfig3D
from napari_ct_assistant.model.vit import VisionTransformer3D

PERCEIVER = "perceiver.safetensors"  # in an encoder's folder: the perceiver that belongs to it


def make_encoder(config: VisionConfig3D) -> VisionTransformer3D:
    """Return an encoder with fresh weights."""
    if isinstance(config, GroundedVisionConfig3D):
        return GroundedVisionTransformer3D(config)
    return VisionTransformer3D(config)


def load_encoder_config(folder: Path) -> VisionConfig3D:
    """Read the `config.json` of an encoder's or a whole model's folder, of any format."""
    settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return make_encoder_config(settings.get("vision_config", settings))


def make_encoder_config(settings: dict[str, Any]) -> VisionConfig3D:
    """Return the configuration with these settings, of the kind that `model_type` names."""
    settings = upgraded(settings)
    kind = settings.pop("model_type", VisionConfig3D.model_type)
    ours = {c.model_type: c for c in (VisionConfig3D, GroundedVisionConfig3D)}
    if kind not in ours:
        raise ValueError(f"model_type is {kind!r}, expected {' or '.join(ours)}")
    config: VisionConfig3D = ours[kind](**settings)
    return config


def load_encoder(folder: Path) -> VisionTransformer3D:
    """Load the encoder in its own folder or in that of a whole model, of any format."""
    config = load_encoder_config(folder)
    settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if "vision_config" in settings:
        whole = make_encoder(config)
        whole.load_state_dict(_tensors(folder, WEIGHTS, ENCODER))
        return whole
    kind = GroundedVisionTransformer3D if isinstance(config, GroundedVisionConfig3D) else None
    encoder: VisionTransformer3D = (kind or VisionTransformer3D).from_pretrained(
        folder, config=config
    )
    return encoder


def load_perceiver(folder: Path) -> dict[str, Tensor]:
    """Return the tensors of the perceiver in a whole model's folder, or kept beside an encoder.

    They have no prefix; {} if there is none.
    """
    if (folder / PERCEIVER).is_file():
        return _tensors(folder, PERCEIVER, "")
    return _tensors(folder, WEIGHTS, "projector.perceiver.")


def _tensors(folder: Path, pattern: str, prefix: str) -> dict[str, Tensor]:
    """Return the tensors of a folder whose names begin with a prefix, without it."""
    found: dict[str, Tensor] = {}
    for file in sorted(folder.glob(pattern)):
        with safe_open(file, framework="pt") as stream:
            for key in stream.keys():  # noqa: SIM118  no mapping
                name = upgraded_tensor(key)
                if name.startswith(prefix):
                    found[name.removeprefix(prefix)] = stream.get_tensor(key)
    return found


def with_concepts(encoder: VisionTransformer3D) -> GroundedVisionTransformer3D:
    """Return an encoder that can have concepts: itself, or the papers' with the same weights."""
    if isinstance(encoder, GroundedVisionTransformer3D):
        return encoder
    settings = encoder.config.to_dict()
    del settings["model_type"]
    grounded = GroundedVisionTransformer3D(GroundedVisionConfig3D(**settings))
    grounded.load_state_dict(encoder.state_dict())
    return grounded
