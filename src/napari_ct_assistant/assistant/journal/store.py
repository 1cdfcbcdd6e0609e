"""The journal's file: transcript, report and typed text of each scan, saved while they grow.

A scan is identified by the hash of its voxels (`CTVolume.fingerprint`); no name, number or path
of it is stored. The file is an SQLite database in WAL mode: what was committed survives if the
process is killed at any moment. Pages are ordered by a counter, not by the clock. Only the user can
read the file and its folder.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, TypeVar

from platformdirs import user_data_path

from napari_ct_assistant.assistant.journal.pages import Page, page_of, this_program, with_others
from napari_ct_assistant.backends.scan_cache import FOLDER, ScanCache
from napari_ct_assistant.support.errors import CTAssistantError
from napari_ct_assistant.support.translation import said

logger = logging.getLogger(__name__)
T = TypeVar("T")

FOLDER_VARIABLE: Final = "CT_ASSISTANT_DATA"
FILE: Final = "journal.sqlite"
FORMAT: Final = 2
# Rows kept for each scan: the session being written, and those of other windows or days.
KEPT: Final = 5

_TABLE: Final = """
CREATE TABLE IF NOT EXISTS pages (
    scan TEXT NOT NULL,
    session TEXT NOT NULL,
    updated REAL NOT NULL,
    body TEXT NOT NULL,
    number INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (scan, session)
) WITHOUT ROWID
"""
# Format 1 had the clock only, which may be set back.
_UPGRADE: Final = (
    "ALTER TABLE pages ADD COLUMN number INTEGER NOT NULL DEFAULT 0",
    "UPDATE pages SET number = (SELECT count(*) FROM pages AS other "
    "WHERE other.updated <= pages.updated)",
)
_DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class JournalError(CTAssistantError, OSError):
    """The journal cannot be read or written."""


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

    Attributes
    ----------
    on_damage : callable
        Called with one line when a damaged file was moved aside and a new one was started.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or data_folder() / FILE
        self.session = uuid.uuid4().hex
        self.on_damage: Callable[[str], None] = logger.warning
        self._lock = threading.Lock()
        self._base: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        # By scan: the pages of other windows that this one has loaded, by session and number.
        self._seen: dict[str, dict[str, int]] = {}

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        with self._lock:
            self._close()

    def prepare(self) -> None:
        """Create or open the file, which may take a while on a slow disk.

        Raises
        ------
        JournalError
            If the file cannot be used.
        """
        self._run(lambda base: base.execute("SELECT count(*) FROM pages"))

    def save(self, scan: str, body: dict[str, Any]) -> None:
        """Save `body` as what this session last wrote about a scan.

        Raises
        ------
        JournalError
            If the disk is full, or the file cannot be written.
        """
        kept = body | {"program": asdict(this_program()), "seen": self._seen.get(scan, {})}
        text = json.dumps(kept, ensure_ascii=False).encode("utf-8", "replace").decode()

        def write(base: sqlite3.Connection) -> None:
            base.execute("BEGIN IMMEDIATE")
            base.execute(
                "INSERT OR REPLACE INTO pages (scan, session, updated, body, number) "
                "VALUES (?, ?, ?, ?, (SELECT coalesce(max(number), 0) + 1 FROM pages))",
                (scan, self.session, time.time(), text),
            )
            base.execute(
                "DELETE FROM pages WHERE scan = ? AND session != ? AND session NOT IN "
                "(SELECT session FROM pages WHERE scan = ? ORDER BY number DESC LIMIT ?)",
                (scan, self.session, scan, KEPT),
            )
            base.execute("COMMIT")

        self._run(write)

    def load(self, scan: str) -> Page | None:
        """Return what was last saved about a scan by any window, with what that window missed.

        What this window saves from now on counts as written in the knowledge of it.
        """
        pages = self._rows(scan)
        self._seen[scan] = {page.session: page.number for page in pages}
        return with_others(pages)

    def pages(self) -> list[Page]:
        """Return the newest page of every scan, the newest scan first."""
        of_scan: dict[str, list[Page]] = {}
        for page in self._rows():
            of_scan.setdefault(page.scan, []).append(page)
        return list(filter(None, map(with_others, of_scan.values())))

    def _rows(self, scan: str | None = None) -> list[Page]:
        """Return every window's page of a scan, or of all scans, newest first."""
        if not self.path.exists():
            return []
        rows = self._run(
            lambda base: base.execute(
                "SELECT scan, session, updated, body, number FROM pages "
                "WHERE ?1 IS NULL OR scan = ?1 ORDER BY number DESC",
                (scan,),
            ).fetchall()
        )
        return [page_of(row) for row in rows]

    def delete(self, scan: str | None = None) -> int:
        """Delete a scan's pages, or all pages with None; return the number of scans deleted.

        Encoded scans go with them. Deleted text is overwritten in the file. Damaged files that
        were moved aside may hold the text, too, and are removed.
        """
        for aside in self.path.parent.glob(f"{self.path.stem}.broken-*"):
            aside.unlink(missing_ok=True)
        ScanCache(self.path.parent / FOLDER).delete(scan)
        if not self.path.exists():
            return 0

        def remove(base: sqlite3.Connection) -> int:
            if scan is None:
                (gone,) = base.execute("SELECT count(DISTINCT scan) FROM pages").fetchone()
                base.execute("DELETE FROM pages")
            else:
                gone = int(base.execute("DELETE FROM pages WHERE scan = ?", (scan,)).rowcount > 0)
            base.execute("VACUUM")
            base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return int(gone)

        return self._run(remove)

    def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do `work` with the connection, one thread at a time; raise what fails as JournalError.

        A damaged file is moved aside, and the work is done with a new one.
        """
        with self._lock:
            try:
                try:
                    return self._attempt(work)
                except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
                    # The second where SQLite's message quotes what is damaged.
                    if isinstance(error, sqlite3.DatabaseError) and not _is_damage(error):
                        raise
                    self._close()
                    self._set_aside()
                    return self._attempt(work)
            except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
                self._close()
                if isinstance(error, JournalError):
                    raise
                reason = getattr(error, "strerror", None) or str(error)
                raise JournalError(
                    said(
                        "the journal {name} cannot be used: {reason}",
                        name=self.path.name,
                        reason=reason,
                    )
                ) from error

    def _attempt(self, work: Callable[[sqlite3.Connection], T]) -> T:
        # Another process may have moved a damaged file aside.
        if self._base is not None and _identity(self.path) != self._file:
            self._close()
        if self._base is None:
            _make_private(self.path)
            self._file = _identity(self.path)
            self._base = _connect(self.path)
        return work(self._base)

    def _close(self) -> None:
        base, self._base = self._base, None
        if base is not None:
            base.close()

    def _set_aside(self) -> None:
        """Keep the damaged file for a possible repair, unless another process has moved it."""
        if _identity(self.path) != self._file:
            return
        aside = f"{self.path.stem}.broken-{time.time_ns()}"
        for ending in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                self.path.with_name(self.path.name + ending).replace(
                    self.path.with_name(aside + ending)
                )
        self.on_damage(
            f"the journal was damaged; it was moved to {aside} and a new one was started"
        )


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in _DAMAGED or str(error).startswith(("no such table", "no such column"))


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _make_private(path: Path) -> None:
    """Make the folder and the file so that only the user can read them, from the first byte.

    SQLite gives its own files beside the journal the journal's permissions.
    """
    folder = path.parent
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path == user_data_path("napari-ct-assistant", False) / FILE:
        with suppress(OSError):
            folder.chmod(0o700)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path.name)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    for ending in ("", "-wal", "-shm"):
        with suppress(OSError):  # a file that is missing, or on a read-only disk
            path.with_name(path.name + ending).chmod(0o600)


def _connect(path: Path) -> sqlite3.Connection:
    base = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
    base.text_factory = lambda text: text.decode("utf-8", "replace")
    try:
        base.execute("PRAGMA journal_mode = WAL")
        # A power failure may lose the last commits; the death of the process does not.
        base.execute("PRAGMA synchronous = NORMAL")
        base.execute("PRAGMA secure_delete = ON")
        # VACUUM would otherwise write a copy of the text into a temporary file.
        base.execute("PRAGMA temp_store = MEMORY")
        # Moving the log into the file waits for the disk, so do it less often than every 4 MB.
        base.execute("PRAGMA wal_autocheckpoint = 4000")
        (format_,) = base.execute("PRAGMA user_version").fetchone()
        if format_ > FORMAT:
            raise JournalError(
                said(
                    "the journal {name} was written by a newer version (format {format}); "
                    "update napari-ct-assistant to read it",
                    name=path.name,
                    format=format_,
                )
            )
        if format_ < FORMAT:
            _upgrade(base)
    except BaseException:
        base.close()
        raise
    return base


def _upgrade(base: sqlite3.Connection) -> None:
    base.execute("BEGIN IMMEDIATE")
    # Another process may have done it meanwhile.
    (format_,) = base.execute("PRAGMA user_version").fetchone()
    if format_ == 1:
        for step in _UPGRADE:
            base.execute(step)
    elif format_ < FORMAT:
        base.execute(_TABLE)
    base.execute(f"PRAGMA user_version = {FORMAT}")
    base.execute("COMMIT")
