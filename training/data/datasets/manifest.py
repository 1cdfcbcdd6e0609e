"""What of a store is prepared: a line of JSON for each file, written once it stands."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from napari_ct_assistant.support.jsonl import JsonLines


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
        # A line that a kill cut off is skipped: that file is prepared again.
        self._log = JsonLines(self.file, shared=True)
        self.rows: dict[str, dict[str, Any]] = {}
        self.reload()

    def reload(self) -> None:
        """Read what stands now."""
        rows = (row for row in self._log.read() if isinstance(row, dict) and "key" in row)
        self.rows = {row["key"]: row for row in rows}

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
        self._log.append(row)
