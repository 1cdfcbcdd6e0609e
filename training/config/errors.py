"""The error of everything that a recipe asks for and cannot have."""

from __future__ import annotations

from napari_ct_assistant.support.errors import CTAssistantError


class RecipeError(CTAssistantError, ValueError):
    """A recipe that cannot be run: one line with file, line and what is wrong."""
