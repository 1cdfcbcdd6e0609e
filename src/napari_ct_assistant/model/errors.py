"""The one error with which a model's files are refused. Importing it brings no torch."""

from __future__ import annotations

from napari_ct_assistant.support.errors import CTAssistantError


class ModelLoadError(CTAssistantError, ValueError):
    """A model that cannot be loaded: one line with the model and what to do."""


def listing(names: list[str], most: int = 12) -> str:
    """Return names for an error's one line: all of them, or the first `most` and how many more."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
