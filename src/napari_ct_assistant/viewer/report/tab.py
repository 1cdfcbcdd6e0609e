"""The report tab: the draft becomes the reader's report, sentence by sentence."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QStackedWidget, QVBoxLayout, QWidget
from superqt import QElidingLabel

from napari_ct_assistant.assistant.report.document import ReportDocument
from napari_ct_assistant.assistant.report.template import (
    ReportTemplate,
    find_template,
    list_templates,
)
from napari_ct_assistant.viewer.report.comparison import Comparison
from napari_ct_assistant.viewer.report.editor import ReportEditor
from napari_ct_assistant.viewer.report.passage import Passage
from napari_ct_assistant.viewer.report.text import ReportText
from napari_ct_assistant.viewer.report.tools import NewDraftRow, ReportTools, SentenceRow
from napari_ct_assistant.viewer.session.background import Background
from napari_ct_assistant.viewer.texts import REPORT_EMPTY, TIPS
from napari_ct_assistant.viewer.widgets import add_shortcuts

if TYPE_CHECKING:
    from napari_ct_assistant.assistant import ModelInfo, ReportDraft
    from napari_ct_assistant.viewer.session.jobs import ReportResult
    from napari_ct_assistant.volume import CTVolume

FOLLOW_MS = 60


class ReportTab(QWidget):
    """The report of the chosen scan; every open scan keeps its own text and its own undo.

    Signals
    -------
    followed : CTVolume, str
        A slice link of a scan's report was clicked.
    edited : CTVolume
        The report of a scan changed.
    status_message : str
        One line for the reader.
    """

    followed = Signal(object, str)
    edited = Signal(object)
    status_message = Signal(str)

    def __init__(self, template: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.volume: CTVolume | None = None
        # id(volume) -> its text and a draft that waits for the reader's decision.
        self._texts: dict[int, ReportText] = {}
        self._waiting: dict[int, ReportDraft] = {}
        self._held: set[int] = set()
        self._hashing = Background(self)
        # The rows around the text follow it a moment later: typing waits for nothing.
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(FOLLOW_MS)
        self._soon.timeout.connect(self._refresh)
        self.tools = ReportTools()
        self.new_draft = NewDraftRow()
        self.editor = ReportEditor()
        self.editor.setPlaceholderText(REPORT_EMPTY)
        self.editor.setAccessibleDescription(TIPS["report"])
        self.comparison = Comparison()
        self.pages = QStackedWidget()
        self.pages.addWidget(self.editor)
        self.pages.addWidget(self.comparison)
        self.pages.setMinimumHeight(48)
        self.passage = Passage()
        self.sentence = SentenceRow()
        self.notice = QElidingLabel()
        self.notice.setObjectName("notice")
        self.notice.setAccessibleName("Status of the report")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for widget in (self.tools, self.new_draft):
            layout.addWidget(widget)
        layout.addWidget(self.pages, 1)
        for widget in (self.passage, self.sentence, self.notice):
            layout.addWidget(widget)
        self._connect()
        self.template = self._first_template(template)
        self.show_scan(None)

    def _connect(self) -> None:
        editor, tools, line = self.editor, self.tools, self.sentence
        editor.moved.connect(self._soon.start)
        editor.followed.connect(self._follow)
        self.passage.replaced.connect(editor.setFocus)
        self.passage.status_message.connect(self.status_message)
        self.passage.shown.connect(self.sentence.setHidden)
        tools.undo_button.clicked.connect(editor.undo)
        tools.redo_button.clicked.connect(editor.redo)
        tools.compare_button.toggled.connect(self._on_compare)
        tools.phrase.connect(self._put_phrase)
        tools.template.connect(self.choose_template)
        line.accept_button.clicked.connect(editor.accept)
        line.reject_button.clicked.connect(editor.reject)
        line.next_button.clicked.connect(editor.next_unreviewed)
        line.slice_button.clicked.connect(editor.follow)
        line.explain_button.clicked.connect(lambda: self.passage.ask("explain", editor))
        line.shorten_button.clicked.connect(lambda: self.passage.ask("shorten", editor))
        line.impression_button.clicked.connect(lambda: self.passage.sum_up(editor.text))
        self.new_draft.taken.connect(lambda: self._decide("replace"))
        self.new_draft.added.connect(lambda: self._decide("add"))
        self.new_draft.dismissed.connect(lambda: self._decide(""))
        shortcuts: tuple[tuple[str, Callable[[], Any]], ...] = (
            ("Ctrl+Return", editor.accept),
            ("Ctrl+Enter", editor.accept),
            ("Ctrl+Shift+Return", editor.reject),
            ("F8", editor.next_unreviewed),
            ("F9", tools.compare_button.toggle),
            ("F7", tools.window_button.toggle),
            ("Ctrl+G", editor.follow),
            ("Ctrl+Shift+E", line.explain_button.click),
            ("Ctrl+Shift+H", line.shorten_button.click),
            ("Ctrl+Shift+U", line.impression_button.click),
            ("Ctrl+Shift+X", tools.export_button.click),
        )
        add_shortcuts(self, shortcuts)

    # -- scans and templates

    def show_scan(self, volume: CTVolume | None) -> None:
        """Show the report of another scan; the one left keeps its text and its undo."""
        self.volume = volume
        self.setEnabled(volume is not None)
        self.tools.compare_button.setChecked(False)
        self.passage.hide()
        self.editor.set_text(ReportText(parent=self) if volume is None else self.text_of(volume))
        self.new_draft.setVisible(volume is not None and id(volume) in self._waiting)
        self._refresh()

    def text_of(self, volume: CTVolume) -> ReportText:
        """Return the text of a scan's report, the template's headings where there is none yet."""
        text = self._texts.get(id(volume))
        if text is None:
            text = ReportText(ReportDocument.blank(self.template, volume), self)
            text.edited.connect(partial(self._on_edited, volume))
            self._texts[id(volume)] = text
        return text

    def forget_scan(self, volume: CTVolume) -> None:
        """Let go of a scan that was closed."""
        self._waiting.pop(id(volume), None)
        self._held.discard(id(volume))
        text = self._texts.pop(id(volume), None)
        if text is not None:
            if self.editor.text is text:
                self.editor.set_text(ReportText(parent=self))
            text.deleteLater()

    def hold(self, volume: CTVolume) -> None:
        """Wait with a scan's report until it is known what was kept of it."""
        self._held.add(id(volume))
        self._refresh()

    def restore(self, volume: CTVolume, report: ReportDocument | None) -> None:
        """Go on with a scan's report, from `report` where one was kept."""
        self._held.discard(id(volume))
        if report is not None:
            text = self.text_of(volume)
            text.fill(report)
            text.clearUndoRedoStacks()
        draft = self._waiting.get(id(volume))
        if draft is not None:
            self.take_draft(volume, draft)
        self._refresh()

    def choose_template(self, name: str) -> None:
        """Use another template for the next draft; an untouched report takes it at once."""
        try:
            self.template = find_template(name)
        except ValueError as error:
            self.status_message.emit(str(error))
            return
        if self.volume is not None:
            text = self.text_of(self.volume)
            report = text.report()
            if not report.touched and not report.drafts:
                text.fill(ReportDocument.blank(self.template, self.volume))
        self._refresh()

    def _first_template(self, name: str) -> ReportTemplate:
        found, self.template_problems = list_templates()
        try:
            template = find_template(name)
        except ValueError as error:
            self.template_problems.append(str(error))
            template = find_template()
        self.tools.show_templates(list(found), template.name)
        return template

    # -- drafts

    def take_result(self, result: ReportResult) -> None:
        """Take a new draft from the model."""
        self.take_draft(result.job.volume, result.draft)
        self._hash(result.record.info)

    def take_draft(self, volume: CTVolume, draft: ReportDraft) -> None:
        """Show a new draft; what the reader has done stays until they decide otherwise."""
        self._waiting[id(volume)] = draft
        if id(volume) in self._held:
            return
        if self.text_of(volume).report().touched:
            self.new_draft.setVisible(volume is self.volume)
        else:
            self._decide("replace", volume)

    def _decide(self, what: str, volume: CTVolume | None = None) -> None:
        """Do with the waiting draft as the reader chose."""
        volume = volume or self.volume
        if volume is None:
            return
        draft = self._waiting.pop(id(volume), None)
        self.new_draft.setVisible(self.volume is not None and id(self.volume) in self._waiting)
        if draft is None or not what:
            return
        text = self.text_of(volume)
        report = text.report()
        known = draft.model.__dict__.get("weights_sha256", "")
        if what == "replace":
            text.fill(report.replaced_by(draft, self.template, volume, weights_sha256=known))
        else:
            text.add_draft(report.with_draft(draft, self.template, weights_sha256=known))
        self._refresh()

    def _hash(self, info: ModelInfo) -> None:
        """Fill in the hash of the weights; of large ones that takes longer than a click may."""
        if "weights_sha256" in info.__dict__:
            self._on_hashed((info.name, info.weights_sha256))
            return
        self._hashing.run(
            lambda: (info.name, info.weights_sha256),
            returned=self._on_hashed,
            errored=lambda error: self.status_message.emit(
                f"The model's weights were not hashed: {error}"
            ),
            finished=lambda: None,
        )

    def _on_hashed(self, done: tuple[str, str]) -> None:
        for text in self._texts.values():
            text.set_frame(text.report().with_weights(*done))

    # -- the text at the cursor

    def _follow(self, href: str) -> None:
        self.followed.emit(self.volume, href)

    def _put_phrase(self, text: str) -> None:
        cursor = self.editor.textCursor()
        cursor.setPosition(self.editor.text.insert_line(cursor.position(), text))
        self.editor.setTextCursor(cursor)
        self.editor.setFocus(Qt.FocusReason.OtherFocusReason)

    # -- keeping the widgets in step

    def _on_compare(self, on: bool) -> None:
        if on:
            self.comparison.show_report(self.editor.text.report())
        self.pages.setCurrentWidget(self.comparison if on else self.editor)

    def _on_edited(self, volume: CTVolume) -> None:
        self.edited.emit(volume)
        if volume is self.volume:
            self._soon.start()

    def _refresh(self) -> None:
        text = self.editor.text
        self.editor.setReadOnly(self.volume is not None and id(self.volume) in self._held)
        self.tools.undo_button.setEnabled(text.isUndoAvailable())
        self.tools.redo_button.setEnabled(text.isRedoAvailable())
        report = text.report()
        self.notice.setText(report.notice if report.drafts or report.signature else "")
        self.notice.setToolTip(self.notice.text())
        self.notice.setVisible(bool(self.notice.text()))
        if self.pages.currentWidget() is self.comparison:
            self.comparison.show_report(report)
        key = text.section_at(self.editor.textCursor().position())
        self.tools.show_phrases(self.template.phrases(key))
        self.sentence.show_line(self.editor.current_line(), report.unreviewed)

    def set_colours(self, link: str, *, dark: bool) -> None:
        """Take the colours of a light or a dark theme."""
        self.editor.link_colour = QColor(link)
        self.editor.warning_colour = QColor("#e3b617" if dark else "#8a5a00")
        view = self.comparison
        view.removed, view.added = ("#f08080", "#7fd48a") if dark else ("#a61b1b", "#0f6b2a")
        self.editor.margin.update()
        self._refresh()
