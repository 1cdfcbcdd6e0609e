"""A window with the details of a scan: geometry, HU range, warnings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QFormLayout, QLabel, QVBoxLayout, QWidget

from napari_ct_assistant.viewer.scan.layers import is_oblique
from napari_ct_assistant.viewer.scan.warning_banner import OBLIQUE
from napari_ct_assistant.viewer.session.background import Background
from napari_ct_assistant.viewer.widgets import label as plain_label

if TYPE_CHECKING:
    from napari_ct_assistant.volume import CTVolume

_DIRECTIONS = {"R": "right", "L": "left", "A": "front", "P": "back", "S": "head", "I": "feet"}


def scan_facts(volume: CTVolume) -> dict[str, str]:
    """Return the facts about a scan that can be told without reading every voxel."""
    slices, rows, columns = volume.shape
    spacing = volume.spacing
    size = [count * mm for count, mm in zip(volume.shape, spacing, strict=True)]
    axes = ", ".join(_DIRECTIONS.get(letter, letter) for letter in volume.orientation)
    return {
        "Series": volume.series or "no description",
        "Modality": volume.modality,
        "Matrix": f"{rows} × {columns}, {slices} slices",
        "Pixel spacing": f"{spacing[1]:.3f} × {spacing[2]:.3f} mm",
        "Slice spacing": f"{spacing[0]:.3f} mm",
        "Extent": f"{size[0]:.0f} mm head to feet, {size[1]:.0f} × {size[2]:.0f} mm across",
        "Stored axes": f"{volume.orientation} (towards {axes})",
        "Shown as": "oblique: along its own axes" if is_oblique(volume) else "along the body axes",
    }


class DetailsDialog(QDialog):
    """Shows the series, spacing, shape, orientation, HU range and warnings of a scan.

    Parameters
    ----------
    volume : CTVolume
    name : str, optional
        What the scan is called on screen.
    """

    def __init__(self, volume: CTVolume, name: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(f"Scan details  ·  {name}" if name else "Scan details")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.values: dict[str, QLabel] = {}
        form = QFormLayout()
        warnings = list(volume.warnings) + ([OBLIQUE] if is_oblique(volume) else [])
        facts = scan_facts(volume) | {
            "HU range": "computing…",
            "Warnings": "\n".join(warnings) or "none",
        }
        for name, text in facts.items():
            value = plain_label(text)
            value.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            value.setWordWrap(name in ("Series", "Warnings"))
            value.setAccessibleName(name)
            form.addRow(f"{name}:", value)
            self.values[name] = value
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addStretch(1)
        layout.addWidget(buttons)
        self.setMinimumWidth(420)
        self._background = Background(self)
        # In the background: a chest has 70 million voxels.
        self._background.run(
            lambda: (int(volume.hu.min()), int(volume.hu.max())),
            returned=self._on_range,
            errored=lambda error: self.values["HU range"].setText(str(error)),
            finished=lambda: None,
        )

    def _on_range(self, found: tuple[int, int]) -> None:
        self.values["HU range"].setText(f"{found[0]} to {found[1]} HU")
