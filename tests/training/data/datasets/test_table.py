"""A hospital's own table: scans and reports become training volumes, errors name the row."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import numpy as np
import pytest

from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.recipe import ConversationSettings
from napari_ct_assistant.training.data.datasets.files import Skips
from napari_ct_assistant.training.data.datasets.read_records import open_dataset, read_records
from napari_ct_assistant.training.data.datasets.record import WHOLE, ScanRecord, patient_hash
from napari_ct_assistant.training.data.datasets.record_turns import record_pairs
from napari_ct_assistant.training.data.datasets.specs import TableData
from napari_ct_assistant.training.data.datasets.store import DatasetStore
from napari_ct_assistant.training.run import run_stage
from napari_ct_assistant.volume import CTReadError, CTVolume, write_nifti


def open_table(folder: Path, table: Path) -> DatasetStore:
    data = TableData(kind="table", table=table, spacing=(10.0, 6.0, 6.0), split="all")
    return open_dataset(data, folder, size=(32, 64, 64), patch=(8, 16, 16))


@pytest.fixture
def table(tmp_path: Path, small_volume: CTVolume) -> Path:
    write_nifti(small_volume, tmp_path / "a.nii.gz")
    file = tmp_path / "scans.csv"
    file.write_text('image,report\na.nii.gz,"Findings: A ball,  in water."\n')
    return file


def test_a_scan_is_prepared_once_with_its_hu(tmp_path: Path, table: Path) -> None:
    store = open_table(tmp_path / "store", table)
    assert list(store.fill()) == [1]
    hu = store.volume(0)
    assert hu.shape == (32, 64, 64)
    assert hu.dtype == np.int16
    # Water in the middle, air around it, and the ball of 300 HU.
    assert hu[16, 40, 32] == 0
    assert hu[0, 0, 0] == -1000
    assert 150 < hu.max() <= 300
    written = store.volume_file(0).stat().st_mtime_ns
    assert list(store.fill()) == [1]
    assert store.volume_file(0).stat().st_mtime_ns == written
    turn = store.turns(0, ConversationSettings(), np.random.default_rng(0))[0]
    assert turn.answer == "Findings: A ball, in water."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,text\na,b\n", "column report is missing"),
        ("image,report\n", "no rows"),
        ("image,report\na.nii.gz,\n", "row 2: report is empty"),
    ],
)
def test_an_error_in_a_table_names_it(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "bad.csv"
    file.write_text(text)
    with pytest.raises(RecipeError, match=message):
        open_table(tmp_path / "store", file)


def test_an_unreadable_scan_is_an_error_not_another_sample(tmp_path: Path, table: Path) -> None:
    table.write_text("image,report\nmissing.nii.gz,Text.\n")
    store = open_table(tmp_path / "store", table)
    with pytest.raises(CTReadError, match=r"missing\.nii\.gz"):
        list(store.fill())


def test_mae_on_a_table(tmp_path: Path, table: Path) -> None:
    changes = "image_size: [32, 64, 64], hidden_size: 24, num_hidden_layers: 1, stem: linear"
    run_stage(
        "mae",
        "demo/mae",
        [
            f"root={tmp_path}",
            f"data={{kind: table, table: {table}, split: all}}",
            f"encoder={{preset: demo, changes: {{{changes}}}}}",
            "training.samples=2",
        ],
    )
    assert (tmp_path / "1-mae" / "model.safetensors").is_file()


def rows_of(file: Path, **changes: object) -> tuple[list[ScanRecord], Skips]:
    return read_records(TableData(kind="table", table=file, split="all", **changes))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_table_is_read_as_spreadsheets_save_it(
    tmp_path: Path, encoding: str, separator: str, end: str
) -> None:
    text = io.StringIO(newline="")
    table = csv.writer(text, delimiter=separator, lineterminator=end)
    table.writerow([" Image ", "REPORT", "Patient", "lung_nodule"])
    report = f'Herzgröße normal; no nodule,{end}"clear" lungs\tboth sides.'
    table.writerow(["a.nii.gz", report, "p 1", "1.0"])
    table.writerow(["", "", "", ""])
    table.writerow(["b.nii.gz", "Second.", "p 2", ""])
    file = tmp_path / "scans.csv"
    file.write_bytes(text.getvalue().encode(encoding))
    (first, second), skips = rows_of(file)
    assert first.reports == {WHOLE: 'Herzgröße normal; no nodule, "clear" lungs both sides.'}
    assert (first.labels, second.labels) == ({"Lung nodule": 1}, {})
    assert first.patient == patient_hash("table", "p 1")
    assert second.image == tmp_path / "b.nii.gz"
    assert ["Windows-1252" in note for note in skips.notes] == [True] * (encoding == "cp1252")


def test_excels_line_with_the_separator_is_not_a_row(tmp_path: Path) -> None:
    file = tmp_path / "scans.csv"
    file.write_text("sep=;\nimage;report\na.nii.gz;One, two.\n;x\n")
    assert rows_of(file, unreadable="skip")[0][0].reports == {WHOLE: "One, two."}
    with pytest.raises(RecipeError, match="row 4: image is empty"):
        rows_of(file)


def test_all_rows_with_a_fault_are_told_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "scans.csv"
    good = [f"{n}.nii.gz,Text.,p{n}" for n in range(20)]
    empty = [f"e{n}.nii.gz,{'n/a' if n % 2 else ''},q" for n in range(11)]
    file.write_text("\n".join(["image,report,patient", *good, *empty, ",Text.,p"]) + "\n")
    with pytest.raises(RecipeError) as caught:
        rows_of(file)
    said = str(caught.value)
    assert "row 33: image is empty" in said
    assert "rows 22, 23, 24, 25, 26, 27, 28, 29 ... (11 rows): report is empty" in said
    assert "data.unreadable=skip" in said
    assert "\n" not in said
    records, skips = rows_of(file, unreadable="skip")
    assert len(records) == 20
    assert skips.found["scans.csv row 22"] == "report is empty"
    assert len(skips.found) == 12


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("image,report\na,No nodule, no mass\nb,x,y\n", "rows 2, 3: more cells than"),
        ('image,report\na,"No nodule\nb,x\n', "row 2: a quotation mark is not closed"),
        ("path;text\na;b\n", "columns image, report are missing; the header has path, text"),
        ("image,report,Report\na,b,c\n", "column report is there twice"),
        ("image,report,split\na,x,tset\nb,x,tset\n", "rows 2, 3: split 'tset' is none of"),
        ("image,report\na,x\n./a,y\n", "row 3: another row gives this image another report"),
        ("image,report,patient,split\na,x,p,train\nb,x,p,test\n", "row 3: its patient is also"),
        ("", "columns image, report are missing; the header has no columns"),
        ("PK\x03\x04", "is a spreadsheet; save it as CSV UTF-8"),
    ],
)
def test_a_faulty_table_gets_one_line(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "scans.csv"
    file.write_bytes(text.encode())
    with pytest.raises(RecipeError, match=re.escape(said)) as caught:
        rows_of(file)
    assert "\n" not in str(caught.value)


def test_bytes_of_no_known_encoding_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "scans.csv"
    file.write_bytes(b"image,report\na,\x81\n")
    with pytest.raises(RecipeError, match=r"neither UTF-8, UTF-16 nor Windows-1252 \(byte 15\)"):
        rows_of(file)


def test_a_repeated_scan_is_used_once_and_told(tmp_path: Path) -> None:
    file = tmp_path / "scans.csv"
    file.write_text("image,report,patient\na,x,p\na,x,p\nb,y,\n./a,,p\n")
    records, skips = rows_of(file)
    assert [r.name for r in records] == ["a", "b"]
    assert skips.notes == [
        f"{file.name} rows 3, 5: names the scan of an earlier row again",
        f"{file.name} row 4: patient is empty, the scan counts as a patient of its own",
    ]


def test_all_scans_of_a_patient_are_on_one_side(tmp_path: Path) -> None:
    file = tmp_path / "scans.csv"
    file.write_text("image,report,patient,split\na,x,p,TEST\nb,x,p,\nc,x,q,val\n")
    assert [r.split for r in rows_of(file)[0]] == ["test", "test", "validation"]


def test_questions_of_a_table_are_trained_on(tmp_path: Path) -> None:
    file = tmp_path / "scans.csv"
    file.write_text(
        "image,report,question,answer,choices\n"
        "a,Text.,Which side?,left,left|right\na,,Is there a mass?,No.,\n"
        "b,,Which side?,B,left|right\n"
    )
    first, second = rows_of(file)[0]
    turns = record_pairs(first, ConversationSettings(), np.random.default_rng(0))
    assert [turn.answer for turn in turns] == ["Text.", "A. left", "No."]
    assert [q.answer for q in second.questions] == ["right"]


def test_all_absent_scans_are_told_before_one_is_prepared(tmp_path: Path, table: Path) -> None:
    gone = [f"gone{n}.nii.gz,Text." for n in range(6)]
    table.write_text("\n".join(["image,report", "a.nii.gz,Text.", *gone]) + "\n")
    store = open_table(tmp_path / "store", table)
    with pytest.raises(CTReadError, match=r"gone0.*nor do 5 more of 7 scans \(gone1") as caught:
        list(store.fill())
    assert str(caught.value).count("gone") == 4
    assert not store.volume_file(0).exists()
