"""The version of the model folder, and the names that older folders use (docs/model-folder.md).

Importing it brings no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

FORMAT_VERSION: Final = 2

# Keys of config.json and processor_config.json in format 1 -> format 2.
RENAMED_KEYS: Final = {
    "num_visual_tokens": "num_image_tokens",
    "untaught_findings": "unreliable_findings",
    "visual_token": "image_token",
}
# Files in format 2 -> format 1.
RENAMED_FILES: Final = {"ood.safetensors": "familiarity.safetensors"}


def upgraded(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of an older folder under today's keys.

    Settings that have today's keys already are returned unchanged.
    """
    current = {RENAMED_KEYS.get(key, key): value for key, value in settings.items()}
    version = current.get("format_version")
    if isinstance(version, int) and version < FORMAT_VERSION:
        current["format_version"] = FORMAT_VERSION
    return current


def file_in(folder: Path, name: str) -> Path | None:
    """Return a file of a model folder under today's name or its older one; None without it."""
    for candidate in (name, RENAMED_FILES.get(name, name)):
        if (folder / candidate).is_file():
            return folder / candidate
    return None
