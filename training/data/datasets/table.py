"""A hospital's own scans: a CSV with a row for each scan, or for each question about one.

Columns: `image`, a NIfTI file or DICOM folder, relative to the CSV; and any of `report`,
`patient` (without it, each image counts as another patient), `split` (train, validation or
test), `question` with `answer`, `kind` and `choices` (separated by "|"), the 18 findings with 0
or 1, and `masks`, a file or folder. Rows with the same image belong to one scan.

All faults of a table are told in one line, with their rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.data.csv_rows import find_encoding, read_rows, shown_rows
from napari_ct_assistant.training.data.datasets.files import Skips
from napari_ct_assistant.training.data.datasets.record import (
    WHOLE,
    Question,
    ScanMasks,
    ScanRecord,
    one_line,
    patient_hash,
    single_spaced,
)
from napari_ct_assistant.training.data.datasets.specs import TableData
from napari_ct_assistant.training.data.datasets.splits import keep_split

NAME = "table"
SPLITS = ("train", "validation", "test")
_SPLIT_NAMES = {name: name for name in SPLITS} | {"val": "validation", "valid": "validation"}
_LABELS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1}  # pandas writes 1.0 where other rows are empty
_TEXTS = ("report", "patient", "split", "masks")
_OPTIONAL = (*_TEXTS, "question", "answer", "kind", "choices", *FINDINGS)


@dataclass
class _Scan:
    """What the rows of one image say."""

    name: str
    path: Path
    row: int
    texts: dict[str, str] = field(default_factory=dict)
    labels: dict[str, int] = field(default_factory=dict)
    questions: dict[Question, None] = field(default_factory=dict)


def read_table(data: TableData, skips: Skips) -> list[ScanRecord]:
    """Return the scans of a table in its order, of the split that a recipe names.

    Raises
    ------
    RecipeError
        If the table is absent or lacks a column, cells are wrong or contradict each other, or
        rows have no image or nothing to train on and the recipe does not say `unreadable: skip`.
    """
    with_column = data.masks is not None and data.masks.folder is None
    needed = ["image", *(["report"] if data.reports else []), *(["masks"] if with_column else [])]
    records = _records(data.table, needed, skips, _Wants(data.reports, with_column, name=data.name))
    return keep_split(records, data.split, data.held_out)


def table_records(table: Path, skips: Skips) -> list[ScanRecord]:
    """Return all scans of a table, whether they have a report or not.

    Raises
    ------
    RecipeError
        As `read_table`.
    """
    return _records(table, ["image"], skips, _Wants(reports=True, masks=False, empty=True))


@dataclass(frozen=True)
class _Wants:
    """What a reader wants of a table.

    empty: also scans without report and question; name: the table's, in place of its folder.
    """

    reports: bool
    masks: bool
    empty: bool = False
    name: str | None = None


def _records(table: Path, needed: list[str], skips: Skips, wants: _Wants) -> list[ScanRecord]:
    scans: dict[Path, _Scan] = {}
    wrong: dict[str, list[int]] = {}  # fault: its rows
    missing: dict[str, list[int]] = {}  # what can be left out: its rows
    unusual: dict[str, list[int]] = {}  # what is read in a way that should be told: its rows
    folder = table.parent.resolve()
    for number, row in read_rows(table, needed, _OPTIONAL):
        image = row["image"].strip()
        if not image:
            missing.setdefault("image is empty", []).append(number)
            continue
        path = (folder / image).resolve()
        if path in scans and not row.get("question", "").strip():
            unusual.setdefault("names the scan of an earlier row again", []).append(number)
        if not row.get("patient", "-").strip():
            what = "patient is empty, the scan counts as a patient of its own"
            unusual.setdefault(what, []).append(number)
        for fault in _add(scans.setdefault(path, _Scan(image, path, number)), row):
            wrong.setdefault(fault, []).append(number)
    if not scans and not missing:
        raise RecipeError(f"{table.name}: no rows")
    if find_encoding(table) == "cp1252":
        skips.notes.append(
            f"{table.name}: not UTF-8, read as Windows-1252; save it as CSV UTF-8 if letters are "
            "wrong"
        )
    skips.notes += [f"{table.name} {_listed({what: rows})}" for what, rows in unusual.items()]
    for scan in _of_two_splits(scans.values()):
        wrong.setdefault("its patient is also in another split", []).append(scan.row)
    if wrong:
        raise RecipeError(f"{table.name} {_listed(wrong)}")
    kept = [s for s in scans.values() if wants.empty or not wants.reports or _has_text(s)]
    for scan in scans.values():
        if wants.reports and not wants.empty and not _has_text(scan):
            missing.setdefault("report is empty", []).append(scan.row)
    if missing and skips.unreadable == "error":
        raise RecipeError(
            f"{table.name} {_listed(missing)}; complete them, or set data.unreadable=skip to leave "
            "them out"
        )
    for reason, rows in missing.items():
        for number in rows:
            skips.add(f"{table.name} row {number}", reason)
    return [_record(scan, wants, folder) for scan in kept]


def _has_text(scan: _Scan) -> bool:
    return bool(scan.texts.get("report") or scan.questions)


def _listed(found: dict[str, list[int]]) -> str:
    return "; ".join(f"{shown_rows(rows)}: {what}" for what, rows in found.items())


def _add(scan: _Scan, row: dict[str, str]) -> list[str]:
    """Add what a row says about a scan; return the faults of the row."""
    faults = []
    cells = {name: row.get(name, "").strip() for name in _TEXTS}
    cells["report"] = one_line(row.get("report"))
    own_split = _SPLIT_NAMES.get(cells["split"].casefold(), "")
    if cells["split"] and not own_split:
        faults.append(f"split {cells['split']!r} is none of {', '.join(SPLITS)}")
    cells["split"] = own_split
    for name, value in cells.items():
        if value and scan.texts.setdefault(name, value) != value:
            faults.append(f"another row gives this image another {name}")
    for name in FINDINGS:
        value = row.get(name, "").strip()
        if value and value not in _LABELS:
            faults.append(f"{name} is {value!r}; write 0 or 1")
        elif value and scan.labels.setdefault(name, _LABELS[value]) != _LABELS[value]:
            faults.append(f"another row gives this image another {name}")
    try:
        question = _question(row)
    except ValueError as error:
        return [*faults, str(error)]
    if question is not None:
        scan.questions[question] = None
    return faults


def _question(row: dict[str, str]) -> Question | None:
    """Return the question of a row; ValueError if it is incomplete."""
    question, answer = single_spaced(row.get("question")), (row.get("answer") or "").strip()
    if not question:
        return None
    if not answer:
        raise ValueError("the question has no answer")
    choices = tuple(part.strip() for part in row.get("choices", "").split("|") if part.strip())
    if choices and len(answer) == 1 and "A" <= answer.upper() < chr(ord("A") + len(choices)):
        answer = choices[ord(answer.upper()) - ord("A")]
    kind = row.get("kind", "").strip() or ("multiple_choice" if choices else "free")
    return Question(question, answer, kind, choices=choices)  # type: ignore[arg-type]


def _of_two_splits(scans: Iterable[_Scan]) -> list[_Scan]:
    """Return the scans whose patient has a scan in another split; give the others its split."""
    splits: dict[str, str] = {}
    wrong = []
    named = [scan for scan in scans if scan.texts.get("patient")]
    for scan in named:
        own = scan.texts.get("split")
        if own and splits.setdefault(scan.texts["patient"], own) != own:
            wrong.append(scan)
    for scan in named:
        if scan.texts["patient"] in splits:
            scan.texts.setdefault("split", splits[scan.texts["patient"]])
    return wrong


def _record(scan: _Scan, wants: _Wants, folder: Path) -> ScanRecord:
    texts = scan.texts
    report = texts.get("report", "") if wants.reports else ""
    own = f"{wants.name}/{scan.name}" if wants.name else str(scan.path)
    return ScanRecord(
        # An image of the same name in another table is another scan.
        dataset=f"{NAME} {wants.name or folder}",
        name=scan.name,
        image=scan.path,
        patient=patient_hash(NAME, texts.get("patient") or own),
        split=texts.get("split", ""),
        reports={WHOLE: report} if report else {},
        labels=scan.labels,
        questions=tuple(scan.questions) if wants.reports else (),
        masks=ScanMasks((folder / texts["masks"]).resolve())
        if wants.masks and "masks" in texts
        else None,
    )
