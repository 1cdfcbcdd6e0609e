"""What can go wrong in an export."""

from __future__ import annotations


class ExportError(ValueError):
    """A report cannot be written; one line that says what to do."""
