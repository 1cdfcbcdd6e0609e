"""Write the journal in the background, so that no window waits for the disk."""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from napari_ct_assistant.assistant.journal.store import Journal

logger = logging.getLogger(__name__)


class JournalWriter:
    """Writes to a journal from a thread of its own, in the order of the calls.

    The user interface never waits for the disk. If several saves of one scan are waiting, only
    the last is written. The thread ends after a while without work; whatever was asked for
    before the program ends is still written.

    Parameters
    ----------
    journal : Journal
    failed : callable, optional
        Called in the writer's thread with the first error, and again for an error that follows
        a success.
    """

    IDLE_SECONDS = 30.0

    def __init__(self, journal: Journal, failed: Callable[[str], None] | None = None) -> None:
        self.journal = journal
        self._failed = failed or (lambda _: None)
        journal.on_damage = self._failed
        self._lock = threading.Condition()
        self._saves: dict[str, dict[str, Any]] = {}
        self._calls: list[Callable[[], None]] = []
        self._thread: threading.Thread | None = None
        self._working = self._troubled = False

    def save(self, scan: str, body: dict[str, Any]) -> None:
        """Queue `body` to be saved as the newest page of a scan."""
        with self._lock:
            self._saves[scan] = body
            self._wake()

    def call(self, function: Callable[[], None]) -> None:
        """Queue `function` to be called in the writer's thread, after the saves before it."""
        with self._lock:
            self._calls.append(function)
            self._wake()

    def forget(self, scan: str | None = None) -> None:
        """Drop the waiting saves of one scan, or of all scans."""
        with self._lock:
            if scan is None:
                self._saves.clear()
            else:
                self._saves.pop(scan, None)

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until everything queued so far is done; return False if that took too long."""
        end = time.monotonic() + timeout
        with self._lock:
            while self._saves or self._calls or self._working:
                if not self._lock.wait(max(0.0, end - time.monotonic())):
                    return False
        return True

    def close(self) -> None:
        """Write what is queued and close the file."""
        self.flush()
        self.journal.close()

    def _wake(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._run, name="ct-assistant-journal", daemon=True
            )
            self._thread.start()
            atexit.register(self.close)
        self._lock.notify_all()

    def _run(self) -> None:
        while True:
            with self._lock:
                while not (self._saves or self._calls):
                    if not self._lock.wait(self.IDLE_SECONDS):
                        self._thread = None
                        self.journal.close()
                        atexit.unregister(self.close)
                        return
                saves, self._saves = self._saves, {}
                calls, self._calls = self._calls, []
                self._working = True
            for scan, body in saves.items():
                self._attempt(lambda scan=scan, body=body: self.journal.save(scan, body))  # type: ignore[misc]
            for call in calls:
                self._attempt(call)
            with self._lock:
                self._working = False
                self._lock.notify_all()

    def _attempt(self, function: Callable[[], None]) -> None:
        try:
            function()
        except Exception as error:
            if not isinstance(error, OSError):
                logger.exception("writing the journal failed")
            if not self._troubled:
                self._troubled = True
                self._failed(" ".join(str(error).split()))
        else:
            self._troubled = False
