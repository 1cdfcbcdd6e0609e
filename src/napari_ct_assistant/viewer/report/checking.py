"""Marks and lists what contradicts itself in the report on screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Qt
from qtpy.QtWidgets import QSizePolicy

from napari_ct_assistant.assistant.report.checks import Check, check_report
from napari_ct_assistant.assistant.report.document import ReportDocument
from napari_ct_assistant.assistant.report.matching import impression_of
from napari_ct_assistant.assistant.report.statements import lines_of
from napari_ct_assistant.support.translation import _, shown
from napari_ct_assistant.viewer.report.checks_list import ChecksList
from napari_ct_assistant.viewer.report.tools import ReportTools, TakeAlongRow

if TYPE_CHECKING:
    from napari_ct_assistant.viewer.report.editor import ReportEditor
    from napari_ct_assistant.viewer.session.scan_session import ScanSession


class Checking(QObject):
    """Owns the list of checks, and the offer to reject an impression along with its finding.

    Parameters
    ----------
    editor, tools
        Whose margin and whose button show how many checks there are.
    """

    def __init__(self, editor: ReportEditor, tools: ReportTools) -> None:
        super().__init__(editor)
        self._editor, self._tools = editor, tools
        self._scan: ScanSession | None = None
        self.list = ChecksList()
        self.list.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        self.list.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self.list.hide()
        self.take_along = TakeAlongRow()
        tools.checks_button.toggled.connect(self.list.setVisible)
        self.list.jumped.connect(editor.go_to_line)
        editor.rejected.connect(self._offer)
        self.take_along.taken.connect(self.take)

    def show_scan(self, scan: ScanSession | None) -> None:
        """Check the report of another scan."""
        self._scan = scan
        self.take_along.offer(())

    def find(self) -> list[Check]:
        """Return what to look at in the report before it is signed."""
        scan = self._scan
        report = self._editor.text.report()
        if scan is None or all(
            report.state(line) == "template" for _section, line in report.lines()
        ):
            return []
        return check_report(report, scan.shown_findings, scan.measured)

    def refresh(self) -> None:
        """Mark the lines that contradict something, and list everything there is to check."""
        checks = self.find()
        by_line: dict[int, list[str]] = {}
        for check in checks:
            if check.kind != "not reviewed" and check.line is not None:
                by_line.setdefault(check.line, []).append(shown(check.text))
        if by_line != self._editor.checks:
            self._editor.checks = by_line
            self._editor.margin.update()
        self.list.show_checks(checks)
        found = sum(check.kind != "not reviewed" for check in checks)
        label = _("Check ({n})").format(n=found) if found else _("Check")
        self._tools.checks_button.setText(label)

    def _offer(self, number: int) -> None:
        """Offer to take along the impression's line of a finding that was rejected."""
        lines = lines_of(self._editor.text.report())
        same = impression_of(lines, number) if lines[number].part == "findings" else []
        self.take_along.offer(tuple(lines[n].text for n in same if lines[n].state != "rejected"))

    def take(self) -> None:
        """Reject the lines of the impression that were offered."""
        wanted = self.take_along.lines
        self.take_along.offer(())
        text = self._editor.text
        report: ReportDocument = text.report()
        for checked, line in zip(lines_of(report), text.document_lines(), strict=True):
            if checked.part == "impression" and line.text in wanted:
                text.set_mark(line.block, "rejected", line.source)
