"""The encoder that a configuration describes: the papers', or the demonstration model's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from napari_ct_assistant.model.format import upgraded
from napari_ct_assistant.model.grounded.configuration import GroundedVisionConfig3D
from napari_ct_assistant.model.grounded.vit import GroundedVisionTransformer3D
from napari_ct_assistant.model.vision_configuration import VisionConfig3D
from napari_ct_assistant.model.vit import VisionTransformer3D


def make_encoder(config: VisionConfig3D) -> VisionTransformer3D:
    """Return an encoder with fresh weights."""
    if isinstance(config, GroundedVisionConfig3D):
        return GroundedVisionTransformer3D(config)
    return VisionTransformer3D(config)


def load_encoder_config(folder: Path) -> VisionConfig3D:
    """Read the `config.json` of an encoder's folder, of today's or an older format."""
    settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return make_encoder_config(settings)


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
    """Load an encoder's folder, of today's or an older format."""
    config = load_encoder_config(folder)
    kind = GroundedVisionTransformer3D if isinstance(config, GroundedVisionConfig3D) else None
    encoder: VisionTransformer3D = (kind or VisionTransformer3D).from_pretrained(
        folder, config=config
    )
    return encoder


def with_concepts(encoder: VisionTransformer3D) -> GroundedVisionTransformer3D:
    """Return an encoder that can have concepts: itself, or the papers' with the same weights."""
    if isinstance(encoder, GroundedVisionTransformer3D):
        return encoder
    settings = encoder.config.to_dict()
    del settings["model_type"]
    grounded = GroundedVisionTransformer3D(GroundedVisionConfig3D(**settings))
    grounded.load_state_dict(encoder.state_dict())
    return grounded
