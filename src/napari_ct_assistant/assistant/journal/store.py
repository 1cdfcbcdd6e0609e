"""The journal: transcript, report and typed text of each scan, kept on disk while they grow.

A scan is known by the hash of its voxels (`CTVolume.fingerprint`); no name, number or path of
it is kept, only what was written about it. SQLite in WAL mode: what was committed survives the
death of the process at any moment. Nothing here knows Qt.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from platformdirs import user_data_path

from napari_ct_assistant.support.errors import CTAssistantError

logger = logging.getLogger(__name__)

FOLDER_VARIABLE: Final = "CT_ASSISTANT_DATA"
FILE: Final = "journal.sqlite"
FORMAT: Final = 1
# Rows kept of a scan: the one being written, and what other windows or days left.
KEPT: Final = 5

_TABLE: Final = """
CREATE TABLE IF NOT EXISTS pages (
    scan TEXT NOT NULL,
    session TEXT NOT NULL,
    updated REAL NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (scan, session)
) WITHOUT ROWID
"""


class JournalError(CTAssistantError, OSError):
    """The journal cannot be read or written."""


@dataclass(frozen=True)
class Page:
    """What was last written about a scan.

    Attributes
    ----------
    scan : str
        The scan's hash.
    updated : float
        Seconds since 1970.
    body : dict
        Plain values: "report", "transcript", "question".
    """

    scan: str
    updated: float
    body: dict[str, Any]
    session: str = ""

    @property
    def text(self) -> str:
        """Everything in it as plain text."""
        from napari_ct_assistant.assistant.report.document import ReportDocument

        parts = []
        for message in self.body.get("transcript") or ():
            title = message.get("title", "")
            parts.append(f"{title}\n{message.get('text', '')}".strip())
        if self.body.get("report"):
            with suppress(ValueError):
                parts.append(str(ReportDocument.from_json(self.body["report"])))
        if self.body.get("question"):
            parts.append(f"Not sent:\n{self.body['question']}")
        return "\n\n".join(parts)


def data_folder() -> Path:
    """Return the folder of this user's data: CT_ASSISTANT_DATA, or the system's usual place."""
    own = os.environ.get(FOLDER_VARIABLE)
    return Path(own) if own else user_data_path("napari-ct-assistant", False)


class Journal:
    """The journal's file; calls may come from any thread, other processes may use it too.

    Parameters
    ----------
    path : Path, optional
        The file; in `data_folder()` when absent.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or data_folder() / FILE
        self.session = uuid.uuid4().hex
        self._lock = threading.Lock()
        self._base: sqlite3.Connection | None = None

    def close(self) -> None:
        """Let go of the file; the next call opens it again."""
        with self._lock:
            base, self._base = self._base, None
            if base is not None:
                base.close()

    def prepare(self) -> None:
        """Make the file ready to be written, which may take a slow disk a while.

        Raises
        ------
        JournalError
            If it cannot be.
        """
        with self._open():
            pass

    def save(self, scan: str, body: dict[str, Any]) -> None:
        """Keep `body` as what this session last wrote about a scan.

        Raises
        ------
        JournalError
            If the disk is full, or the file cannot be written.
        """
        with self._open() as base:
            base.execute("BEGIN IMMEDIATE")
            base.execute(
                "INSERT OR REPLACE INTO pages VALUES (?, ?, ?, ?)",
                (scan, self.session, time.time(), json.dumps(body, ensure_ascii=False)),
            )
            base.execute(
                "DELETE FROM pages WHERE scan = ? AND session NOT IN "
                "(SELECT session FROM pages WHERE scan = ? ORDER BY updated DESC LIMIT ?)",
                (scan, scan, KEPT),
            )
            base.execute("COMMIT")

    def load(self, scan: str) -> Page | None:
        """Return what was last written about a scan, by whichever session."""
        if not self.path.exists():
            return None
        with self._open() as base:
            row = base.execute(
                "SELECT updated, body, session FROM pages WHERE scan = ? "
                "ORDER BY updated DESC LIMIT 1",
                (scan,),
            ).fetchone()
        return None if row is None else Page(scan, row[0], _body(row[1]), row[2])

    def pages(self) -> list[Page]:
        """Return the newest page of every scan, the newest scan first."""
        if not self.path.exists():
            return []
        with self._open() as base:
            rows = base.execute("SELECT scan, updated, body, session FROM pages ORDER BY updated")
            newest = {row[0]: Page(row[0], row[1], _body(row[2]), row[3]) for row in rows}
        return sorted(newest.values(), key=lambda page: -page.updated)

    def delete(self, scan: str | None = None) -> int:
        """Delete a scan's pages, or all of them with None; return how many scans went.

        What was deleted is overwritten in the file, not only unlinked within it.
        """
        if not self.path.exists():
            return 0
        with self._open() as base:
            if scan is None:
                (gone,) = base.execute("SELECT count(DISTINCT scan) FROM pages").fetchone()
                base.execute("DELETE FROM pages")
            else:
                gone = int(base.execute("DELETE FROM pages WHERE scan = ?", (scan,)).rowcount > 0)
            base.execute("VACUUM")
            base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return int(gone)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Give the connection, one thread at a time; what SQLite says becomes a JournalError."""
        with self._lock:
            try:
                if self._base is None:
                    self._base = _connect(self.path)
                yield self._base
            except (sqlite3.Error, OSError) as error:
                base, self._base = self._base, None
                if base is not None:
                    base.close()
                if isinstance(error, JournalError):
                    raise
                reason = getattr(error, "strerror", None) or str(error)
                raise JournalError(
                    f"the journal {self.path.name} cannot be used: {reason}"
                ) from error


def _connect(path: Path) -> sqlite3.Connection:
    """Open the file, making it where it is absent; one that is no database is put aside."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        return _prepared(path)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:
        # Not a database any more: keep it for whoever can mend it, and go on.
        aside = f"{path.stem}.broken-{int(time.time())}"
        for ending in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                path.with_name(path.name + ending).replace(path.with_name(aside + ending))
        logger.warning("the journal was damaged; it is kept as %s", aside)
        return _prepared(path)


