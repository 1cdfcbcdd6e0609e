"""The report tab, in which the reader reviews and edits the draft."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from qtpy.QtCore import QEvent, Qt, QTimer, Signal
from qtpy.QtGui import QColor, QShowEvent, QTextCursor
from qtpy.QtWidgets import QShortcut, QStackedWidget, QVBoxLayout, QWidget

from napari_ct_assistant.assistant.report.completion import completions
from napari_ct_assistant.assistant.report.document import ReportDocument
from napari_ct_assistant.support.translation import _, shown
from napari_ct_assistant.viewer.measure.measurement_row import MeasurementRow
from napari_ct_assistant.viewer.report.checking import Checking
from napari_ct_assistant.viewer.report.comparison import Comparison
from napari_ct_assistant.viewer.report.completion import Completion
from napari_ct_assistant.viewer.report.editor import ReportEditor
from napari_ct_assistant.viewer.report.passage import Passage
from napari_ct_assistant.viewer.report.report_document import ReportText
from napari_ct_assistant.viewer.report.review import Review
from napari_ct_assistant.viewer.report.template_choice import TemplateChoice
from napari_ct_assistant.viewer.report.tools import NewDraftRow, ReportTools, SentenceRow
from napari_ct_assistant.viewer.session.background import Background
from napari_ct_assistant.viewer.texts import REPORT_EMPTY, TIPS, TITLE_SEPARATOR
from napari_ct_assistant.viewer.widgets import add_shortcuts, eliding_label
from napari_ct_assistant.viewer.widgets import tip as plain_tip

if TYPE_CHECKING:
    from napari_ct_assistant.assistant import ModelInfo, ReportDraft
    from napari_ct_assistant.assistant.report.template import ReportTemplate
    from napari_ct_assistant.viewer.session.jobs import ReportResult
    from napari_ct_assistant.viewer.session.scan_session import ScanSession

FOLLOW_MS = 60


class ReportTab(QWidget):
    """The report of the chosen scan; every open scan keeps its own text and its own undo.

    Parameters
    ----------
    template : str, optional
        The name of the report template.
    open_scans : iterable of ScanSession, optional
        The scans that are open, whichever of them is shown.
    parent : QWidget, optional

    Signals
    -------
    followed : ScanSession, str
        A slice link of a scan's report was clicked.
    measured : Measurement
        A sentence that states a measurement was clicked or followed.
    bring_forward
        The report is to be seen.
    edited : ScanSession
        The report of a scan changed.
    status_message : str
        One line for the reader.
    template_problem : str
        One line that says why a template cannot be used.
    """

    followed = Signal(object, str)
    measured = Signal(object)
    bring_forward = Signal()
    edited = Signal(object)
    status_message = Signal(str)
    template_problem = Signal(str)

    _own_keys: Sequence[QShortcut] = ()

    def __init__(
        self,
        template: str = "",
        open_scans: Iterable[ScanSession] = (),
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.scan: ScanSession | None = None
        self._open_scans = open_scans
        self._hashing = Background(self)
        # The rows around the text are updated a moment later, so that typing never waits.
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(FOLLOW_MS)
        self._soon.timeout.connect(self._refresh)
        self.tools = ReportTools()
        self.new_draft = NewDraftRow()
        self.editor = ReportEditor()
        self.editor.setPlaceholderText(_(REPORT_EMPTY))
        self.editor.setAccessibleDescription(TIPS["report"])
        self.comparison = Comparison()
        self.pages = QStackedWidget()
        self.pages.addWidget(self.editor)
        self.pages.addWidget(self.comparison)
        self.pages.setMinimumHeight(48)
        self.review = Review(self.editor)
        self.completion = Completion(
            self.editor, lambda line, section: completions(line, self.template, section)
        )
        self.checking = Checking(self.editor, self.tools)
        self.passage = Passage()
        self.measurement = MeasurementRow()
        self.sentence = SentenceRow()
        self.notice = eliding_label(middle=True)
        self.notice.setObjectName("notice")
        self.notice.setAccessibleName(_("Status of the report"))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for widget in (self.tools, self.new_draft):
            layout.addWidget(widget)
        layout.addWidget(self.pages, 1)
        self.sentence.line.addWidget(self.notice, 3)
        checking = self.checking
        below = (checking.list, self.passage, checking.take_along, self.measurement, self.sentence)
        for widget in below:
            layout.addWidget(widget)
        self._connect()
        self.templates = TemplateChoice(self.tools, template, self)
        self.templates.changed.connect(self._on_template)
        self.templates.problem.connect(self.template_problem)
        self.show_scan(None)

    @property
    def template(self) -> ReportTemplate:
        """The template for new reports."""
        return self.templates.template

    def _connect(self) -> None:
        editor, tools, line = self.editor, self.tools, self.sentence
        editor.moved.connect(self._soon.start)
        editor.followed.connect(self._follow)
        editor.measured.connect(self.measured)
        self.passage.replaced.connect(editor.setFocus)
        self.passage.summed_up.connect(self._hash)
        self.passage.status_message.connect(self.status_message)
        self.passage.shown.connect(self.sentence.setHidden)
        tools.undo_button.clicked.connect(editor.undo)
        tools.redo_button.clicked.connect(editor.redo)
        tools.compare_button.toggled.connect(self._on_compare)
        tools.phrase.connect(self._put_phrase)
        tools.template.connect(self.choose_template)
        line.accept_button.clicked.connect(editor.accept)
        line.reject_button.clicked.connect(editor.reject)
        line.next_button.clicked.connect(self.review.start)
        self.review.taken_along.connect(self.checking.take)
        self.review.changed.connect(self._refresh)
        self.review.status_message.connect(self.status_message)
        line.slice_button.clicked.connect(editor.follow)
        line.explain_button.clicked.connect(lambda: self.passage.ask("explain", editor))
        line.shorten_button.clicked.connect(lambda: self.passage.ask("shorten", editor))
        line.impression_button.clicked.connect(lambda: self.passage.sum_up(editor.text))
        self.new_draft.taken.connect(lambda: self._decide("replace"))
        self.new_draft.added.connect(lambda: self._decide("add"))
        self.new_draft.dismissed.connect(lambda: self._decide("dismiss"))
        add_shortcuts(
            self,
            (
                ("Ctrl+Return", editor.accept),
                ("Ctrl+Enter", editor.accept),
                ("Ctrl+Shift+Return", editor.reject),
                ("Ctrl+G", editor.follow),
            ),
        )
        # In the panel, the main window has these; in a window of its own, the report itself.
        self.keys: tuple[tuple[str, Callable[[], Any]], ...] = (
            ("F7", tools.window_button.toggle),
            ("F8", self.next_sentence),
            ("F9", tools.compare_button.toggle),
            ("Ctrl+Shift+K", tools.checks_button.toggle),
            ("Ctrl+Shift+E", line.explain_button.click),
            ("Ctrl+Shift+H", line.shorten_button.click),
            ("Ctrl+Shift+U", line.impression_button.click),
            ("Ctrl+Shift+X", tools.export_button.click),
            ("Ctrl+Shift+S", tools.sign_button.click),
        )
        self.add_keys(self.keys)

    def set_low(self, low: bool) -> None:
        """Leave the height of a low screen to the text: one row of buttons, and their menu."""
        self.sentence.set_low(low, self.tools.buttons)

    def add_keys(self, keys: Sequence[tuple[str, Callable[[], Any]]]) -> None:
        """Add keys for the time in which the report has a window of its own."""
        self._own_keys = [*self._own_keys, *add_shortcuts(self, keys)]
        for shortcut in self._own_keys:
            shortcut.setEnabled(self.isWindow())

    def event(self, event: QEvent) -> bool:
        """Use the keys of a window while the report has a window of its own."""
        if event.type() == QEvent.Type.ParentChange:
            for shortcut in self._own_keys:
                shortcut.setEnabled(self.isWindow())
        return bool(super().event(event))

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Open at the first sentence to review."""
        super().showEvent(event)
        if self.editor.current_line() is None:
            self.editor.next_unreviewed()

    def next_sentence(self) -> None:
        """Review the sentence at the cursor, or go to the next one while reviewing."""
        if self.review.active:
            self.editor.next_unreviewed()
        self.review.start()

    # -- scans and templates

    def show_scan(self, scan: ScanSession | None) -> None:
        """Show the report of another scan; the scan left keeps its text and its undo."""
        self.scan = scan
        self.setEnabled(scan is not None)
        self.tools.compare_button.setChecked(False)
        self.passage.hide()
        self.checking.show_scan(scan)
        self.review.stop()
        self.editor.set_text(ReportText(parent=self) if scan is None else self.text_of(scan))
        waits = scan is not None and scan.waiting_draft is not None and not scan.hidden
        self.new_draft.setVisible(waits)
        self._refresh()

    def text_of(self, scan: ScanSession) -> ReportText:
        """Return the text of a scan's report; a new one consists of the template's headings."""
        if scan.text is None:
            scan.text = ReportText(ReportDocument.blank(self.template, scan.volume), self)
            scan.text.edited.connect(partial(self._on_edited, scan))
        return scan.text

    def close_scan(self, scan: ScanSession) -> None:
        """Delete the text of a scan that was closed."""
        text, scan.text = scan.text, None
        if text is not None:
            if self.editor.text is text:
                self.editor.set_text(ReportText(parent=self))
            text.deleteLater()

    def wait_for_journal(self, scan: ScanSession) -> None:
        """Lock a scan's report until its page of the journal is read."""
        scan.journal = "reading"
        self._refresh()

    def restore(self, scan: ScanSession, report: ReportDocument | None) -> None:
        """Unlock a scan's report, and fill it with `report` if the journal had one."""
        scan.journal = "read"
        if report is not None:
            text = self.text_of(scan)
            text.fill(report)
            text.clearUndoRedoStacks()
        if scan.waiting_draft is not None:
            self.take_draft(scan, scan.waiting_draft)
        self._refresh()

    def choose_template(self, name: str) -> None:
        """Use another template for the next draft; an empty report takes it at once."""
        problem = self.templates.choose(name)
        if problem:
            self.status_message.emit(problem)

    def _on_template(self) -> None:
        if self.scan is not None:
            text = self.text_of(self.scan)
            report = text.report()
            if not report.touched and not report.drafts:
                text.fill(ReportDocument.blank(self.template, self.scan.volume))
        self._refresh()

    # -- drafts

    def take_result(self, result: ReportResult) -> None:
        """Take a new draft from the model."""
        self.take_draft(result.job.scan, result.draft)
        self._hash(result.record.info)

    def take_draft(self, scan: ScanSession, draft: ReportDraft) -> None:
        """Show a new draft; where the reader has edited the report, ask what to do with it."""
        if not scan.is_open:
            return
        scan.waiting_draft = draft
        if scan.journal == "reading" or scan.hidden:
            return
        if self.text_of(scan).report().touched:
            self.new_draft.setVisible(scan is self.scan)
        else:
            self._use_draft(scan, "replace")

    def _decide(self, choice: Literal["replace", "add", "dismiss"]) -> None:
        """Do with the waiting draft what the reader chose."""
        if self.scan is not None:
            self._use_draft(self.scan, choice)

    def _use_draft(self, scan: ScanSession, choice: Literal["replace", "add", "dismiss"]) -> None:
        draft, scan.waiting_draft = scan.waiting_draft, None
        if scan is self.scan:
            self.new_draft.hide()
        if draft is None or choice == "dismiss":
            return
        text = self.text_of(scan)
        report = text.report()
        known = draft.model.__dict__.get("weights_sha256", "")
        if choice == "replace":
            text.fill(report.replaced_by(draft, self.template, scan.volume, weights_sha256=known))
        else:
            text.add_draft(report.with_draft(draft, self.template, weights_sha256=known))
        if scan is self.scan:
            # The review begins at the top.
            self.editor.moveCursor(QTextCursor.MoveOperation.Start)
        self._refresh()

    def _hash(self, info: ModelInfo) -> None:
        """Fill in the hash of the weights, in the background: large files take a while."""
        if "weights_sha256" in info.__dict__:
            self._on_hashed((info.name, info.weights_sha256))
            return
        self._hashing.run(
            lambda: (info.name, info.weights_sha256),
            returned=self._on_hashed,
            errored=lambda error: self.status_message.emit(
                _("The model's weights could not be hashed: {problem}").format(problem=error)
            ),
            finished=lambda: None,
        )

    def _on_hashed(self, done: tuple[str, str]) -> None:
        for scan in self._open_scans:
            if scan.text is not None:
                scan.text.set_frame(scan.text.report().with_weights(*done))

    # -- the text at the cursor

    def _follow(self, href: str) -> None:
        line = self.editor.current_line()
        if self.scan is not None:
            self.scan.followed = None if line is None else line.sentence
        self.followed.emit(self.scan, href)

    def _put_phrase(self, text: str) -> None:
        cursor = self.editor.textCursor()
        cursor.setPosition(self.editor.text.insert_line(cursor.position(), text))
        self.editor.setTextCursor(cursor)
        self.editor.setFocus(Qt.FocusReason.OtherFocusReason)

    # -- keeping the widgets up to date

    def _on_compare(self, on: bool) -> None:
        if on:
            self.comparison.show_report(self.editor.text.report())
        self.pages.setCurrentWidget(self.comparison if on else self.editor)

    def _on_edited(self, scan: ScanSession) -> None:
        self.edited.emit(scan)
        if scan is self.scan:
            self._soon.start()

    def _refresh(self) -> None:
        text = self.editor.text
        locked = self.scan is not None and self.scan.journal == "reading"
        if locked != self.editor.isReadOnly():
            # Setting it also turns input methods on again, which are off during a review.
            self.editor.setReadOnly(locked)
        self.tools.undo_button.setEnabled(text.isUndoAvailable())
        self.tools.redo_button.setEnabled(text.isRedoAvailable())
        report = text.report()
        scan = "" if self.scan is None else self.scan.name
        # The banner above has the warning about the scan.
        notice = report.origin if report.drafts or report.signature else ""
        self.notice.setText(TITLE_SEPARATOR.join(filter(None, (scan, shown(notice)))))
        self.setWindowTitle(TITLE_SEPARATOR.join(filter(None, (_("Report"), scan))))
        self.notice.setToolTip(plain_tip(self.notice.text()))
        self.notice.setVisible(bool(self.notice.text()))
        if self.pages.currentWidget() is self.comparison:
            self.comparison.show_report(report)
        key = text.section_at(self.editor.textCursor().position())
        self.tools.show_phrases(self.template.phrases(key))
        self.checking.refresh()
        line = self.editor.current_line()
        self.sentence.show_line(
            line,
            report.unreviewed,
            self.editor.checks_of(line) if line is not None else (),
            reviewing=self.review.active,
        )

    def set_colours(self, link: str, *, dark: bool) -> None:
        """Use the colours of a light or a dark theme."""
        self.editor.link_colour = QColor(link)
        self.editor.warning_colour = QColor("#e3b617" if dark else "#8a5a00")
        view = self.comparison
        view.removed, view.added = ("#f08080", "#7fd48a") if dark else ("#a61b1b", "#0f6b2a")
        self.editor.margin.update()
        self._refresh()
