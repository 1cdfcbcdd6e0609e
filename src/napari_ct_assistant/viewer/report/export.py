"""Exports the report: asks for format, identifiers and file, and writes it in the background."""

from __future__ import annotations

from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qtpy.QtCore import QObject, QStandardPaths, Signal
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

from napari_ct_assistant.assistant.export import FORMATS, export_report, read_identifiers
from napari_ct_assistant.assistant.report.document import ReportDocument
from napari_ct_assistant.support.translation import _, shown
from napari_ct_assistant.viewer.file_dialogs import choose_folder, choose_new_file
from napari_ct_assistant.viewer.session.background import Background, one_line
from napari_ct_assistant.viewer.texts import IDENTIFIERS
from napari_ct_assistant.viewer.widgets import button, dialog_buttons, row
from napari_ct_assistant.viewer.widgets import label as plain_label

if TYPE_CHECKING:
    from napari_ct_assistant.viewer.report.tab import ReportTab
    from napari_ct_assistant.volume import CTVolume

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
    """Asks for the format, the file, and whether to take identifiers from the DICOM files."""

    def __init__(self, report: ReportDocument, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(_("Export the report"))
        self.format = QComboBox()
        self.format.addItems([f"{_(known.name)} ({known.ending})" for known in FORMATS])
        self.format.setAccessibleName(_("Format"))
        self.file = QLineEdit(str(proposed_file()))
        self.file.setAccessibleName(_("File"))
        self.file_button = button(_("Choose…"))
        self.identifiers = QCheckBox(_("Patient and study"))
        self.identifiers.setToolTip(_(IDENTIFIERS))
        self.folder = QLineEdit()
        self.folder.setAccessibleName(_("The scan's DICOM folder"))
        self.folder.setPlaceholderText(_("The scan's DICOM folder"))
        self.folder_button = button(_("Choose…"))
        self.about = plain_label(_(IDENTIFIERS) + ".")
        self.about.setWordWrap(True)
        self.about.setObjectName("quiet")
        notice = plain_label(shown(report.notice))
        notice.setObjectName("notice")
        notice.setWordWrap(True)
        form = QFormLayout()
        form.addRow(_("Format"), self.format)
        form.addRow(_("File"), row(self.file, self.file_button))
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
        possible = FORMATS[self.format.currentIndex()].identified
        self.identifiers.setEnabled(possible)
        wanted = possible and self.identifiers.isChecked()
        self.folder.setEnabled(wanted)
        self.folder_button.setEnabled(wanted)
        ready = bool(self.file.text().strip()) and not (wanted and not self.folder.text().strip())
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
        path = choose_folder(self, _("The DICOM folder of this scan"))
        if path:
            self.folder.setText(path)


class Exporter(QObject):
    """Exports the report of the chosen scan.

    Signals
    -------
    status_message : str
        One line: what was written, or why nothing was.
    """

    status_message = Signal(str)

    def __init__(self, tab: ReportTab, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._tab = tab
        self._background = Background(self)
        self.busy = False

    def ask(self) -> None:
        """Ask for the format and the file, then write the file."""
        scan = self._tab.scan
        if scan is None:
            return
        report = self._tab.text_of(scan).report()
        if not report.body():
            self.status_message.emit(_("The report is empty: there is nothing to export"))
            return
        dialog = ExportDialog(report, self._tab)
        if dialog.exec():
            self.export(report, scan.volume, dialog.path, dialog.identified)

    def export(
        self, report: ReportDocument, volume: CTVolume, path: Path, folder: Path | None = None
    ) -> None:
        """Write `report` to `path`; `folder` holds the DICOM files to take identifiers from."""
        if self.busy:
            self.status_message.emit(
                _("Another export is still being written; wait until it is done")
            )
            return
        self.busy = True
        self.status_message.emit(_("Exporting {file}").format(file=path.name))

        def write() -> Path:
            identifiers = None if folder is None else read_identifiers(folder, volume)
            return export_report(report, path, identifiers=identifiers)

        self._background.run(
            write,
            returned=lambda done: self.status_message.emit(
                _("Exported {file}").format(file=done.name)
            ),
            errored=lambda error: self.status_message.emit(
                _("Not exported: {problem}").format(problem=one_line(error))
            ),
            finished=self._on_finished,
        )

    def _on_finished(self) -> None:
        self.busy = False
