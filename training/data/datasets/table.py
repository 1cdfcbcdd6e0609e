"""A hospital's own scans: a CSV with the columns `image` and `report`.

Optional columns are `patient` (without it, each image counts as another patient), `split` (train,
validation or test), any of the 18 findings with 0 or 1, and `masks`, a file or folder.
"""

from __future__ import annotations

from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.data.datasets.files import read_rows
from napari_ct_assistant.training.data.datasets.record import (
    WHOLE,
    ScanMasks,
    ScanRecord,
    one_line,
    patient_hash,
)
from napari_ct_assistant.training.data.datasets.specs import TableData
from napari_ct_assistant.training.data.datasets.splits import keep_split

NAME = "table"
SPLITS = ("train", "validation", "test")


def read_table(data: TableData) -> list[ScanRecord]:
    """Return the scans of a table, in its order.

    Raises
    ------
    RecipeError
        If the table is absent, lacks a column, or a row lacks its image or report.
    """
    table = data.table
    column = data.masks is not None and data.masks.folder is None
    needed = ("image", *(("report",) if data.reports else ()), *(("masks",) if column else ()))
    records = []
    for line, row in read_rows(table, needed):
        image, report = row["image"].strip(), one_line(row.get("report"))
        if not image or (data.reports and not report):
            raise RecipeError(f"{table} row {line}: image or report is empty")
        split = row.get("split", "").strip()
        if split and split not in SPLITS:
            raise RecipeError(f"{table} row {line}: split {split!r} is none of {', '.join(SPLITS)}")
        labels = {name: row[name].strip() for name in FINDINGS if row.get(name, "").strip()}
        if wrong := [name for name, value in labels.items() if value not in ("0", "1")]:
            raise RecipeError(f"{table} row {line}: {wrong[0]} is {labels[wrong[0]]!r}, not 0 or 1")
        path = (table.parent / image).resolve()
        masks = row["masks"].strip() if column else ""
        records.append(
            ScanRecord(
                # An image of the same name in another table is another scan.
                dataset=f"{NAME} {table.parent.resolve()}",
                name=image,
                image=path,
                patient=patient_hash(NAME, row.get("patient", "").strip() or str(path)),
                split=split,
                reports={WHOLE: report} if report else {},
                labels={name: int(value) for name, value in labels.items()},
                masks=ScanMasks((table.parent / masks).resolve()) if masks else None,
            )
        )
    if not records:
        raise RecipeError(f"{table}: no rows")
    return keep_split(records, data.split, data.held_out)
