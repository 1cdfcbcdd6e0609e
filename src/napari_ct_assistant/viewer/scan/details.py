"""A window with the details of a scan: geometry, HU range, warnings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QFormLayout, QLabel, QVBoxLayout, QWidget

from napari_ct_assistant.support.translation import N_, Texts, _, decimal, shown
from napari_ct_assistant.viewer.scan.layers import is_oblique
from napari_ct_assistant.viewer.scan.warning_banner import OBLIQUE
from napari_ct_assistant.viewer.session.background import Background, one_line
from napari_ct_assistant.viewer.texts import TITLE_SEPARATOR
from napari_ct_assistant.viewer.widgets import dialog_buttons
from napari_ct_assistant.viewer.widgets import label as plain_label

if TYPE_CHECKING:
    from napari_ct_assistant.volume import CTVolume

_DIRECTIONS: Final = Texts(
    {
        "R": N_("right"),
        "L": N_("left"),
        "A": N_("front"),
        "P": N_("back"),
        "S": N_("head"),
        "I": N_("feet"),
    }
)
# What the facts are called: the text of each row, by its name in `DetailsDialog.values`.
_NAMES: Final = Texts(
    {
        "Series": N_("Series"),
        "Modality": N_("Modality"),
        "Matrix": N_("Matrix"),
        "Pixel spacing": N_("Pixel spacing"),
        "Slice spacing": N_("Slice spacing"),
        "Extent": N_("Extent"),
        "Stored axes": N_("Stored axes"),
        "Shown as": N_("Shown as"),
        "HU range": N_("HU range"),
        "Warnings": N_("Warnings"),
    }
)


def scan_facts(volume: CTVolume) -> dict[str, str]:
    """Return the facts about a scan that can be told without reading every voxel."""
    slices, rows, columns = volume.shape
    spacing = volume.spacing
    size = [count * mm for count, mm in zip(volume.shape, spacing, strict=True)]
    axes = ", ".join(_DIRECTIONS.get(letter, letter) for letter in volume.orientation)
    return {
        "Series": volume.series or _("no description"),
        "Modality": volume.modality,
        "Matrix": _("{rows} × {columns}, {slices} slices").format(
            rows=rows, columns=columns, slices=slices
        ),
        "Pixel spacing": f"{decimal(spacing[1], 3)} × {decimal(spacing[2], 3)} mm",
        "Slice spacing": f"{decimal(spacing[0], 3)} mm",
        "Extent": _("{height} mm head to feet, {depth} × {width} mm across").format(
            height=round(size[0]), depth=round(size[1]), width=round(size[2])
        ),
        "Stored axes": _("{letters} (towards {directions})").format(
            letters=volume.orientation, directions=axes
        ),
        "Shown as": _("oblique: along its own axes")
        if is_oblique(volume)
        else _("along the body axes"),
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
        self.setWindowTitle(TITLE_SEPARATOR.join(filter(None, (_("Scan details"), name))))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.values: dict[str, QLabel] = {}
        form = QFormLayout()
        warnings = [shown(text) for text in volume.warnings] + (
            [_(OBLIQUE)] if is_oblique(volume) else []
        )
        facts = scan_facts(volume) | {
            "HU range": _("computing…"),
            "Warnings": "\n".join(warnings) or _("none"),
        }
        for name, text in facts.items():
            value = plain_label(text)
            value.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            value.setWordWrap(name in ("Series", "Warnings"))
            value.setAccessibleName(_NAMES[name])
            form.addRow(f"{_NAMES[name]}:", value)
            self.values[name] = value
        buttons = dialog_buttons(QDialogButtonBox.StandardButton.Close)
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
            errored=lambda error: self.values["HU range"].setText(one_line(error)),
            finished=lambda: None,
        )

    def _on_range(self, found: tuple[int, int]) -> None:
        self.values["HU range"].setText(_("{low} to {high} HU").format(low=found[0], high=found[1]))
