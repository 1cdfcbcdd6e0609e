"""Append-only logs: a file with one JSON object or list on each line.

A process that is killed while it writes leaves the last line cut off. A cut-off object or
list is never valid JSON, so such a line is recognised, passed over by readers and repaired
before the next line is appended.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from napari_ct_assistant.support.errors import CTAssistantError


class BrokenLogError(CTAssistantError, ValueError):
    """A line of a log that is not JSON, though it is not the last one."""


class JsonLines:
    """A log of JSON lines, UTF-8; the file comes into being with the first line.

    Parameters
    ----------
    file : Path
    shared : bool
        Several processes append to it. A cut-off line then stays where it is, since removing
        it could take another process's line along, and readers skip lines that are not JSON.
        Otherwise the cut-off line is removed, and any other broken line is an error.
    """

    def __init__(self, file: Path, *, shared: bool = False):
        self.file = file
        self.shared = shared

    def lines(self) -> Iterator[tuple[int, str]]:
        """Yield each line with its number, from 1; a last line that is cut off is left out.

        Nothing is yielded where there is no file.
        """
        if not self.file.exists():
            return
        with self.file.open("rb") as stream:
            # Lines of bytes: text would also be split at the line ends that JSON strings may hold.
            for number, line in enumerate(stream, start=1):
                if line.endswith(b"\n") or _is_json(line):
                    yield number, line.decode("utf-8", errors="replace")

    def read(self) -> Iterator[Any]:
        """Yield the content of each line.

        Raises
        ------
        BrokenLogError
            If a line is not JSON and the log is not shared; it names file and line.
        """
        for number, line in self.lines():
            try:
                yield json.loads(line)
            except ValueError as error:
                if not self.shared:
                    raise BrokenLogError(
                        f"{self.file.name} line {number}: not JSON ({error}); remove or correct it"
                    ) from error

    def append(self, content: dict[str, Any] | list[Any]) -> None:
        """Add a line, on disk at once; a last line that is cut off is repaired first."""
        line = json.dumps(content, ensure_ascii=False).encode("utf-8") + b"\n"
        with self.file.open("ab+") as stream:
            # One write: lines of several processes do not mix.
            stream.write(self._mended(stream) + line)

    def repair(self) -> None:
        """Remove a cut-off last line, or end it where the log is shared."""
        if self.file.exists():
            with self.file.open("ab+") as stream:
                stream.write(self._mended(stream))

    def _mended(self, stream: IO[bytes]) -> bytes:
        """Return what has to stand before a new line, the end of the last one if it has none."""
        size = stream.seek(0, os.SEEK_END)
        if size == 0:
            return b""
        stream.seek(size - 1)
        if stream.read(1) == b"\n":
            return b""
        if self.shared:
            return b"\n"
        stream.seek(0)
        content = stream.read()
        begin = content.rfind(b"\n") + 1
        if _is_json(content[begin:]):
            return b"\n"
        stream.truncate(begin)
        return b""


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
