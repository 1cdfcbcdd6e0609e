"""What the network is: configuration, 3D ViT, MAE, perceivers, the language model, processor.

Importing this package costs nothing; its names are loaded (with torch and
transformers) when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_ct_assistant.model.configuration import VolumeLanguageConfig
    from napari_ct_assistant.model.mae import MaskedAutoencoder3D
    from napari_ct_assistant.model.modeling import VolumeLanguageModel
    from napari_ct_assistant.model.perceivers import PERCEIVERS
    from napari_ct_assistant.model.processor import VolumeLanguageProcessor
    from napari_ct_assistant.model.vision_configuration import VisionConfig3D
    from napari_ct_assistant.model.vit import VisionTransformer3D

_HOME = {
    "VisionConfig3D": "vision_configuration",
    "VolumeLanguageConfig": "configuration",
    "MaskedAutoencoder3D": "mae",
    "VolumeLanguageModel": "modeling",
    "PERCEIVERS": "perceivers",
    "VolumeLanguageProcessor": "processor",
    "VisionTransformer3D": "vit",
}

__all__ = [
    "PERCEIVERS",
    "MaskedAutoencoder3D",
    "VisionConfig3D",
    "VisionTransformer3D",
    "VolumeLanguageConfig",
    "VolumeLanguageModel",
    "VolumeLanguageProcessor",
]


def __getattr__(name: str) -> Any:
    """Import `name` from its file on first use (PEP 562)."""
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
