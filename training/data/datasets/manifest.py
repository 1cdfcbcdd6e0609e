"""What of a store is prepared: a line of JSON for each file, written once it stands."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Literal


class Manifest:
    """`manifest.jsonl` of a store, or `labels.jsonl`.

    A line is appended whole after its file is in place, so a run that is killed loses
    at most the volumes in work. Several processes may append; of two lines the last counts.

    Parameters
    ----------
    folder : Path
        The store.
    kind : str
        What is listed: "volumes" of HU, or the "labels" of their patches.
    """

    def __init__(self, folder: Path, kind: Literal["volumes", "labels"] = "volumes"):
        self.folder = folder
        self.kind = kind
        self.file = folder / ("manifest.jsonl" if kind == "volumes" else "labels.jsonl")
        self.rows: dict[str, dict[str, Any]] = {}
        self.reload()

    def reload(self) -> None:
        """Read what stands now."""
        self.rows = {}
        if not self.file.exists():
            return
        with self.file.open(encoding="utf-8") as stream:
            for line in stream:
                try:
                    row = json.loads(line)
                    self.rows[row["key"]] = row
                except (json.JSONDecodeError, KeyError, TypeError):
                    continue  # cut off by a kill: that one is prepared again

    def path(self, key: str) -> Path:
        """Return where a file lies: 256 folders, so that none holds too many files."""
        ending = "b2nd" if self.kind == "volumes" else "npz"
        return self.folder / self.kind / key[:2] / f"{key}.{ending}"

    def stands(self, key: str) -> bool:
        """Tell whether a file is prepared and has the size it was written with."""
        row = self.rows.get(key)
        if row is None:
            return False
        try:
            return os.stat(self.path(key)).st_size == row["bytes"]  # noqa: PTH116  faster
        except FileNotFoundError:
            return False

    def add(self, key: str, row: dict[str, Any]) -> None:
        """Append a file's line."""
        row = {"key": key, **row}
        self.rows[key] = row
        line = (json.dumps(row) + "\n").encode()
        descriptor = os.open(self.file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            if self._cut(descriptor):
                line = b"\n" + line
            os.write(descriptor, line)
        finally:
            os.close(descriptor)

    def _cut(self, descriptor: int) -> bool:
        """Tell whether the last line lacks its end."""
        size = os.fstat(descriptor).st_size
        if size == 0:
            return False
        with self.file.open("rb") as stream:
            stream.seek(size - 1)
            return stream.read(1) != b"\n"
