"""Read the scans that a recipe's `data` names, and open their store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from napari_ct_assistant.report_text.regions import split_regions
from napari_ct_assistant.report_text.sections import described
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.data.datasets.amos_mm import read_amos_mm
from napari_ct_assistant.training.data.datasets.bimcv_r import read_bimcv_r
from napari_ct_assistant.training.data.datasets.ct_rate import read_ct_rate
from napari_ct_assistant.training.data.datasets.files import Skips
from napari_ct_assistant.training.data.datasets.m3d import read_m3d_cap, read_m3d_vqa
from napari_ct_assistant.training.data.datasets.preparing import Box
from napari_ct_assistant.training.data.datasets.record import WHOLE, ScanRecord
from napari_ct_assistant.training.data.datasets.specs import (
    AmosMmData,
    BimcvRData,
    CtRateData,
    M3dCapData,
    M3dVqaData,
    ScanData,
    SeveralData,
    TableData,
)
from napari_ct_assistant.training.data.datasets.store import DatasetStore
from napari_ct_assistant.training.data.datasets.table import read_table
from napari_ct_assistant.training.data.masks.find import with_masks
from napari_ct_assistant.training.data.shards.places import FolderPlace, open_place
from napari_ct_assistant.training.data.shards.reader import Shards


def read_records(data: ScanData, skips: Skips | None = None) -> tuple[list[ScanRecord], Skips]:
    """Return the scans that a recipe's `data` names, and the samples that cannot be read.

    Raises
    ------
    RecipeError
        If a file of the data set is missing or not in the expected form, or if a sample cannot
        be read and the recipe does not say `unreadable: skip`.
    """
    if isinstance(data, SeveralData):
        skips = skips or Skips(
            "skip" if all(p.unreadable == "skip" for p in data.parts) else "error"
        )
        records = [record for part in data.parts for record in read_records(part, skips)[0]]
        return records, skips
    skips = skips or Skips(data.unreadable)
    records = _read(data, skips)
    if data.masks is not None:
        records = with_masks(records, data.masks, skips)
    if not records:
        first = next((f"; the first: {n}: {r}" for n, r in skips.found.items()), "")
        raise RecipeError(f"data.kind {data.kind}: no scan could be read{first}")
    if data.questions:
        # Imported here because most recipes have no such files.
        from napari_ct_assistant.training.instructions.rows import add_questions

        records = add_questions(records, data.questions)
    if data.by_region:
        records = [replace(record, reports=divided(record.reports)) for record in records]
    if data.label_questions:
        records = [replace(record, label_questions=True) for record in records]
    return records[: data.limit], skips


def divided(reports: Mapping[str, str]) -> dict[str, str]:
    """Return reports by region; of a whole report, the sentences on what was found."""
    whole = reports.get(WHOLE)
    return dict(reports) if whole is None else split_regions(described(whole) or whole)


def _read(data: ScanData, skips: Skips) -> list[ScanRecord]:
    match data:
        case TableData():
            return read_table(data, skips)
        case CtRateData():
            return read_ct_rate(data, skips)
        case BimcvRData():
            return read_bimcv_r(data, skips)
        case AmosMmData():
            return read_amos_mm(data, skips)
        case M3dCapData():
            return read_m3d_cap(data, skips)
        case M3dVqaData():
            return read_m3d_vqa(data, skips)
    raise RecipeError(f"data.kind {data.kind}: has no reader")


def box_of(data: ScanData, size: Sequence[int], patch: Sequence[int]) -> Box:
    """Return the box that a recipe's data is prepared to, for an encoder of this size."""
    return Box(tuple(size), tuple(patch), data.preparation, data.spacing)


def open_shards(data: ScanData, root: Path) -> Shards:
    """Return the shards that a recipe names, or those in its store's own folder `shards`."""
    store, named = root / data.store, data.shards
    if named is None:
        return Shards(FolderPlace(store / "shards"), store)
    copies = named.cache_folder and (root / named.cache_folder)
    place = open_place(named.address, root)
    return Shards(place, store, cache=named.cache, copies=copies, named=True)


def open_dataset(
    data: ScanData,
    folder: Path,
    size: Sequence[int],
    patch: Sequence[int],
    shards: Shards | None = None,
) -> DatasetStore:
    """Return the store of a recipe's data; nothing is prepared yet."""
    records, skips = read_records(data)
    return DatasetStore(folder, records, box_of(data, size, patch), skips, shards)
