"""The error that an export raises."""

from __future__ import annotations

from napari_ct_assistant.support.errors import CTAssistantError


class ExportError(CTAssistantError, ValueError):
    """A report cannot be written; the message is one line that says why and what to do."""
