"""The papers' network: 3D vision transformer, masked autoencoder, perceivers, language model.

The model in ten minutes, in this order:

| File | Lines | What it holds |
| --- | --- | --- |
| `vision_configuration.py` | 130 | sizes of the encoder, defaults for what the papers leave open |
| `vit.py` | 285 | patch embedding, attention, block, `VisionTransformer3D` |
| `mae.py` | 160 | the encoder's pre-training, with the methods of the MAE code |
| `perceivers.py` | 370 | those of E3D-GPT, M3D and RadFM: 2744 tokens to 343 image tokens |
| `modeling.py` | 210 | `VolumeLanguageModel`: encoder + perceiver + any causal language model |
| `splice.py` | 70 | where the image tokens go among the text |
| `processor.py` | 360 | from a scan and a question to tensors: prompt, ids |

Beside them are the whole model's `configuration.py`, the published sizes (`presets.py`),
`pos_embed.py`, and `encoders.py`, which makes the encoder that a configuration describes.
`folder.py` and `settings.py` check a model folder before torch builds anything; `format.py` and
`checkpoints.py` know the names in older ones. `grounded/` is what only the demonstration model
has, `conversion/` the import of released weights.

Importing this package is cheap: torch and transformers are loaded when a name is first used.
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
