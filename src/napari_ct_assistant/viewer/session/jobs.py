"""Work off the Qt thread: one background call at a time, text brought back in a steady beat."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from napari.qt.threading import FunctionWorker, create_worker
from qtpy.QtCore import QObject, QTimer, Signal

from napari_ct_assistant.viewer.session.model_session import (
    Job,
    ModelSession,
    Outcome,
    StoppedError,
)

logger = logging.getLogger(__name__)

# Often enough to read as flowing text, rare enough to leave the event loop free.
BEAT_MS = 40


class BackgroundCall(FunctionWorker):
    """A napari worker whose `quit` (napari calls it when the window closes) also runs `on_quit`.

    Library warnings raised in the thread go to the log instead of the screen.
    """

    on_quit: Callable[[], None] | None = None

    def quit(self) -> None:
        """Ask the call to end early."""
        if self.on_quit is not None:
            self.on_quit()
        super().quit()

    def _relay_warning(self, show_warn_args: tuple[Any, ...]) -> None:
        logger.info("%s", show_warn_args[0])


class Background(QObject):
    """Runs one call at a time in napari's thread pool; callbacks run on the Qt thread.

    Its slots are a QObject's, so that a call that outlives its widget reports to nobody.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._returned: Callable[[Any], None] | None = None
        self._errored: Callable[[Exception], None] | None = None
        self._finished: Callable[[], None] | None = None

    def run(
        self,
        function: Callable[[], Any],
        *,
        returned: Callable[[Any], None],
        errored: Callable[[Exception], None],
        finished: Callable[[], None],
        on_quit: Callable[[], None] | None = None,
    ) -> None:
        """Run `function`; then `returned` or `errored`, and `finished` in any case."""
        self._returned, self._errored, self._finished = returned, errored, finished

        def call() -> tuple[Any, Exception | None]:
            # An exception travels as a value: napari 0.9's own slot for `errored` raises.
            try:
                return function(), None
            except Exception as error:  # noqa: BLE001 - `errored` shows it
                return None, error

        worker: BackgroundCall = create_worker(
            call, _start_thread=False, _worker_class=BackgroundCall
        )
        worker.on_quit = on_quit
        worker.returned.connect(self._deliver)
        worker.finished.connect(self._finish)
        worker.start()

    def _deliver(self, outcome: tuple[Any, Exception | None]) -> None:
        value, error = outcome
        if error is None and self._returned is not None:
            self._returned(value)
        elif error is not None and self._errored is not None:
            self._errored(error)

    def _finish(self) -> None:
        finished, self._finished = self._finished, None
        if finished is not None:
            finished()


class JobRunner(QObject):
    """Runs jobs of a `ModelSession` one at a time and reports them through signals.

    Signals
    -------
    began : Job
    stage : str
        What is being done now.
    text : str
        New text since the last beat.
    done : Job, Outcome
    stopped : Job
        Stopped before any text was written.
    failed : Job, str
        One line saying what went wrong.
    ended : Job
        Always last, after `done`, `stopped` or `failed`.
    """

    began = Signal(object)
    stage = Signal(str)
    text = Signal(str)
    done = Signal(object, object)
    stopped = Signal(object)
    failed = Signal(object, str)
    ended = Signal(object)

    def __init__(self, room: ModelSession, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.room = room
        self._job: Job | None = None
        self._pieces: deque[str] = deque()
        self._stages: deque[str] = deque()
        self._background = Background(self)
        self._timer = QTimer(self)
        self._timer.setInterval(BEAT_MS)
        self._timer.timeout.connect(self._beat)

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
        self._stages.clear()
        room, pieces, stages = self.room, self._pieces, self._stages
        self.began.emit(job)
        self._timer.start()
        self._background.run(
            # Closes over the queues, not over this widget: a closed panel is not kept alive.
            lambda: room.run(job, stages.append, pieces.append),
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
            self.stage.emit("Stopping")

    def _beat(self) -> None:
        """Bring what the worker said since the last beat."""
        while self._stages:
            self.stage.emit(self._stages.popleft())
        if self._pieces:
            pieces = [self._pieces.popleft() for _ in range(len(self._pieces))]
            self.text.emit("".join(pieces))

    def _on_returned(self, outcome: Outcome) -> None:
        self._beat()
        self.done.emit(self._job, outcome)

    def _on_errored(self, error: Exception) -> None:
        self._beat()
        if isinstance(error, StoppedError):
            self.stopped.emit(self._job)
            return
        expected = isinstance(error, (ValueError, OSError))
        if not expected:
            logger.error("the model failed", exc_info=error)
        self.failed.emit(self._job, one_line(error))

    def _on_finished(self) -> None:
        self._timer.stop()
        job, self._job = self._job, None
        self.ended.emit(job)


def one_line(error: BaseException) -> str:
    """Return an error as one line of plain text."""
    text = " ".join(str(error).split())
    if isinstance(error, ValueError | OSError) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
