"""Menu and command-palette entries. Each acts on the current viewer."""

from __future__ import annotations

import napari

from napari_ct_assistant.viewer.docking import dock_panel
from napari_ct_assistant.viewer.views.planes import set_plane


def open_folder() -> None:
    """Ask for a DICOM folder and open it."""
    if (viewer := napari.current_viewer()) is not None:
        dock_panel(viewer).scans.ask_folder()


def open_file() -> None:
    """Ask for a DICOM or NIfTI file and open it."""
    if (viewer := napari.current_viewer()) is not None:
        dock_panel(viewer).scans.ask_file()


def _show(plane: str) -> None:
    if (viewer := napari.current_viewer()) is not None:
        set_plane(viewer, plane)


def axial() -> None:
    """Show the axial view."""
    _show("axial")


def coronal() -> None:
    """Show the coronal view."""
    _show("coronal")


def sagittal() -> None:
    """Show the sagittal view."""
    _show("sagittal")
