"""Reading first: the model's results stay hidden until the reader has read the scan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QWidget

from napari_ct_assistant.assistant.report.read_first import ReadFirst, has_own_impression
from napari_ct_assistant.support.translation import _
from napari_ct_assistant.viewer.texts import READ_DONE, READ_FIRST, TIPS
from napari_ct_assistant.viewer.widgets import button, eliding_label, row

if TYPE_CHECKING:
    from napari_ct_assistant.viewer.report.controller import ReportController
    from napari_ct_assistant.viewer.report.tab import ReportTab
    from napari_ct_assistant.viewer.scan.scan_picker import ScanPicker
    from napari_ct_assistant.viewer.session.scan_session import ScanSession


class FirstReadBar(QWidget):
    """Says that the results are hidden, with the button that shows them."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.label = eliding_label()
        self.label.setObjectName("notice")
        self.label.setAccessibleName(_("Read first"))
        self.label.setText(_(READ_FIRST))
        self.done_button = button(_("My read is done"), TIPS["read_done"])
        line = row(self.label, self.done_button)
        line.setStretchFactor(self.label, 1)
        self.setLayout(line)
        self.hide()


class FirstRead(QObject):
    """Hides the results of each scan until the reader is done; off by default (a preference).

    It has to be made before the parts of the panel that show a scan's results.

    Parameters
    ----------
    scans : ScanPicker
    on : bool
        Whether the reader wants to read first.

    Signals
    -------
    revealed : ScanSession
        The results of a scan may be shown now.
    status_message : str
        One line for the reader.
    """

    revealed = Signal(object)
    status_message = Signal(str)

    def __init__(self, scans: ScanPicker, *, on: bool, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._scans, self._on = scans, on
        self._tab: ReportTab | None = None
        self._shown: ScanSession | None = None
        self.bar = FirstReadBar()
        self.bar.done_button.clicked.connect(lambda: self.finish())
        if on:
            scans.chosen.connect(lambda _layer: self._on_scan())

    def join(self, report: ReportController) -> None:
        """Follow the report that the reader writes, and its journal."""
        self._tab = report.tab
        if self._on:
            report.tab.edited.connect(self._on_edited)
            if report.keeper is not None:
                report.keeper.restored.connect(self.restore)

    def _on_scan(self) -> None:
        before, self._shown = self._shown, self._scans.scan
        if before is not None and before.read_first is not None and before is not self._shown:
            before.read_first.pause()
        scan = self._shown
        if scan is not None:
            if scan.read_first is None and not scan.read_before:
                scan.read_first = ReadFirst()
            if scan.read_first is not None:
                scan.read_first.resume()
        self.bar.setVisible(scan is not None and scan.hidden)

    def _on_edited(self, scan: Any) -> None:
        if scan.hidden and scan.text is not None and has_own_impression(scan.text.report()):
            self._reveal(scan)

    def finish(self) -> None:
        """Show the results of the chosen scan: the reader's own read is done."""
        scan = self._scans.scan
        if scan is not None and scan.hidden:
            self._reveal(scan)

    def restore(self, scan: ScanSession, kept: Any) -> None:
        """Go on where the journal says that the reader was."""
        if scan.read_first is None:
            return
        first = scan.read_first
        if isinstance(kept, dict):
            try:
                first = ReadFirst.from_json(kept)
            except ValueError:
                kept = None
        if kept is None and scan.text is not None and scan.text.report().drafts:
            # The draft was seen before: there is no first read any more.
            scan.read_first, scan.read_before = None, True
        elif kept is not None:
            scan.read_first = first
            if scan is self._scans.scan:
                first.resume()
        if not scan.hidden:
            self._show(scan)

    def _reveal(self, scan: ScanSession) -> None:
        if scan.read_first is None or self._tab is None:
            return
        scan.read_first.reveal(self._tab.text_of(scan).report())
        self._show(scan)
        self.status_message.emit(_(READ_DONE).format(seconds=scan.read_first.alone))

    def _show(self, scan: ScanSession) -> None:
        if scan is self._scans.scan:
            self.bar.hide()
        if self._tab is not None and scan.waiting_draft is not None:
            self._tab.take_draft(scan, scan.waiting_draft)
        scan.unsaved = True
        self.revealed.emit(scan)
