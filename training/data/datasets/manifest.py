"""The list of a store's prepared files: a line of JSON for each, written after the file."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from napari_ct_assistant.support.jsonl import JsonLines


class Manifest:
    """`manifest.jsonl` of a store, or `labels.jsonl`.

    A line is appended after its file is complete, so a run that is killed loses only the volumes
    it was working on. Several processes may append; the last line of a key counts.

    Parameters
    ----------
    folder : Path
        The store.
    kind : str
        What is listed: "volumes" in HU, or the "labels" of their patches.
    """

    def __init__(self, folder: Path, kind: Literal["volumes", "labels"] = "volumes"):
        self.folder = folder
        self.kind = kind
        self.file = folder / ("manifest.jsonl" if kind == "volumes" else "labels.jsonl")
        # A line cut off by a kill is skipped, and its file is prepared again.
        self._log = JsonLines(self.file, shared=True)
        self.rows: dict[str, dict[str, Any]] = {}
        self.reload()

    def reload(self) -> None:
        """Read the file again."""
        rows = (row for row in self._log.read() if isinstance(row, dict) and "key" in row)
        self.rows = {row["key"]: row for row in rows}

    def path(self, key: str) -> Path:
        """Return a file's path; there are 256 folders, so that none holds too many files."""
        ending = "b2nd" if self.kind == "volumes" else "npz"
        return self.folder / self.kind / key[:2] / f"{key}.{ending}"

    def has(self, key: str) -> bool:
        """Return whether a file is prepared and still has the size it was written with."""
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

    def warnings(self, keys: Iterable[str], names: Iterable[str]) -> dict[str, str]:
        """Return {warning: the first of the named scans with it, and how many there are}."""
        found: dict[str, list[str]] = {}
        for key, name in zip(keys, names, strict=True):
            for warning in self.rows.get(key, {}).get("warnings", ()):
                found.setdefault(str(warning), []).append(name)
        return {
            warning: scans[0] + (f" and {len(scans) - 1} more" if len(scans) > 1 else "")
            for warning, scans in found.items()
        }
