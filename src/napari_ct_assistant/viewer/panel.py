"""The docked panel: choose a scan and a model, draft the report, ask questions, follow links."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import napari
from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QGuiApplication, QShowEvent
from qtpy.QtWidgets import QMainWindow, QVBoxLayout, QWidget

from napari_ct_assistant.support.collector import keep_collections_short, stop_keeping_short
from napari_ct_assistant.support.translation import _
from napari_ct_assistant.viewer.chat.actions import (
    ActionRow,
    AskRow,
    TranscriptRow,
    finding_question,
)
from napari_ct_assistant.viewer.chat.controller import ChatController
from napari_ct_assistant.viewer.chat.transcript import Transcript
from napari_ct_assistant.viewer.crop.controller import CropController
from napari_ct_assistant.viewer.evidence.controller import EvidenceController
from napari_ct_assistant.viewer.evidence.findings_controller import FindingsController
from napari_ct_assistant.viewer.garbage import collect_in_this_thread
from napari_ct_assistant.viewer.keys import WindowKeys
from napari_ct_assistant.viewer.layout.reading_layout import ReadingLayout
from napari_ct_assistant.viewer.layout.text_columns import TextColumns
from napari_ct_assistant.viewer.measure.measured_sentences import MeasuredSentences
from napari_ct_assistant.viewer.models.picker import ModelPicker
from napari_ct_assistant.viewer.preferences import (
    load_preferences,
    remember_layout,
    remember_width,
    use_locale,
)
from napari_ct_assistant.viewer.report.controller import ReportController
from napari_ct_assistant.viewer.report.first_read import FirstRead
from napari_ct_assistant.viewer.results import ResultDisplay
from napari_ct_assistant.viewer.scan.outside import OutsideBanner
from napari_ct_assistant.viewer.scan.scan_picker import ScanPicker
from napari_ct_assistant.viewer.scan.warning_banner import WarningBanner
from napari_ct_assistant.viewer.session.conversation import Conversation
from napari_ct_assistant.viewer.session.model_session import ModelSession, load_real
from napari_ct_assistant.viewer.session.requests import Requests
from napari_ct_assistant.viewer.session.status_line import StatusLine
from napari_ct_assistant.viewer.side_by_side.controller import SideBySide
from napari_ct_assistant.viewer.texts import WELCOME
from napari_ct_assistant.viewer.theme import is_dark, link_colour, panel_style, warning_colour
from napari_ct_assistant.viewer.uncaught import hide_values_in_tracebacks
from napari_ct_assistant.viewer.views.reading_bar import ReadingBar
from napari_ct_assistant.viewer.views.scan_display import ScanDisplay
from napari_ct_assistant.viewer.views.strips import make_strips
from napari_ct_assistant.viewer.views.view_bar import ViewBar
from napari_ct_assistant.viewer.widgets import SPACING, row

if TYPE_CHECKING:
    from napari_ct_assistant.viewer.session.scan_session import ScanSession


class CTAssistantPanel(QWidget):
    """The CT Assistant panel.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    load : callable, optional
        Called as ``load(model, device=device)`` in a worker thread to load the model.
    """

    def __init__(
        self, napari_viewer: napari.viewer.Viewer, load: Callable[..., Any] = load_real
    ) -> None:
        super().__init__()
        hide_values_in_tracebacks()
        self.viewer = napari_viewer
        self._preferences = load_preferences()
        # Before any widget is made.
        self.setLocale(use_locale(self._preferences))
        self._draft_next = self._attached = self._window_connected = False
        self._theme = ""  # that the style sheets are for

        self.scans = ScanPicker(napari_viewer)
        self.first_read = FirstRead(self.scans, on=self._preferences.read_first, parent=self)
        self.display = ScanDisplay(napari_viewer, self)
        self.banner = WarningBanner()
        self.outside_banner = OutsideBanner()
        self.view_bar = ViewBar(napari_viewer, self._preferences)
        self.reading_bar = ReadingBar(napari_viewer, self._preferences, self)
        self.models = ModelPicker(self._preferences.model, self._preferences.device)
        self.actions_row = ActionRow()
        self.transcript = Transcript()
        self.transcript_row = TranscriptRow()
        self.ask_row = AskRow()
        self.status = StatusLine()
        session = ModelSession(load, scan_cache=self._preferences.scan_cache)
        self.conversation = Conversation(session, self.transcript, self)
        self.models.join(self.conversation.jobs)
        self.models.ask_before_sending(self.conversation)
        self.findings_controller = FindingsController(
            self.scans, self.conversation, self.models, self
        )
        self.findings = self.findings_controller.tab.table
        self.requests = Requests(self.scans, self.models, self.conversation, self)
        self.report_controller = ReportController(
            self.scans,
            self.conversation,
            self.transcript,
            self.transcript_row,
            self.ask_row.box,
            self._preferences,
            self,
        )
        self.evidence_controller = EvidenceController(napari_viewer, self.scans, self)
        self.crop = CropController(
            napari_viewer, self.scans, self.conversation, self.models, self.status, self
        )
        self.chat_controller = ChatController(
            napari_viewer, self.scans, self.conversation, self.ask_row.box, self.ask, self
        )
        self.measured = MeasuredSentences(
            napari_viewer, self.scans, self.report_controller.tab, self.reading_bar.measure
        )
        self.side_by_side = SideBySide(self.scans, self.models, self.conversation, self)
        self._lay_out()
        self._connect()
        self._apply_theme()
        self.transcript.add("note", "", _(WELCOME))
        self._on_scan(None)

    def _lay_out(self) -> None:
        report = self.report_controller.tab
        self.columns = TextColumns(self.transcript, report, self.findings_controller.tab)
        self.tabs = self.columns.tabs
        self.tabs.setCornerWidget(self.transcript_row, Qt.Corner.TopRightCorner)
        self.columns.low.connect(report.set_low)
        self.columns.add_below(self.chat_controller.chips)
        self.columns.add_below(self.ask_row)
        self.models.line.addWidget(self.actions_row)
        self.models.fold.layout().addLayout(row(self.side_by_side.button, None))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.setSpacing(SPACING)
        above = (self.scans, self.banner, self.models, self.crop.bar, self.outside_banner)
        for widget in (*above, self.first_read.bar):
            layout.addWidget(widget)
        layout.addWidget(self.columns, 1)
        layout.addWidget(self.status)
        self.reading_layout = ReadingLayout(
            self,
            self.columns,
            *make_strips(self.view_bar, self.reading_bar, self.evidence_controller.bar, self),
            {True: self._preferences.reading_width, False: self._preferences.napari_width},
        )

    def _connect(self) -> None:
        scans, conversation = self.scans, self.conversation
        scans.chosen.connect(self.display.set_scan)
        scans.chosen.connect(self._on_scan)
        scans.chosen.connect(self.reading_bar.set_scan)
        self.reading_bar.hovered.connect(self.view_bar.point_at)
        scans.closed.connect(conversation.close_scan)
        scans.closed.connect(self.display.close_scan)
        scans.failed.connect(conversation.show_problem)
        scans.stopped.connect(conversation.add_note)
        scans.opened.connect(self._on_opened)
        self.actions_row.drafted.connect(self.draft_report)
        self.outside_banner.drafted.connect(self.draft_report)
        self.outside_banner.status_message.connect(self.status.show_text)
        self.actions_row.screened.connect(self.screen)
        self.actions_row.stopped.connect(self.stop)
        self.ask_row.asked.connect(self.ask)
        self.findings.asked.connect(lambda finding: self.ask(finding_question(finding)))
        findings = self.findings_controller
        findings.tab.words_asked.connect(self.screen)
        findings.arrived.connect(lambda: self.tabs.setCurrentWidget(findings.tab))
        self.reading_layout.changed.connect(remember_layout)
        self.reading_layout.dragged.connect(remember_width)
        self.transcript_row.copied.connect(self.copy)
        self.transcript_row.cleared.connect(self.transcript.clear)
        self.requests.status_message.connect(self.status.show_text)
        self.report_controller.asked.connect(self.requests.rewrite)
        self.report_controller.join(self.columns, self.reading_bar.measure.measurements)
        self.report_controller.restored.connect(lambda _scan: self.show_outside())
        self.report_controller.status_message.connect(self.status.show_text)
        self._connect_evidence()
        self._connect_chat()
        self._connect_reading()

    def _connect_reading(self) -> None:
        first, report = self.first_read, self.report_controller
        first.join(report)
        first.status_message.connect(self.status.show_text)
        first.revealed.connect(self._on_revealed)
        self.side_by_side.status_message.connect(self.status.show_text)
        panel_keys = (
            ("F4", self.reading_bar.focus_picture),
            ("F5", self.measured.insert),
            ("Ctrl+Shift+Y", first.finish),
            ("Ctrl+Shift+B", self.side_by_side.ask),
            ("Ctrl+Shift+R", self.draft_report),
            ("Ctrl+Shift+F", self.screen),
            ("Ctrl+Shift+D", self.scans.ask_folder),
            ("Ctrl+Alt+H", self.evidence_controller.toggle),
            ("Ctrl+Shift+G", self.chat_controller.again),
            ("Ctrl+Shift+M", self.chat_controller.open_choices),
        )
        self.keys = WindowKeys(
            panel_keys, report.tab, report.review, self.columns.show_report, self.stop
        )
        self.results = ResultDisplay(
            self.scans,
            self.conversation,
            self.models,
            (self.actions_row, self.ask_row),
            self.status,
            self.show_outside,
            self.keys,
        )

    def _connect_evidence(self) -> None:
        evidence = self.evidence_controller
        self.conversation.drafted.connect(evidence.take_draft)
        self.conversation.located.connect(evidence.show_finding)
        self.transcript.linkClicked.connect(evidence.follow)
        self.report_controller.tab.followed.connect(evidence.follow_in_report)
        self.findings.chosen.connect(self.show_finding)
        self.findings_controller.tab.places.chosen.connect(evidence.go_to_place)
        evidence.status_message.connect(self.status.show_text)

    def _connect_chat(self) -> None:
        chat = self.chat_controller
        self.ask_row.available.connect(chat.chips.setVisible)
        self.transcript.againAsked.connect(chat.again)
        self.transcript.editAsked.connect(chat.edit)
        self.ask_row.choices_button.clicked.connect(lambda: chat.open_choices())
        chat.status_message.connect(self.status.show_text)

    def event(self, event: QEvent) -> bool:
        """Follow the viewer while the panel is docked; closing the dock removes the parent."""
        if event.type() == QEvent.Type.ParentChange:
            if self.parent() is not None and not self._attached:
                self._attach()
            elif self.parent() is None and self._attached:
                self._detach()
        return bool(super().event(event))

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Add shortcuts to the main window, where they also work while the canvas has the focus."""
        super().showEvent(event)
        window = self.parent()
        while window is not None and not isinstance(window, QMainWindow):
            window = window.parent()
        if window is None:
            return
        self.view_bar.add_shortcuts(window)
        self.reading_bar.add_shortcuts(window)
        self.reading_layout.attach(window)
        self.keys.attach(window)
        if self._preferences.layout == "reading":
            self.reading_layout.set_reading(True)
        if not self._window_connected:
            self._window_connected = True
            # A panel whose dock was closed has no parent to delete it.
            window.destroyed.connect(self.deleteLater)

    def _attach(self) -> None:
        self._attached = True
        self.display.attach()
        self.reading_bar.attach()
        self.scans.attach()
        self.view_bar.attach()
        # After napari, which makes new sliders then.
        self.viewer.dims.events.ndim.connect(self.reading_layout.show_slider_numbers)
        self.viewer.events.theme.connect(self._apply_theme)
        self._apply_theme()
        collect_in_this_thread()
        keep_collections_short(self)

    def _detach(self) -> None:
        self._attached = False
        self.report_controller.flush()
        self.keys.detach()
        self.reading_layout.detach()
        self.view_bar.detach()
        self.reading_bar.detach()
        self.display.detach()
        self.scans.detach()
        self.viewer.events.theme.disconnect(self._apply_theme)
        self.viewer.dims.events.ndim.disconnect(self.reading_layout.show_slider_numbers)
        stop_keeping_short(self)

    # -- actions

    def draft_report(self) -> None:
        """Draft the report of the chosen scan."""
        scan = self.scans.scan
        if self.requests.draft_report() and scan is not None and not scan.hidden:
            self.tabs.setCurrentWidget(self.transcript)

    def screen(self, words: tuple[str, ...] = ()) -> None:
        """Screen the chosen scan for the model's findings, or for those that the reader words."""
        self.requests.screen(words)

    def show_finding(self, finding: str) -> None:
        """Show where in the chosen scan a finding comes from."""
        self.requests.show_finding(finding)

    def ask(self, question: str, choices: tuple[str, ...] = ()) -> bool:
        """Ask a question about the chosen scan; return whether it was accepted.

        The question box keeps its text until then.
        """
        region = self.chat_controller.region_for(question)
        if not self.requests.ask(question, choices, region):
            return False
        self.tabs.setCurrentWidget(self.transcript)
        if self.ask_row.box.toPlainText().strip() == question:
            self.ask_row.box.taken()
        return True

    def copy(self) -> None:
        """Copy the transcript as text, with the model's notice."""
        text = f"{self.transcript.plain_text()}\n\n[{self.models.notice.text()}]"
        QGuiApplication.clipboard().setText(text)
        self.status.show_text(_("Transcript copied"))

    def stop(self) -> None:
        """Stop the running job and the opening of a scan."""
        self.conversation.stop()
        self.scans.stop()

    def draft_next_scan(self) -> None:
        """Draft the report of the next scan as soon as it is open."""
        self._draft_next = True

    # -- keeping the widgets up to date

    def _on_scan(self, layer: Any) -> None:
        scan = self.scans.scan
        self.banner.show_scan(self.scans.volume)
        self.transcript.show_scan(scan)
        self.ask_row.box.show_scan(scan)
        self.results.show_scan()
        if layer is not None:
            self.viewer.canvas.overlays.scale_bar.visible = True

    def _on_revealed(self, scan: ScanSession) -> None:
        """Show what was hidden while the reader read the scan."""
        if scan is self.scans.scan:
            self._on_scan(self.scans.layer)
            self.findings_controller.show_scan()
            self.chat_controller.refresh()

    def _on_opened(self, _layer: Any) -> None:
        self.view_bar.show_first()
        if self._draft_next:
            self._draft_next = False
            self.draft_report()

    def show_outside(self) -> None:
        """Show the warning that the scan is outside the model's training distribution."""
        self.outside_banner.show_scan(self.scans.scan)
        self.report_controller.show_outside()

    def _apply_theme(self, event: Any = None) -> None:  # noqa: ARG002 - napari passes the event
        theme = self.viewer.theme
        if theme == self._theme:
            return
        self._theme = theme
        self.setStyleSheet(panel_style(theme))
        self.reading_layout.set_style(panel_style(theme))
        self.transcript.set_link_colour(link_colour(theme), warning_colour(theme))
        self.report_controller.tab.set_colours(link_colour(theme), dark=is_dark(theme))
