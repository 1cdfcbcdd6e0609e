"""Runs jobs in the background and brings their text to the Qt thread at a steady rate."""

from __future__ import annotations

import logging
from collections import deque

from qtpy.QtCore import QObject, QTimer, Signal

from napari_ct_assistant.backends.server.errors import AgreementNeededError
from napari_ct_assistant.support.translation import _
from napari_ct_assistant.viewer.session.background import UPDATE_MS, Background, one_line
from napari_ct_assistant.viewer.session.jobs import Job, JobResult
from napari_ct_assistant.viewer.session.model_session import ModelSession, StoppedError

logger = logging.getLogger(__name__)


class JobRunner(QObject):
    """Runs the jobs of a `ModelSession`, one at a time, and reports them through signals.

    Parameters
    ----------
    session : ModelSession
    parent : QObject, optional

    Signals
    -------
    began : Job
    stage : str
        What is being done now.
    text, reasoning : str
        The text written since the last update, and what the model wrote before its answer.
    done : JobResult
    stopping : Job
        The reader asked the job to stop.
    stopped : Job
        The job was stopped before it wrote any text.
    failed : Job, str
        One line that says what went wrong.
    unagreed : Job, Sending
        The job would send something to a server that nobody has agreed to; nothing was sent.
    ended : Job
        Always last, after `done`, `stopped`, `failed` or `unagreed`.
    """

    began = Signal(object)
    stage = Signal(str)
    text = Signal(str)
    reasoning = Signal(str)
    done = Signal(object)
    stopping = Signal(object)
    stopped = Signal(object)
    failed = Signal(object, str)
    unagreed = Signal(object, object)
    ended = Signal(object)

    def __init__(self, session: ModelSession, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self._job: Job | None = None
        self._pieces: deque[str] = deque()
        self._thoughts: deque[str] = deque()
        self._stages: deque[str] = deque()
        self._background = Background(self)
        self._timer = QTimer(self)
        self._timer.setInterval(UPDATE_MS)
        self._timer.timeout.connect(self._update)

    @property
    def busy(self) -> bool:
        """Whether a job is running."""
        return self._job is not None

    @property
    def job(self) -> Job | None:
        """The job that is running."""
        return self._job

    def start(self, job: Job) -> bool:
        """Start `job`; False when another one is still running."""
        if self._job is not None:
            return False
        self._job = job
        self._pieces.clear()
        self._thoughts.clear()
        self._stages.clear()
        session, pieces, stages = self.session, self._pieces, self._stages
        thoughts = self._thoughts
        self.began.emit(job)
        self._timer.start()
        self._background.run(
            # Closes over the queues, not over this widget: a closed panel is not kept alive.
            lambda: session.run(job, stages.append, pieces.append, thoughts.append),
            returned=self._on_returned,
            errored=self._on_errored,
            finished=self._on_finished,
            on_quit=job.cancel.set,
        )
        return True

    def stop(self) -> None:
        """Ask the running job to stop; what it wrote so far still arrives through `done`."""
        if self._job is not None:
            self._job.cancel.set()
            self.stopping.emit(self._job)
            self.stage.emit(_("Stopping"))

    def _update(self) -> None:
        """Emit the stages and the text that have come since the last update."""
        while self._stages:
            self.stage.emit(self._stages.popleft())
        if self._thoughts:
            thoughts = [self._thoughts.popleft() for _piece in range(len(self._thoughts))]
            self.reasoning.emit("".join(thoughts))
        if self._pieces:
            pieces = [self._pieces.popleft() for _piece in range(len(self._pieces))]
            self.text.emit("".join(pieces))

    def _on_returned(self, result: JobResult) -> None:
        self._update()
        self.done.emit(result)

    def _on_errored(self, error: Exception) -> None:
        self._update()
        if isinstance(error, StoppedError):
            self.stopped.emit(self._job)
            return
        if isinstance(error, AgreementNeededError):
            self.unagreed.emit(self._job, error.sending)
            return
        expected = isinstance(error, (ValueError, OSError))
        if not expected:
            logger.error("the model failed", exc_info=error)
        self.failed.emit(self._job, one_line(error))

    def _on_finished(self) -> None:
        self._timer.stop()
        job, self._job = self._job, None
        self.ended.emit(job)
