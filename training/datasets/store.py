"""Scans of any data set as training volumes: prepared once, in parallel, resumable."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from napari_ct_assistant.training.conversation import Turn
from napari_ct_assistant.training.datasets.files import Skips
from napari_ct_assistant.training.datasets.manifest import Manifest
from napari_ct_assistant.training.datasets.preparing import Box, attempt, source_stamp
from napari_ct_assistant.training.datasets.record import ScanRecord
from napari_ct_assistant.training.datasets.turns import record_turns
from napari_ct_assistant.training.recipe import Conversation, RecipeError
from napari_ct_assistant.training.volume_files import read_volume, voxel_digest
from napari_ct_assistant.training.volume_store import VolumeStore
from napari_ct_assistant.volume import CTReadError


class DatasetStore(VolumeStore):
    """Scans of one or several data sets.

    Parameters
    ----------
    folder : Path
        Where prepared volumes and their manifest go. Several recipes may share it: a volume
        is known by its scan and box.
    records : sequence of ScanRecord
    box : Box
    skips : Skips, optional
        What becomes of scans that cannot be read; by default the first is an error.
    """

    def __init__(
        self, folder: Path, records: Sequence[ScanRecord], box: Box, skips: Skips | None = None
    ):
        super().__init__(folder)
        self.records = list(records)
        self.box = box
        self.skips = skips or Skips()
        self.manifest = Manifest(folder)
        self._keys = [box.key(record) for record in self.records]
        names = {}
        for record, key in zip(self.records, self._keys, strict=True):
            if key in names:
                raise RecipeError(f"{record.dataset} {record.name}: listed twice")
            names[key] = record.name

    def __len__(self) -> int:
        return len(self.records)

    @property
    def key(self) -> str:
        """A digest of the scans and the box."""
        return f"scans {hashlib.sha256(''.join(self._keys).encode()).hexdigest()[:16]}"

    def volume_file(self, index: int) -> Path:
        """Return where a prepared scan lies."""
        return self.manifest.volume_file(self._keys[index])

    def scan_digests(self) -> list[str]:
        """Return the digest of each prepared scan's voxels as they were before preparation."""
        return [str(self.manifest.rows[key]["scan"]) for key in self._keys]

    def fill(self, workers: int | None = None) -> Iterator[int]:
        """Prepare what is missing; yields the number of volumes that stand after each one.

        Parameters
        ----------
        workers : int, optional
            Processes; by default as many as there are cores.

        Raises
        ------
        CTReadError
            At a scan that cannot be read, unless the recipe says `unreadable: skip`; then it
            is left out of the store and listed in `skipped.csv`.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self.manifest.reload()
        missing = [i for i, key in enumerate(self._keys) if not self.manifest.stands(key)]
        done, lost = len(self) - len(missing), []
        if done:
            yield done
        for index, row in self._prepare(missing, workers or os.cpu_count() or 1):
            if isinstance(row, CTReadError):
                if self.skips.unreadable == "error":
                    raise row
                record = self.records[index]
                self.skips.add(f"{record.dataset} {record.name}", row.problem)
                lost.append(index)
                continue
            self.manifest.add(self._keys[index], row)
            done += 1
            yield done
        self._leave_out(lost)

    def verify(self) -> Iterator[tuple[int, str]]:
        """Read every prepared volume again; yields (index, what is wrong, "" if nothing is).

        What is wrong is forgotten, so that `fill` prepares it anew.
        """
        for index, key in enumerate(self._keys):
            problem = self._problem(index)
            if problem and key in self.manifest.rows:
                self.manifest.add(key, {"bytes": -1, "seconds": 0.0, "forgotten": problem})
            yield index, problem

    @property
    def skipped(self) -> str:
        """How many scans were left out and where they are listed; "" for none."""
        count = len(self.skips.found)
        return f"skipped {count} scan(s), listed in {self.folder / 'skipped.csv'}" if count else ""

    def name(self, index: int) -> str:
        """Name a scan in an error."""
        return f"{self.records[index].dataset} {self.records[index].name}"

    def turns(self, index: int, settings: Conversation, rng: np.random.Generator) -> list[Turn]:
        """Draw the questions and answers of one training sample."""
        return record_turns(self.records[index], settings, rng)

    def tags(self, index: int) -> list[str]:
        """Return the names of the labelled findings that a scan shows, in lower case."""
        labels = self.records[index].labels
        return [name.lower() for name, value in labels.items() if value]

    def _prepare(
        self, indices: Sequence[int], workers: int
    ) -> Iterator[tuple[int, dict[str, Any] | CTReadError]]:
        for index in indices:
            self.volume_file(index).parent.mkdir(parents=True, exist_ok=True)
        # A process takes a second to start: not for a handful of scans.
        if min(workers, len(indices) // 2) < 2:
            for index in indices:
                yield index, attempt(self.records[index], self.box, self.volume_file(index))
            return
        waiting = iter(indices)
        # Spawned, not forked: the parent may hold torch's threads.
        pool = ProcessPoolExecutor(min(workers, len(indices)), mp_context=get_context("spawn"))
        try:
            running: dict[Future[Any], int] = {}
            while True:
                # A short queue: an error at one scan must not wait for a million others.
                for index in islice(waiting, 2 * workers - len(running)):
                    file = self.volume_file(index)
                    running[pool.submit(attempt, self.records[index], self.box, file)] = index
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield running.pop(future), future.result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _leave_out(self, lost: Sequence[int]) -> None:
        """Drop scans that cannot be read, and list all that were skipped."""
        gone = set(lost)
        self.records = [r for i, r in enumerate(self.records) if i not in gone]
        self._keys = [k for i, k in enumerate(self._keys) if i not in gone]
        if self.skips.found:
            self.skips.write(self.folder / "skipped.csv")
        if not self.records:
            reason = next(iter(self.skips.found.items()), ("", "no scans"))
            raise RecipeError(f"no scan could be read; the first: {': '.join(reason)}")

    def _problem(self, index: int) -> str:
        key, record = self._keys[index], self.records[index]
        if not self.manifest.stands(key):
            return "not prepared"
        row = self.manifest.rows[key]
        try:
            if voxel_digest(read_volume(self.manifest.volume_file(key))) != row["content"]:
                return "its voxels are not those that were prepared"
        except (RuntimeError, ValueError, OSError):
            return "its file is damaged"
        if record.image.exists() and list(source_stamp(record.image)) != row["source"]:
            return "its source has changed since"
        return ""
