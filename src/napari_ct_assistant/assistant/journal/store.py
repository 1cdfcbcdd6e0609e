"""The journal's file: transcript, report and typed text of each scan, saved while they grow.

A scan is identified by the hash of its voxels (`CTVolume.fingerprint`); no name, number or path
of it is stored. The file is an SQLite database in WAL mode: what was committed survives if the
process is killed at any moment.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator
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
# Rows kept for each scan: the session being written, and those of other windows or days.
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
    """What one session last saved about a scan.

    Attributes
    ----------
    scan : str
        The scan's hash.
    updated : float
        Seconds since 1970.
    body : dict
        Plain values: "report", "transcript", "question".
    session : str
        Which program run saved it.
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
    """Return the folder for this user's data: CT_ASSISTANT_DATA, or the system's usual place."""
    own = os.environ.get(FOLDER_VARIABLE)
    return Path(own) if own else user_data_path("napari-ct-assistant", False)


class Journal:
    """The journal's file. Calls may come from any thread; other processes may use the file too.

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
        """Close the file; the next call opens it again."""
        with self._lock:
            base, self._base = self._base, None
            if base is not None:
                base.close()

    def prepare(self) -> None:
        """Create or open the file, which may take a while on a slow disk.

        Raises
        ------
        JournalError
            If the file cannot be used.
        """
        with self._open():
            pass

    def save(self, scan: str, body: dict[str, Any]) -> None:
        """Save `body` as what this session last wrote about a scan.

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
        """Return what was last saved about a scan, by any session."""
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
        """Delete a scan's pages, or all pages with None; return the number of scans deleted.

        Deleted text is overwritten in the file.
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
        """Yield the connection to one thread at a time; raise SQLite's errors as JournalError."""
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
    """Open or create the file; a file that is not a database is moved aside."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        return _prepared(path)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:
        # No longer a database: keep it for a possible repair, and start a new one.
        aside = f"{path.stem}.broken-{int(time.time())}"
        for ending in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                path.with_name(path.name + ending).replace(path.with_name(aside + ending))
        logger.warning(
            "the journal was damaged; it was moved to %s and a new one was started", aside
        )
        return _prepared(path)


def _prepared(path: Path) -> sqlite3.Connection:
    new = not path.exists()
    base = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
    try:
        base.execute("PRAGMA journal_mode = WAL")
        # A power failure may lose the last commits; the death of the process does not.
        base.execute("PRAGMA synchronous = NORMAL")
        base.execute("PRAGMA secure_delete = ON")
        # Moving the log into the file waits for the disk, so do it less often than every 4 MB.
        base.execute("PRAGMA wal_autocheckpoint = 4000")
        (format_,) = base.execute("PRAGMA user_version").fetchone()
        if format_ > FORMAT:
            raise JournalError(
                f"the journal {path.name} was written by a newer version (format {format_}); "
                "update napari-ct-assistant to read it"
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
