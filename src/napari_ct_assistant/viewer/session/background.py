"""Runs one call at a time in a thread, with callbacks on the Qt thread."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from qtpy.QtCore import QCoreApplication, QObject, Signal

from napari_ct_assistant.support.errors import CTAssistantError
from napari_ct_assistant.support.translation import Message, _, shown
from napari_ct_assistant.viewer.session import leaving

logger = logging.getLogger(__name__)

# How often progress of a background call is shown: often enough to read as flowing text, rare
# enough to leave the event loop free.
UPDATE_MS = 40


class _Call(QObject):
    """One call in a thread of its own; the object itself belongs to the Qt thread.

    A daemon thread, and not a worker of napari: the thread pool of Qt waits for its threads when
    the program ends, however long they take, and napari keeps each worker with all that it holds
    for as long as the window is open.
    """

    ended = Signal(object)

    def __init__(self, function: Callable[[], Any], on_quit: Callable[[], None] | None) -> None:
        super().__init__()
        self._function: Callable[[], Any] | None = function
        self.on_quit = on_quit
        self.value: Any = None
        self.error: Exception | None = None
        self.thread = threading.Thread(target=self._run, name="ct-assistant", daemon=True)

    def _run(self) -> None:
        function, self._function = self._function, None
        try:
            with _warnings_to_log():
                self.value = function() if function is not None else None
        except Exception as error:  # noqa: BLE001 - handed to `errored`
            self.error = error
        except BaseException as error:  # noqa: BLE001 - a library that calls `sys.exit`
            self.error = RuntimeError(f"{type(error).__name__}: {error}")
        # What the call refers to is released here, not when the thread has ended.
        del function
        self.ended.emit(self)

    def quit(self) -> None:
        """Ask the call to end early."""
        if self.on_quit is not None:
            self.on_quit()

    def is_alive(self) -> bool:
        return self.thread.is_alive()

    def join(self, seconds: float) -> None:
        self.thread.join(seconds)


# Kept until the Qt thread has dealt with them: a QObject must not be deleted by another thread.
_calls: set[_Call] = set()


def calls_running() -> int:
    """Return how many calls have not ended, or whose end was not dealt with yet."""
    return len(_calls)


class Background(QObject):
    """Runs one call at a time; callbacks run on the Qt thread.

    Its slots belong to a QObject, so a call that outlives its widget calls nothing back.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._callbacks: dict[_Call, tuple[Callable[..., None], ...]] = {}

    def run(
        self,
        function: Callable[[], Any],
        *,
        returned: Callable[[Any], None],
        errored: Callable[[Exception], None],
        finished: Callable[[], None],
        on_quit: Callable[[], None] | None = None,
    ) -> None:
        """Run `function`, then `returned` or `errored`, and finally `finished`.

        `on_quit` is called when the program ends, or the widget is deleted, before `function` has
        ended; the program does not wait long for it.
        """
        leaving.watch(QCoreApplication.instance())
        call = _Call(function, on_quit)
        self._callbacks[call] = (returned, errored, finished)
        _calls.add(call)
        leaving.add(call)
        call.ended.connect(self._on_ended)
        call.ended.connect(_Discard.instance().discard)
        self.destroyed.connect(call.quit)
        call.thread.start()

    def _on_ended(self, call: _Call) -> None:
        returned, errored, finished = self._callbacks.pop(call)
        value, error = call.value, call.error
        call.value = call.error = None
        try:
            if error is None:
                returned(value)
            else:
                errored(error)
        finally:
            del value, error
            finished()


class _Discard(QObject):
    """Drops the calls that have ended, on the Qt thread."""

    _one: _Discard | None = None

    @classmethod
    def instance(cls) -> _Discard:
        if cls._one is None:
            cls._one = cls()
        return cls._one

    def discard(self, call: _Call) -> None:
        call.value = call.error = call.on_quit = None
        _calls.discard(call)
        leaving.discard(call)


# Warnings are caught for the whole process, so the calls share one interception.
_catching = threading.Lock()
_catchers: list[Any] = []
_depth = 0


@contextmanager
def _warnings_to_log() -> Iterator[None]:
    """Send warnings of libraries that are raised in a thread to the log, not to the screen."""
    global _depth
    with _catching:
        if _depth == 0:
            catcher = warnings.catch_warnings()
            catcher.__enter__()
            warnings.simplefilter("always")
            warnings.showwarning = _log_warning
            _catchers.append(catcher)
        _depth += 1
    try:
        yield
    finally:
        with _catching:
            _depth -= 1
            if _depth == 0:
                _catchers.pop().__exit__(None, None, None)


def _log_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    del category, filename, lineno, file, line
    logger.info("%s", message)


def one_line(error: BaseException) -> str:
    """Return an error as one line of plain text."""
    if isinstance(error, MemoryError):
        return _("The memory is not enough for this; close other scans or programs.")
    message = error.text if isinstance(error, CTAssistantError) else next(iter(error.args), "")
    text = shown(message) if isinstance(message, Message) else str(error)
    text = " ".join(text.split())
    if isinstance(error, ValueError | OSError) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
