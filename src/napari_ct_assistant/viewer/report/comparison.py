"""The comparison of the draft with the edited report."""

from __future__ import annotations

from html import escape

from qtpy.QtCore import QUrl
from qtpy.QtGui import QImage
from qtpy.QtWidgets import QFrame, QTextBrowser, QWidget

from napari_ct_assistant.assistant.report.comparison import compare_with_draft
from napari_ct_assistant.assistant.report.document import ReportDocument
from napari_ct_assistant.support.translation import _
from napari_ct_assistant.viewer.texts import REPORT_STATES
from napari_ct_assistant.viewer.widgets import no_resource


class Comparison(QTextBrowser):
    """The report with removed words struck out and new words underlined.

    They differ in form as well as in colour, for readers who cannot tell the colours apart.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("report_comparison")
        self.setAccessibleName(_("Comparison of the draft with the edited report"))
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setOpenLinks(False)
        self.removed, self.added = "#f08080", "#7fd48a"

    def loadResource(self, kind: int, url: QUrl) -> QImage:  # noqa: N802, ARG002 - Qt's name
        """Load nothing: text must not make the panel read files or use the network."""
        return no_resource()

    def show_report(self, report: ReportDocument) -> None:
        """Show how the report differs from its draft."""
        lines: list[str] = []
        part = heading = None
        for change in compare_with_draft(report):
            if change.part != part:
                part = heading = change.part
                lines.append(f"<h3>{escape(part)}</h3>")
            if change.heading != heading:
                heading = change.heading
                lines.append(f"<p><b>{escape(heading)}</b></p>")
            words = []
            for op, text in change.parts:
                shown = escape(text)
                if op == "removed":
                    shown = f'<s style="color:{self.removed}">{shown}</s>'
                elif op == "added":
                    shown = f'<u style="color:{self.added}">{shown}</u>'
                words.append(shown)
            note = "" if change.state in ("draft", "template") else REPORT_STATES[change.state]
            tail = f" <i>({escape(note)})</i>" if note else ""
            lines.append(f"<p style='margin-left:12px'>{''.join(words)}{tail}</p>")
        nothing = escape(_("There is no draft yet."))
        self.setHtml("\n".join(lines) or f"<p>{nothing}</p>")
