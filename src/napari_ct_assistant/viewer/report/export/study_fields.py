"""The fields for study date, region and comparison in the export dialog.

Their values are in the dialog alone, and go with it: the date is patient data.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QCheckBox, QFormLayout, QLineEdit

from napari_ct_assistant.assistant.export import (
    NO_COMPARISON,
    StudyDetails,
    region_of,
    study_date,
)
from napari_ct_assistant.support.translation import _
from napari_ct_assistant.viewer.session.background import Background

if TYPE_CHECKING:
    from napari_ct_assistant.viewer.session.scan_session import ScanSession


def dicom_folder(scan: ScanSession | None) -> Path | None:
    """Return the folder of the DICOM files that a scan was opened from, None if there is none."""
    from napari_ct_assistant.volume.discovery import FILE_ENDINGS  # with the readers' libraries

    files = None if scan is None else scan.files
    if files is None or files.name.lower().endswith((*FILE_ENDINGS, ".zip")):
        return None
    return files if files.is_dir() else files.parent


class StudyFields(QObject):
    """Three switches, off at first, each with a field that is filled when it is switched on.

    Signals
    -------
    changed
    """

    changed = Signal()

    def __init__(self, scan: ScanSession | None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._scan = scan
        # What fields were filled with, as it is shown: the file may be in another language.
        self._filled: dict[str, str] = {}
        self.date, self.region, self.comparison = (
            QCheckBox(_("Study date")),
            QCheckBox(_("Region")),
            QCheckBox(_("Comparison")),
        )
        self.rows: list[tuple[QCheckBox, QLineEdit]] = []
        for switch, example in (
            (self.date, _("Year-month-day")),
            (self.region, _("The part of the body")),
            (self.comparison, _("The earlier examination, or None")),
        ):
            field = QLineEdit()
            field.setAccessibleName(switch.text())
            field.setPlaceholderText(example)
            field.setEnabled(False)
            field.textChanged.connect(lambda _text: self.changed.emit())
            switch.toggled.connect(lambda on, field=field: self._on_switch(field, on=on))
            self.rows.append((switch, field))
        self.date_field, self.region_field, self.comparison_field = (
            field for _switch, field in self.rows
        )

    def add_to(self, form: QFormLayout) -> None:
        """Add a row of the form for each switch."""
        for switch, field in self.rows:
            form.addRow(switch, field)

    @property
    def details(self) -> StudyDetails:
        """What the reader includes."""
        texts = [field.text() if switch.isChecked() else "" for switch, field in self.rows]
        return StudyDetails(*(self._filled.get(text, text) for text in texts))

    @property
    def ready(self) -> bool:
        """Whether no field that is switched on is empty."""
        return all(field.text().strip() or not switch.isChecked() for switch, field in self.rows)

    def _on_switch(self, field: QLineEdit, *, on: bool) -> None:
        field.setEnabled(on)
        if on and not field.text():
            self._fill(field)
        if on:
            field.setFocus()
            field.selectAll()
        self.changed.emit()

    def _fill(self, field: QLineEdit) -> None:
        """Fill in what is known about the open scan."""
        scan, folder = self._scan, dicom_folder(self._scan)
        if field is self.comparison_field:
            self._put(field, NO_COMPARISON)
        elif scan is None:
            return
        elif field is self.region_field:
            if scan.region_read:
                self._put(field, scan.region_read.capitalize())
            else:
                volume = scan.volume
                self._look(field, lambda: region_of(volume))
        elif folder is not None:
            volume = scan.volume
            self._look(field, lambda: study_date(folder, volume))

    def _put(self, field: QLineEdit, text: str) -> None:
        self._filled[_(text)] = text
        field.setText(_(text))

    def _look(self, field: QLineEdit, find: Callable[[], str]) -> None:
        """Fill a field with what is found in the background, unless something was typed."""
        before = field.placeholderText()
        field.setPlaceholderText(_("Looking in the scan…"))

        def found(text: str) -> None:
            if text and not field.text():
                self._put(field, text)

        Background(self).run(
            find,
            returned=found,
            errored=lambda _error: None,
            finished=lambda: field.setPlaceholderText(before),
        )
