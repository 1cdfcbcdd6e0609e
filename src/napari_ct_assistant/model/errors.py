"""The error for a model's files that cannot be used. Importing it brings no torch."""

from __future__ import annotations

from napari_ct_assistant.support.errors import CTAssistantError


class ModelLoadError(CTAssistantError, ValueError):
    """A model cannot be loaded. One line: which model, what is wrong, what to do."""


def listing(names: list[str], most: int = 12) -> str:
    """Join names for an error message: all of them, or the first `most` and how many follow."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