def _prepared(path: Path) -> sqlite3.Connection:
    new = not path.exists()
    base = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
    try:
        base.execute("PRAGMA journal_mode = WAL")
        # The last commits may be lost with the power, never with the process.
        base.execute("PRAGMA synchronous = NORMAL")
        base.execute("PRAGMA secure_delete = ON")
        # Moving the log into the file waits for the disk: rarely, not every 4 MB.
        base.execute("PRAGMA wal_autocheckpoint = 4000")
        (format_,) = base.execute("PRAGMA user_version").fetchone()
        if format_ > FORMAT:
            raise JournalError(
                f"the journal {path.name} was written by a newer version (format {format_})"
            )
        if format_ < FORMAT:
            base.execute(_TABLE)
            base.execute(f"PRAGMA user_version = {FORMAT}")
        if new:
            path.chmod(0o600)
    except BaseException:
        base.close()
        raise
    return base


def _body(text: str) -> dict[str, Any]:
    try:
        body = json.loads(text)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


class JournalWriter:
    """Writes into a journal from one thread of its own, in the order asked.

    The reader's window never waits for the disk. Of several saves of one scan that wait, only
    the last is written. The thread ends by itself when nothing came for a while, and what was
    asked before the program ends is still written.

    Parameters
    ----------
    journal : Journal
    failed : callable, optional
        Called in the writer's thread with the first error, and again after a success in between.
    """

    IDLE_SECONDS = 30.0

    def __init__(self, journal: Journal, failed: Callable[[str], None] | None = None) -> None:
        self.journal = journal
        self._failed = failed or (lambda _: None)
        self._lock = threading.Condition()
        self._saves: dict[str, dict[str, Any]] = {}
        self._calls: list[Callable[[], None]] = []
        self._thread: threading.Thread | None = None
        self._working = self._troubled = False

    def save(self, scan: str, body: dict[str, Any]) -> None:
        """Have `body` written as the newest page of a scan."""
        with self._lock:
            self._saves[scan] = body
            self._wake()

    def call(self, function: Callable[[], None]) -> None:
        """Have `function` called in the writer's thread, after the saves asked before it."""
        with self._lock:
            self._calls.append(function)
            self._wake()

    def forget(self, scan: str | None = None) -> None:
        """Drop saves that still wait: of one scan, or of all."""
        with self._lock:
            if scan is None:
                self._saves.clear()
            else:
                self._saves.pop(scan, None)

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until everything asked so far is done; False if that took too long."""
        end = time.monotonic() + timeout
        with self._lock:
            while self._saves or self._calls or self._working:
                if not self._lock.wait(max(0.0, end - time.monotonic())):
                    return False
        return True

    def close(self) -> None:
        """Write what was asked and let go of the file."""
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
                logger.exception("the journal failed")
            if not self._troubled:
                self._troubled = True
                self._failed(" ".join(str(error).split()))
        else:
            self._troubled = False
