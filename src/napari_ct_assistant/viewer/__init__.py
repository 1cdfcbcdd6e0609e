"""The napari plugin: readers, sample scans and the docked panel.

napari imports this package through the manifest when it starts. Therefore nothing here imports
torch, transformers, pydicom or nibabel before a scan is opened or a model is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_ct_assistant.viewer.app import display_available, run_viewer

__all__ = ["display_available", "run_viewer"]


def __getattr__(name: str) -> Any:
    """Import the application module on first use (PEP 562)."""
    if name in __all__:
        from napari_ct_assistant.viewer import app

        return getattr(app, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
