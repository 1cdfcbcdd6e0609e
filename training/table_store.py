"""A hospital's own scans as training volumes: a CSV with the columns `image` and `report`.

Each scan is prepared once, as E3D-GPT does: resampled to the spacing, cropped or padded
centrally, HU kept. A scan that cannot be read is an error that names it, never a silent
replacement.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from napari_ct_assistant.model.processor import REPORT_QUESTION
from napari_ct_assistant.training.conversation import Turn
from napari_ct_assistant.training.recipe import Conversation, RecipeError
from napari_ct_assistant.training.volume_store import VolumeStore, write_volume
from napari_ct_assistant.training.volumes import HU_RANGE
from napari_ct_assistant.volume import ModelGrid, open_ct, prepare


class TableStore(VolumeStore):
    """Scans and reports listed in a CSV.

    Parameters
    ----------
    folder : Path
        Where prepared volumes go.
    table : Path
        The CSV; image paths are relative to it.
    size, patch : (D, H, W)
        The model's box and its patches.
    spacing : (D, H, W) mm

    Raises
    ------
    RecipeError
        If the table is absent, lacks a column, or a row lacks its report.
    """

    def __init__(
        self,
        folder: Path,
        table: Path,
        *,
        size: tuple[int, ...],
        patch: tuple[int, ...],
        spacing: tuple[float, ...] = (3.0, 1.5, 1.5),
    ):
        super().__init__(folder)
        self.size, self.patch, self.spacing = size, patch, spacing
        self.images, self.reports = _read_table(table)
        # The content of the table, so that another table's volumes are never taken for these.
        digest = hashlib.sha256("\n".join(map(str, self.images)).encode())
        digest.update(repr((size, spacing)).encode())
        self._key = digest.hexdigest()[:16]

    def __len__(self) -> int:
        return len(self.images)

    @property
    def key(self) -> str:
        """A digest of the scans' paths and the box."""
        return f"table {self._key}"

    def volume_file(self, index: int) -> Path:
        """Return where a prepared scan lies."""
        return self.folder / f"{self._key}-{index:06d}.b2nd"

    def fill(self, workers: int | None = None) -> Iterator[int]:  # noqa: ARG002
        """Prepare what is missing, one scan at a time: `open_ct` itself reads in parallel."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for index, image in enumerate(self.images):
            target = self.volume_file(index)
            if not target.exists():
                volume = open_ct(image)
                grid = ModelGrid.centred(
                    volume, shape=self.size, spacing=self.spacing, patch=self.patch
                )
                hu = prepare(volume, grid, hu_range=HU_RANGE, out_range=HU_RANGE)
                write_volume(target, np.rint(hu).astype(np.int16))
            yield index + 1

    def turns(
        self,
        index: int,
        settings: Conversation,  # noqa: ARG002
        rng: np.random.Generator,  # noqa: ARG002
    ) -> list[Turn]:
        """Return the report's turn."""
        return [Turn(REPORT_QUESTION, self.reports[index])]


def _read_table(table: Path) -> tuple[list[Path], list[str]]:
    if not table.is_file():
        raise RecipeError(f"{table}: no such table; give a CSV with columns image and report")
    with table.open(newline="", encoding="utf-8-sig") as stream:
        rows = csv.DictReader(stream)
        missing = {"image", "report"} - set(rows.fieldnames or [])
        if missing:
            raise RecipeError(f"{table}: column {', '.join(sorted(missing))} is missing")
        images, reports = [], []
        for number, row in enumerate(rows, start=2):
            report = " ".join((row["report"] or "").split())
            if not (row["image"] or "").strip() or not report:
                raise RecipeError(f"{table} row {number}: image or report is empty")
            images.append(table.parent / row["image"].strip())
            reports.append(report)
    if not images:
        raise RecipeError(f"{table}: no rows")
    return images, reports
