"""The version of the model folder, and the names that older folders use (docs/model-folder.md).

Importing it brings no torch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

FORMAT_VERSION: Final = 2

# ---- Format 1 -> format 2. The only place that knows the older names.

# Keys of config.json, its vision_config, and processor_config.json.
RENAMED_KEYS: Final = {
    "num_visual_tokens": "num_image_tokens",
    "patch": "patch_size",
    "perceiver_position": "perceiver_pos_embed_scale",
    "position": "pos_embed",
    "size": "image_size",
    "untaught_findings": "unreliable_findings",
    "visual_token": "image_token",
}
# Tensors of the encoder, as regular expressions; replaced in this order.
RENAMED_TENSORS: Final = {
    r"^class_token$": "cls_token",
    r"^position$": "pos_embed",
    r"^stem\.projection\.": "patch_embed.proj.",
    r"^stem\.": "patch_embed.",
    r"\.attention\.qkv\.": ".attn.qkv.",
    r"\.attention\.projection\.": ".attn.proj.",
    r"\.mlp\.0\.": ".mlp.fc1.",
    r"\.mlp\.3\.": ".mlp.fc2.",
}
# Files, the other way round: format 2 -> format 1.
RENAMED_FILES: Final = {"ood.safetensors": "familiarity.safetensors"}
# Format 1 had one kind of encoder; what these keys say is format 2's grounded kind.
GROUNDED_KEYS: Final = ("stem", "concept_", "num_concepts")

WEIGHTS: Final = "model*.safetensors"
ENCODER: Final = "vision_tower."  # prefix of the encoder's tensors in a whole model


def upgraded(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of an older folder as today's; today's stay as they are."""
    current = {RENAMED_KEYS.get(key, key): value for key, value in settings.items()}
    version = current.get("format_version")
    if isinstance(version, int) and version < FORMAT_VERSION:
        current["format_version"] = FORMAT_VERSION
    if isinstance(current.get("vision_config"), Mapping):
        current["vision_config"] = upgraded(current["vision_config"])
    if current.get("model_type") == "ct_vision_3d":
        if current.get("stem", "linear") != "linear" or current.get("num_concepts"):
            current["model_type"] = "ct_grounded_vision_3d"
        else:
            current = {k: v for k, v in current.items() if not k.startswith(GROUNDED_KEYS)}
    return current


def upgraded_tensor(name: str) -> str:
    """Return today's name of a whole model's tensor."""
    if not name.startswith(ENCODER):
        return name
    name = name.removeprefix(ENCODER)
    for older, current in RENAMED_TENSORS.items():
        name = re.sub(older, current, name)
    return ENCODER + name


def file_in(folder: Path, name: str) -> Path | None:
    """Return a file of a model folder under today's name or its older one; None without it."""
    for candidate in (name, RENAMED_FILES.get(name, name)):
        if (folder / candidate).is_file():
            return folder / candidate
    return None
