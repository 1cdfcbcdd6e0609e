"""Exporting the report from the panel: the dialog, the writing, and what it says afterwards."""
