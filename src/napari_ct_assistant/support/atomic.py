"""Write a file whole or not at all: under another name first, then renamed."""

from __future__ import annotations

import os
import re
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_PART: Final = re.compile(r"\.[0-9a-f]{16}\.part(?:\.[\w.-]+)?")
# Where files cannot be locked, a part of this age is taken for a leftover.
_OLD_SECONDS: Final = 3600.0


@contextmanager
def _part_of(path: Path) -> Iterator[Path]:
    """Yield a unique name beside `path`; if the block fails, no file of that name stays."""
    part = path.with_name(f".{secrets.token_hex(8)}.part{path.suffix}")
    try:
        yield part
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno and error.filename in (None, str(part)):
            # The name that the caller knows. A full disk names no file at all.
            error.filename = str(path)
        raise


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield the name to write under; the file replaces `path` when the block succeeds.

    The temporary file lies in the same folder, so that renaming it is one step of the
    file system, and ends as `path` does, for libraries that choose a format by it. Its
    name is unique: several processes may write the same file, and one of them wins.
    When the block fails, the temporary file is removed and `path` stays as it was.
    """
    with _part_of(path) as part:
        yield part
        # Without this, a power failure after the renaming could leave an empty file.
        with part.open("rb+") as stream:
            os.fsync(stream.fileno())
        part.replace(path)
        _sync_folder(path.parent)


def write_bytes(path: Path, data: bytes, *, private: bool = False) -> None:
    """Write `data` to `path`, whole or not at all.

    The temporary file is locked while it is written, so that `remove_leftovers` can tell it from
    one whose process was killed. If `private`, only its owner can read it, from the first byte.
    """
    with _part_of(path) as part:
        number = os.open(
            part,
            os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0),
            0o600 if private else 0o666,
        )
        with os.fdopen(number, "wb") as stream:
            _lock(number)
            stream.write(data)
            stream.flush()
            # Without this, a power failure after the renaming could leave an empty file.
            os.fsync(number)
            if sys.platform != "win32":
                part.replace(path)
        if sys.platform == "win32":  # an open file cannot be renamed there
            part.replace(path)
        _sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8, whole or not at all."""
    write_bytes(path, text.encode("utf-8"))


def remove_leftovers(folder: Path, suffix: str) -> None:
    """Remove the temporary files of killed processes; one that is still written stays."""
    with suppress(OSError):
        for part in folder.iterdir():
            if part.suffix == suffix and _PART.fullmatch(part.name):
                with suppress(OSError):
                    if not part.is_symlink() and _abandoned(part):
                        part.unlink()


def _abandoned(part: Path) -> bool:
    if sys.platform == "win32":
        return time.time() - part.stat().st_mtime > _OLD_SECONDS
    number = os.open(part, os.O_RDONLY)
    try:
        return _lock(number)
    finally:
        os.close(number)


def _lock(number: int) -> bool:
    """Lock an open file for this process; return False if another one has locked it."""
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _sync_folder(folder: Path) -> None:
    """Write a folder's entries to disk, where the system can."""
    if sys.platform != "win32":
        with suppress(OSError):
            number = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(number)
            finally:
                os.close(number)
