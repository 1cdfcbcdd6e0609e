"""What can go wrong in an export."""

from __future__ import annotations

from napari_ct_assistant.support.errors import CTAssistantError


class ExportError(CTAssistantError, ValueError):
    """A report cannot be written; one line that says what to do."""
