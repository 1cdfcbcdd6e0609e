"""Runs one call at a time in napari's thread pool, with callbacks on the Qt thread."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from napari.qt.threading import FunctionWorker, create_worker
from qtpy.QtCore import QObject

logger = logging.getLogger(__name__)

# How often progress of a background call is shown: often enough to read as flowing text, rare
# enough to leave the event loop free.
UPDATE_MS = 40


class BackgroundCall(FunctionWorker):
    """A napari worker that runs `on_quit` when napari asks it to quit (the window closes).

    Warnings of libraries that are raised in the thread go to the log, not to the screen.
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

    Its slots belong to a QObject, so a call that outlives its widget calls nothing back.
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
        """Run `function`, then `returned` or `errored`, and finally `finished`."""
        self._returned, self._errored, self._finished = returned, errored, finished

        def call() -> tuple[Any, Exception | None]:
            # The exception is passed on as a value: napari 0.9's own slot for `errored` raises.
            try:
                return function(), None
            except Exception as error:  # noqa: BLE001 - `errored` shows it
                return None, error
            except BaseException as error:  # noqa: BLE001 - a library that calls `sys.exit`
                return None, RuntimeError(f"{type(error).__name__}: {error}")

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


def one_line(error: BaseException) -> str:
    """Return an error as one line of plain text."""
    text = " ".join(str(error).split())
    if isinstance(error, ValueError | OSError) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
