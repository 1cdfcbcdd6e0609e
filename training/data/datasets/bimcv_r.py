"""BIMCV-R: chest CT with translated reports (Chen et al. 2024).

    meta/curated_ct_report_path_En.csv          columns path, Report_en
    CT1/ct/sub-S03825_ses-E07697_run-2_bp-chest_ct.nii.gz     matched by file name

It has no split of its own. E3D-GPT: "randomly split 10% based on patients as testing set".
"""

from __future__ import annotations

import re
from pathlib import Path

from napari_ct_assistant.training.data.csv_rows import read_rows
from napari_ct_assistant.training.data.datasets.files import Skips, find
from napari_ct_assistant.training.data.datasets.record import (
    WHOLE,
    ScanRecord,
    one_line,
    patient_hash,
)
from napari_ct_assistant.training.data.datasets.specs import BimcvRData
from napari_ct_assistant.training.data.datasets.splits import keep_split

NAME = "bimcv_r"
_SUBJECT = re.compile(r"^(sub-[A-Za-z0-9]+)_")


def read_bimcv_r(data: BimcvRData, skips: Skips) -> list[ScanRecord]:
    """Return the scans that have a report in English, in the table's order."""
    table = find(data.root, "meta/curated_ct_report_path_En.csv", "curated_ct_report_path_En.csv")
    files = {path.name: path for path in sorted(data.root.glob("CT*/ct/*.nii.gz"))}
    records = []
    for line, row in read_rows(table, ("path", "Report_en")):
        name = Path(row["path"].strip()).name
        subject, report = _SUBJECT.match(name), one_line(row["Report_en"])
        if subject is None:
            skips.add(f"{table} line {line}", f"{name!r} does not begin with sub-<patient>_")
        elif name not in files:
            skips.add(f"{NAME} {name}", "not in any CT*/ct folder")
        elif not report:
            skips.add(f"{NAME} {name}", "its report is empty")
        else:
            records.append(
                ScanRecord(
                    dataset=NAME,
                    name=name.removesuffix(".nii.gz"),
                    image=files[name],
                    patient=patient_hash(NAME, subject[1]),
                    reports={WHOLE: report},
                )
            )
    return keep_split(records, data.split, data.held_out)
