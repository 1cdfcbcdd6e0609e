"""A hospital's own scans as training volumes: a CSV with the columns `image` and `report`."""

from __future__ import annotations

from pathlib import Path

from napari_ct_assistant.training.data.datasets.preparing import Box
from napari_ct_assistant.training.data.datasets.specs import TableData
from napari_ct_assistant.training.data.datasets.store import DatasetStore
from napari_ct_assistant.training.data.datasets.table import read_table


class TableStore(DatasetStore):
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
        records = read_table(TableData(kind="table", table=table))
        super().__init__(folder, records, Box(size, patch, "spacing", spacing))
