"""The export dialog: format, file, and what about patient and study goes into the file."""

from __future__ import annotations

from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qtpy.QtCore import QStandardPaths
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLineEdit,
    QVBoxLayout,
    QWidget,
)

from napari_ct_assistant.assistant.export import FORMATS
from napari_ct_assistant.assistant.report.document import ReportDocument
from napari_ct_assistant.support.translation import _, language, languages, shown
from napari_ct_assistant.viewer.file_dialogs import choose_folder, choose_new_file
from napari_ct_assistant.viewer.preferences import LANGUAGES
from napari_ct_assistant.viewer.report.export.study_fields import StudyFields, dicom_folder
from napari_ct_assistant.viewer.texts import EXPORT_LANGUAGE, IDENTIFIERS, STUDY_FIELDS
from napari_ct_assistant.viewer.widgets import button, dialog_buttons, row
from napari_ct_assistant.viewer.widgets import label as plain_label

if TYPE_CHECKING:
    from napari_ct_assistant.viewer.session.scan_session import ScanSession

WIDTH: Final = 520


def proposed_file(ending: str = FORMATS[0].ending) -> Path:
    """Return a file that does not exist yet, in the reader's folder for documents."""
    where = QStandardPaths.StandardLocation.DocumentsLocation
    folder = Path(QStandardPaths.writableLocation(where) or Path.home())
    folder = folder if folder.is_dir() else Path.home()
    name = _("report")  # the name of a file
    names = chain([name], (f"{name} {n}" for n in count(2)))
    return next(p for name in names if not (p := folder / (name + ending)).exists())


class ExportDialog(QDialog):
    """Asks for the format, the file, and what about patient and study goes into it.

    Parameters
    ----------
    report : ReportDocument
    parent : QWidget, optional
    scan : ScanSession, optional
        The scan that the report is about, to propose its folder and what is known about it.
    words : str, optional
        The language of notice and headings that is chosen at first; by default the panel's.
    """

    def __init__(
        self,
        report: ReportDocument,
        parent: QWidget | None = None,
        scan: ScanSession | None = None,
        words: str = "",
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(_("Export the report"))
        self.format = QComboBox()
        self.format.addItems([f"{_(known.name)} ({known.ending})" for known in FORMATS])
        self.format.setAccessibleName(_("Format"))
        self.language = QComboBox()
        names = {code: name for name, code in LANGUAGES.items()}
        for code in languages():
            self.language.addItem(names.get(code, code), code)
        self.language.setCurrentIndex(self.language.findData(words or language()))
        self.language.setAccessibleName(_("Language"))
        self.language.setToolTip(_(EXPORT_LANGUAGE))
        self.file = QLineEdit(str(proposed_file()))
        self.file.setAccessibleName(_("File"))
        self.file_button = button(_("Choose…"))
        self.identifiers = QCheckBox(_("Patient and study"))
        self.identifiers.setToolTip(_(IDENTIFIERS))
        self.study = StudyFields(scan, self)
        folder = dicom_folder(scan)
        self.folder = QLineEdit("" if folder is None else str(folder))
        self.folder.setAccessibleName(_("The scan's DICOM folder"))
        self.folder.setPlaceholderText(_("The scan's DICOM folder"))
        self.folder_button = button(_("Choose…"))
        self.about = plain_label(_(IDENTIFIERS) + ".")
        self.about.setWordWrap(True)
        self.about.setObjectName("quiet")
        about_study = plain_label(_(STUDY_FIELDS))
        about_study.setWordWrap(True)
        about_study.setObjectName("quiet")
        notice = plain_label(shown(report.notice))
        notice.setObjectName("notice")
        notice.setWordWrap(True)
        form = QFormLayout()
        form.addRow(_("Format"), self.format)
        form.addRow(_("File"), row(self.file, self.file_button))
        form.addRow(_("Language"), self.language)
        self.study.add_to(form)
        form.addRow(about_study)
        form.addRow(self.identifiers, row(self.folder, self.folder_button))
        form.addRow(self.about)
        self.buttons = dialog_buttons(QDialogButtonBox.StandardButton.Cancel)
        self.save_button = self.buttons.addButton(
            _("Export"), QDialogButtonBox.ButtonRole.AcceptRole
        )
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(notice)
        layout.addWidget(self.buttons)
        # The hint does not know into how many lines this width breaks the texts.
        self.resize(WIDTH, layout.totalHeightForWidth(WIDTH))
        self.format.currentIndexChanged.connect(self._show_ending)
        self.identifiers.toggled.connect(self._refresh)
        self.study.changed.connect(self._refresh)
        self.file.textChanged.connect(self._follow_ending)
        self.folder.textChanged.connect(self._refresh)
        self.file_button.clicked.connect(self._choose_file)
        self.folder_button.clicked.connect(self._choose_folder)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        self._refresh()

    @property
    def path(self) -> Path:
        """The chosen file, with the suffix of the format."""
        ending = FORMATS[self.format.currentIndex()].ending
        text = self.file.text().strip()
        return Path(text if text.lower().endswith(ending) else text + ending).expanduser()

    @property
    def words(self) -> str:
        """The chosen language of notice and headings."""
        return str(self.language.currentData())

    @property
    def identified(self) -> Path | None:
        """The folder to read identifiers from, None if none are wanted."""
        wanted = self.identifiers.isEnabled() and self.identifiers.isChecked()
        return Path(self.folder.text().strip()).expanduser() if wanted else None

    def _show_ending(self) -> None:
        """Give the file the ending of the chosen format."""
        text, ending = self.file.text(), FORMATS[self.format.currentIndex()].ending
        for known in FORMATS:
            if text.lower().endswith(known.ending) and known.ending != ending:
                self.file.setText(text[: -len(known.ending)] + ending)
                break
        self._refresh()

    def _follow_ending(self, text: str) -> None:
        """Choose the format that the file's ending names."""
        for number, known in enumerate(FORMATS):
            if text.strip().lower().endswith(known.ending):
                self.format.setCurrentIndex(number)
        self._refresh()

    def _refresh(self) -> None:
        self.language.setEnabled(FORMATS[self.format.currentIndex()].worded)
        possible = FORMATS[self.format.currentIndex()].identified
        self.identifiers.setEnabled(possible)
        wanted = possible and self.identifiers.isChecked()
        self.folder.setEnabled(wanted)
        self.folder_button.setEnabled(wanted)
        ready = bool(self.file.text().strip()) and self.study.ready
        ready = ready and not (wanted and not self.folder.text().strip())
        self.save_button.setEnabled(ready)

    def _choose_file(self) -> None:
        known = FORMATS[self.format.currentIndex()]
        proposed = self.file.text().strip() or str(proposed_file(known.ending))
        every = ";;".join(
            f"{_(one.name)} (*{one.ending})" for one in sorted(FORMATS, key=lambda f: f != known)
        )
        path = choose_new_file(self, _("Export the report"), proposed, every)
        if path:
            self.file.setText(path)

    def _choose_folder(self) -> None:
        path = choose_folder(self, _("The DICOM folder of this scan"), self.folder.text().strip())
        if path:
            self.folder.setText(path)
