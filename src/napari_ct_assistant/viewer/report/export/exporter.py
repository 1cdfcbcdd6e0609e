"""Exports the report in the background, and says what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_ct_assistant.assistant.export import StudyDetails, export_report, read_identifiers
from napari_ct_assistant.assistant.report.document import ReportDocument
from napari_ct_assistant.support.translation import ENGLISH, _
from napari_ct_assistant.viewer.report.export.dialog import ExportDialog
from napari_ct_assistant.viewer.report.export.exported_row import ExportedRow
from napari_ct_assistant.viewer.session.background import Background, one_line

if TYPE_CHECKING:
    from napari_ct_assistant.viewer.report.tab import ReportTab
    from napari_ct_assistant.volume import CTVolume


class Exporter(QObject):
    """Exports the report of the chosen scan, and says below the report's buttons what came of it.

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
        self._words = ""  # the language that was chosen last
        self.row = ExportedRow()
        self.row.status_message.connect(self.status_message)
        layout = tab.layout()
        layout.insertWidget(layout.indexOf(tab.tools) + 1, self.row)

    def ask(self) -> None:
        """Ask for the format and the file, then write the file."""
        scan = self._tab.scan
        if scan is None:
            return
        report = self._tab.text_of(scan).report()
        if not report.body():
            self.status_message.emit(_("The report is empty: there is nothing to export"))
            return
        dialog = ExportDialog(report, self._tab, scan, self._words)
        if dialog.exec():
            self._words = dialog.words
            details = dialog.study.details
            self.export(report, scan.volume, dialog.path, dialog.identified, details, dialog.words)
        dialog.deleteLater()

    def show_scan(self) -> None:
        """Hide the row: what it says is about the scan that was left."""
        self.row.clear()

    def export(
        self,
        report: ReportDocument,
        volume: CTVolume,
        path: Path,
        folder: Path | None = None,
        study: StudyDetails | None = None,
        words: str = ENGLISH,
    ) -> None:
        """Write `report` to `path`.

        `folder` holds the DICOM files to take identifiers from; `study` goes into the file, whose
        notice and headings are in the language `words`.
        """
        if self.busy:
            self.status_message.emit(
                _("Another export is still being written; wait until it is done")
            )
            return
        self.busy = True
        self.row.clear()
        scan = self._tab.scan
        self.status_message.emit(_("Exporting {file}").format(file=path.name))

        def write() -> Path:
            identifiers = None if folder is None else read_identifiers(folder, volume)
            details = study or StudyDetails()
            return export_report(
                report, path, identifiers=identifiers, study=details, language=words
            )

        def tell(text: str, file: Path | None = None) -> None:
            self.status_message.emit(text)
            if self._tab.scan is scan:
                self.row.tell(text, file)

        self._background.run(
            write,
            returned=lambda done: tell(_("Exported {file}").format(file=done.name), done),
            errored=lambda error: tell(
                _("Not exported: {problem}").format(problem=one_line(error))
            ),
            finished=self._on_finished,
        )

    def _on_finished(self) -> None:
        self.busy = False
