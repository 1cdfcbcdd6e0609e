"""Keeps what is on screen in the journal while it grows, and brings it back.

It watches the transcript, the report and the question box; what the model or the reader adds
is on disk a quarter of a second later, without the window waiting for the disk.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_ct_assistant.assistant.journal.store import Journal, JournalWriter, Page
from napari_ct_assistant.assistant.report.document import ReportDocument
from napari_ct_assistant.viewer.chat.links import escaped
from napari_ct_assistant.viewer.texts import INTERRUPTED, RESTORED

if TYPE_CHECKING:
    from napari_ct_assistant.viewer.chat.question_box import QuestionBox
    from napari_ct_assistant.viewer.chat.transcript import Transcript
    from napari_ct_assistant.viewer.report.tab import ReportTab
    from napari_ct_assistant.viewer.session.jobs import Job
    from napari_ct_assistant.viewer.session.runner import JobRunner
    from napari_ct_assistant.volume import CTVolume

UPDATE_MS = 250
MAIL_MS = 50


class JournalKeeper(QObject):
    """Journals the open scans.

    Parameters
    ----------
    report, transcript, question, jobs
        The parts of the panel that are watched.
    journal : Journal, optional

    Signals
    -------
    status_message : str
        One line: the journal cannot be used.
    """

    status_message = Signal(str)

    def __init__(
        self,
        report: ReportTab,
        transcript: Transcript,
        question: QuestionBox,
        jobs: JobRunner,
        journal: Journal | None = None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._report, self._transcript, self._question = report, transcript, question
        # From the writer's thread, which may outlive this object: it only puts things here.
        self._mail: SimpleQueue[Callable[[JournalKeeper], None]] = SimpleQueue()
        mail = self._mail
        self.writer = JournalWriter(
            journal or Journal(),
            lambda text: mail.put(lambda keeper: keeper.status_message.emit(text)),
        )
        self._post = QTimer(self)
        self._post.setInterval(MAIL_MS)
        self._post.timeout.connect(self._open_mail)
        self._post.start()
        # id(volume) -> the scan and its hash, "" until that is known.
        self._scans: dict[int, tuple[CTVolume, str]] = {}
        self._closed: dict[str, CTVolume] = {}
        self._changed: set[int] = set()
        self._now: CTVolume | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(UPDATE_MS)
        self._timer.timeout.connect(self.save)
        report.edited.connect(self.changed)
        question.textChanged.connect(lambda: self.changed(self._now))
        jobs.began.connect(self._on_began)
        jobs.text.connect(lambda _text: self.changed(self._working))
        jobs.ended.connect(self._on_ended)
        self._working: CTVolume | None = None

    def _open_mail(self) -> None:
        while not self._mail.empty():
            self._mail.get_nowait()(self)

    # -- which scans

    def show_scan(self, volume: CTVolume | None) -> None:
        """Follow the scan that is read now; the first time, look for what was kept of it."""
        self._now = volume
        if volume is None or id(volume) in self._scans:
            return
        self._scans[id(volume)] = (volume, "")
        self._report.hold(volume)
        journal, mail = self.writer.journal, self._mail

        def look() -> None:
            # The hash of a large scan takes a second; nobody waits for it.
            key = volume.fingerprint
            page = None
            try:
                journal.prepare()
                page = journal.load(key)
            finally:
                mail.put(lambda keeper: keeper._restore(volume, key, page))

        self.writer.call(look)

    def close_scan(self, volume: CTVolume) -> None:
        """Write what is left of a scan that is being closed, and let go of it."""
        self.save()
        _, key = self._scans.pop(id(volume), (volume, ""))
        if key:
            self._closed[key] = volume

    def _restore(self, volume: CTVolume, key: str, page: Page | None) -> None:
        if id(volume) not in self._scans:
            return
        self._scans[id(volume)] = (volume, key)
        body = {} if page is None else page.body
        report = None
        try:
            report = ReportDocument.from_json(body["report"]) if body.get("report") else None
        except ValueError as error:
            self.status_message.emit(f"The journal's report of this scan cannot be read: {error}")
        self._report.restore(volume, report)
        messages = body.get("transcript") or []
        before = self._closed.pop(key, None)
        still = [
            message
            for message in self._transcript.messages
            if message.source is not None and message.source in (before, volume)
        ]
        if before is not None and still:
            # The scan was open a moment ago and its messages are on screen: they are its again.
            for message in still:
                message.source = volume
        elif not still:
            for message in messages:
                text = str(message.get("text", ""))
                if not message.get("complete", True):
                    text = f"{escaped(text)}\n\n*{INTERRUPTED}*"
                speaker, title = message.get("speaker", "note"), str(message.get("title", ""))
                self._transcript.add(speaker, title, text, volume)
        if self._now is volume and body.get("question"):
            self._question.give_back(str(body["question"]))
        if before is None and page is not None and (report is not None or messages):
            when = datetime.fromtimestamp(page.updated).strftime("%Y-%m-%d %H:%M")
            self._transcript.add("note", "", RESTORED.format(when=when))

    # -- what changed

    def _on_began(self, job: Job) -> None:
        self._working = job.volume
        self.changed(job.volume)

    def _on_ended(self, job: Job) -> None:
        self._working = None
        self.changed(job.volume)

    def changed(self, volume: CTVolume | None) -> None:
        """Have a scan's page written soon."""
        if volume is not None:
            self._changed.add(id(volume))
            if not self._timer.isActive():
                self._timer.start()

    def changed_all(self) -> None:
        """Have every open scan's page written soon."""
        for volume, _ in list(self._scans.values()):
            self.changed(volume)

    def save(self) -> None:
        """Hand the pages that changed to the writer."""
        for number in list(self._changed):
            volume, key = self._scans.get(number, (None, ""))
            if volume is None:
                self._changed.discard(number)
            elif key:
                self._changed.discard(number)
                self.writer.save(key, self._page(volume))

    def _page(self, volume: CTVolume) -> dict[str, Any]:
        report = self._report.text_of(volume).report()
        transcript = [
            {
                "speaker": message.speaker,
                "title": message.title,
                "text": message.markdown or message.plain_text(),
                "complete": bool(message.markdown),
            }
            for message in self._transcript.messages
            if message.source is volume
        ]
        worth = report.touched or bool(report.drafts)
        return {
            "report": report.to_json() if worth else None,
            "transcript": transcript,
            "question": self._question.toPlainText() if volume is self._now else "",
        }

    # -- the end

    def flush(self) -> None:
        """Write everything now and wait for it."""
        self.save()
        self.writer.flush()

    def delete(self, volume: CTVolume | None) -> None:
        """Delete what is kept of a scan, or of every scan with None; the screen stays."""
        self._changed.clear()
        self.writer.forget(None if volume is None else self._scans.get(id(volume), (0, ""))[1])
        journal = self.writer.journal

        def delete() -> None:
            journal.delete(None if volume is None else volume.fingerprint)

        self.writer.call(delete)
