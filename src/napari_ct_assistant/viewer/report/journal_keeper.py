"""Keeps what is on screen in the journal while it grows, and brings it back.

The keeper watches the transcript, the report and the question box. What the model or the reader
adds is on disk a quarter of a second later, and the window never waits for the disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_ct_assistant.assistant.journal.pages import Page
from napari_ct_assistant.assistant.journal.store import Journal
from napari_ct_assistant.assistant.journal.writer import JournalWriter
from napari_ct_assistant.assistant.report.document import ReportDocument
from napari_ct_assistant.support.translation import _, time_text
from napari_ct_assistant.viewer.chat.links import escaped
from napari_ct_assistant.viewer.session.background import one_line
from napari_ct_assistant.viewer.texts import (
    RESTORED,
    SAMPLED_AGAIN,
    TITLE_SEPARATOR,
)

if TYPE_CHECKING:
    from napari_ct_assistant.viewer.chat.question_box import QuestionBox
    from napari_ct_assistant.viewer.chat.transcript import Transcript
    from napari_ct_assistant.viewer.report.tab import ReportTab
    from napari_ct_assistant.viewer.session.jobs import Job
    from napari_ct_assistant.viewer.session.runner import JobRunner
    from napari_ct_assistant.viewer.session.scan_session import ScanSession

SAVE_MS = 250
MAILBOX_MS = 50


class JournalKeeper(QObject):
    """Journals the open scans.

    Parameters
    ----------
    report, transcript, question, jobs
        The parts of the panel that are watched.
    open_scans : iterable of ScanSession
        The scans that are open.
    journal : Journal, optional
    parent : QObject, optional

    Signals
    -------
    status_message : str
        One line: the journal cannot be used.
    restored : ScanSession, object
        The page of a scan was read; with its record of reading first, None without one.
    """

    status_message = Signal(str)
    restored = Signal(object, object)

    def __init__(
        self,
        report: ReportTab,
        transcript: Transcript,
        question: QuestionBox,
        jobs: JobRunner,
        open_scans: Iterable[ScanSession],
        journal: Journal | None = None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._report, self._transcript, self._question = report, transcript, question
        self._open_scans = open_scans
        # The writer's thread may outlive this object: it only puts calls into this mailbox.
        self._mailbox: SimpleQueue[Callable[[JournalKeeper], None]] = SimpleQueue()
        mailbox = self._mailbox
        self.writer = JournalWriter(
            journal or Journal(),
            lambda text: mailbox.put(lambda keeper: keeper.status_message.emit(text)),
        )
        self._mailbox_timer = QTimer(self)
        self._mailbox_timer.setInterval(MAILBOX_MS)
        self._mailbox_timer.timeout.connect(self._empty_mailbox)
        self._mailbox_timer.start()
        # By the journal's key: a scan that is opened again finds its messages in the transcript.
        self._closed: dict[str, ScanSession] = {}
        # The page of a scan that was closed while the model was writing about it.
        self._last_page: dict[str, Any] = {}
        self._scan: ScanSession | None = None
        self._save_timer = QTimer(self)
        self._save_timer.setSingleShot(True)
        self._save_timer.setInterval(SAVE_MS)
        self._save_timer.timeout.connect(self.save)
        report.edited.connect(self.mark_changed)
        question.textChanged.connect(lambda: self.mark_changed(self._scan))
        jobs.began.connect(self._on_began)
        jobs.text.connect(lambda _text: self.mark_changed(self._working_on))
        jobs.ended.connect(self._on_ended)
        jobs.stopping.connect(self._on_stopping)
        self._working_on: ScanSession | None = None
        # The job that the reader has stopped, while it still runs.
        self._stopped: Job | None = None

    def _empty_mailbox(self) -> None:
        while not self._mailbox.empty():
            self._mailbox.get_nowait()(self)

    # -- opening and closing scans

    def show_scan(self, scan: ScanSession | None) -> None:
        """Follow the chosen scan; the first time, read its page of the journal."""
        self._scan = scan
        if scan is None or scan.journal != "unread":
            return
        self._report.wait_for_journal(scan)
        journal, mailbox = self.writer.journal, self._mailbox

        def read_page() -> None:
            # Hashing a large scan takes a second, so the window does not wait for it.
            key = scan.volume.fingerprint
            page = None
            try:
                journal.prepare()
                page = journal.load(key)
            finally:
                mailbox.put(lambda keeper: keeper._restore(scan, key, page))

        self.writer.call(read_page)

    def close_scan(self, scan: ScanSession) -> None:
        """Write what is still unsaved of a scan that is being closed."""
        if scan is self._working_on:
            self._last_page = self._page(scan)
        self._save(scan)
        if scan.journal_key:
            self._closed[scan.journal_key] = scan

    def _restore(self, scan: ScanSession, key: str, page: Page | None) -> None:
        if not scan.is_open:
            return
        scan.journal_key = key
        body = {} if page is None else page.body
        report = None
        try:
            report = ReportDocument.from_json(body["report"]) if body.get("report") else None
        except ValueError as error:
            text = _("The journal's report of this scan cannot be read: {problem}")
            self.status_message.emit(text.format(problem=one_line(error)))
        self._report.restore(scan, report)
        if report is not None:
            scan.outside = scan.outside or next((d.outside for d in report.drafts if d.outside), "")
        messages = body.get("transcript") or []
        before = self._closed.pop(key, None)
        on_screen = [
            message
            for message in self._transcript.messages
            if message.scan is not None and message.scan in (before, scan)
        ]
        if before is not None and on_screen:
            # The scan was closed a moment ago: its messages belong to the session of now.
            for message in on_screen:
                self._transcript.move_to(message, scan)
        elif not on_screen:
            self._restore_messages(scan, page)
        if body.get("question"):
            self._question.give_back(str(body["question"]), scan)
        if before is None and page is not None and (report is not None or messages):
            when = time_text(datetime.fromtimestamp(page.updated))
            self._transcript.add("note", "", _(RESTORED).format(when=when), scan)
        self._tell_of_others(scan, page)
        if scan.unsaved:
            # It changed while its page was read, when it could not be saved yet.
            self.mark_changed(scan)
        self.restored.emit(scan, body.get("read_first"))

    def _tell_of_others(self, scan: ScanSession, page: Page | None) -> None:
        """Write what other windows wrote about a scan without this page knowing of it."""
        known = [] if page is None else page.passages()
        for other in () if page is None else page.others:
            told = [part for part in other.passages() if part not in known]
            if told:
                known += told
                when = time_text(datetime.fromtimestamp(other.updated))
                title = _("Written in another window, {when}").format(when=when)
                text = "\n\n".join(escaped(part).replace("\n", "\n\n") for part in told)
                self._transcript.add("note", title, text, scan)

    def _restore_messages(self, scan: ScanSession, page: Page | None) -> None:
        for message in () if page is None else page.body.get("transcript") or ():
            text = str(message.get("text", ""))
            if page is not None and not message.get("complete", True):
                text = f"{escaped(text)}\n\n*{page.unfinished(message)}*"
            speaker, title = message.get("speaker", "note"), str(message.get("title", ""))
            self._transcript.add(speaker, title, text, scan)

    # -- saving changes

    def _on_began(self, job: Job) -> None:
        self._working_on = job.scan
        self.mark_changed(job.scan)

    def _on_stopping(self, job: Job) -> None:
        """Write at once that the reader stopped it: the program may end before the model does."""
        self._stopped = job
        self.mark_changed(job.scan)

    def _on_ended(self, job: Job) -> None:
        self._working_on = self._stopped = None
        page, self._last_page = self._last_page, {}
        key = job.scan.journal_key
        if job.scan.is_open:
            self.mark_changed(job.scan)
        elif key in self._closed:
            # The scan was closed while the text was being written; this is all there will be.
            self.writer.save(key, page | {"transcript": self._messages(job.scan)})
        else:
            # It was opened again meanwhile: its messages belong to the session of now.
            self.mark_all_changed()

    def mark_changed(self, scan: ScanSession | None) -> None:
        """Have a scan's page written soon."""
        if scan is not None:
            scan.unsaved = True
            if not self._save_timer.isActive():
                self._save_timer.start()

    def mark_all_changed(self) -> None:
        """Have the page of every open scan written soon."""
        for scan in self._open_scans:
            self.mark_changed(scan)

    def save(self) -> None:
        """Hand the pages that changed to the writer."""
        for scan in self._open_scans:
            self._save(scan)

    def _save(self, scan: ScanSession) -> None:
        if scan.unsaved and scan.journal_key:
            scan.unsaved = False
            self.writer.save(scan.journal_key, self._page(scan))

    def _page(self, scan: ScanSession) -> dict[str, Any]:
        report = self._report.text_of(scan).report()
        worth_keeping = report.touched or bool(report.drafts)
        page = {
            "report": report.to_json() if worth_keeping else None,
            "transcript": self._messages(scan),
            "question": scan.typed,
        }
        if scan.read_first is not None:
            page["read_first"] = scan.read_first.to_json(report)
        return page

    def _messages(self, scan: ScanSession) -> list[dict[str, Any]]:
        return [
            {
                "speaker": message.speaker,
                "title": _title(message.title),
                "text": message.markdown or message.plain_text(),
                "complete": not message.is_being_written,
            }
            | ({"stopped": True} if message.job is self._stopped is not None else {})
            for message in self._transcript.messages
            if message.scan is scan
        ]

    # -- the end

    def flush(self) -> None:
        """Write everything now and wait for it."""
        self.save()
        self.writer.flush()

    def delete(self, scan: ScanSession | None) -> None:
        """Delete a scan's page, or the whole journal with None; the screen stays as it is."""
        for each in self._open_scans:
            each.unsaved = False
        if scan is None:
            self._closed.clear()
        self.writer.forget(None if scan is None else scan.journal_key)
        journal = self.writer.journal
        # Taken now: a scan that is closed in the meantime has no voxels.
        volume = None if scan is None else scan.volume

        def delete() -> None:
            journal.delete(None if volume is None else volume.fingerprint)

        self.writer.call(delete)


def _title(title: str) -> str:
    """Return a message's title without the name of the scan, which may name a person.

    A model's folder is named without the folders above it.
    """
    kind, *rest = title.split(TITLE_SEPARATOR)
    if Path(kind).is_absolute():
        kind = Path(kind).name
    return TITLE_SEPARATOR.join([kind, *(part for part in rest[-1:] if part == _(SAMPLED_AGAIN))])
