"""Preparation is done once, in parallel, resumable and verified; leaks are refused."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.recipe import ConversationSettings
from napari_ct_assistant.training.data.datasets.files import Skips
from napari_ct_assistant.training.data.datasets.preparing import Box
from napari_ct_assistant.training.data.datasets.read_records import open_dataset, read_records
from napari_ct_assistant.training.data.datasets.specs import (
    AmosMmData,
    CtRateData,
    SeveralData,
    TableData,
)
from napari_ct_assistant.training.data.datasets.splits import is_held_out
from napari_ct_assistant.training.data.datasets.store import DatasetStore
from napari_ct_assistant.training.data.leaks import (
    FILE,
    LeakError,
    Seen,
    guard_cases,
    refuse_patients,
    refuse_scans,
)
from napari_ct_assistant.training.evaluation.cases import record_cases
from napari_ct_assistant.volume import CTReadError
from tests.training.data.datasets import layouts

BOX = Box((16, 32, 32), (8, 16, 16), "spacing", (8.0, 5.0, 6.0))


def table_of(folder: Path, count: int, **more: str) -> Path:
    """A table of some scans, and their files."""
    rows = []
    for number in range(count):
        layouts.write_scan(folder / f"{number}.nii.gz", number)
        rows.append((f"{number}.nii.gz", f"Report {number}.", *more.values()))
    layouts.write_rows(folder / "scans.csv", ("image", "report", *more), rows)
    return folder / "scans.csv"


def store_of(folder: Path, table: Path, unreadable: str = "error") -> DatasetStore:
    data = TableData.model_validate(
        {"kind": "table", "table": table, "split": "all", "unreadable": unreadable}
    )
    records, skips = read_records(data)
    return DatasetStore(folder, records, BOX, skips)


def times(store: DatasetStore) -> list[int]:
    return [store.volume_file(i).stat().st_mtime_ns for i in range(len(store))]


def test_parallel_preparation_equals_that_of_one_process_and_is_kept(tmp_path: Path) -> None:
    table = table_of(tmp_path, 4)
    store = store_of(tmp_path / "store", table)
    assert list(store.fill(workers=2)) == [1, 2, 3, 4]
    before = times(store)
    again = store_of(tmp_path / "store", table)
    assert list(again.fill(workers=2)) == [4]
    assert times(again) == before
    alone = store_of(tmp_path / "alone", table)
    list(alone.fill(workers=1))
    for index in range(4):
        np.testing.assert_array_equal(store.volume(index), alone.volume(index))
    assert store.scan_digests() == alone.scan_digests()
    assert len(set(store.scan_digests())) == 4
    # The first two digits of a file's name are its folder.
    assert store.volume_file(0).parent.name == store.volume_file(0).name[:2]


def test_a_killed_run_continues(tmp_path: Path) -> None:
    table = table_of(tmp_path, 3)
    store = store_of(tmp_path / "store", table)
    running = store.fill(workers=1)
    assert next(running) == 1
    running.close()
    # A kill in the middle of a line.
    with store.manifest.file.open("a") as stream:
        stream.write('{"key": "cut o')
    after = store_of(tmp_path / "store", table)
    first = after.volume_file(0).stat().st_mtime_ns
    assert list(after.fill(workers=1)) == [1, 2, 3]
    assert after.volume_file(0).stat().st_mtime_ns == first
    assert list(store_of(tmp_path / "store", table).fill()) == [3]


def test_verify_finds_damage_and_fill_repairs_it(tmp_path: Path) -> None:
    table = table_of(tmp_path, 3)
    store = store_of(tmp_path / "store", table)
    list(store.fill(workers=1))
    assert [problem for _, problem in store.verify()] == ["", "", ""]
    true = store.volume(0)
    content = bytearray(store.volume_file(0).read_bytes())
    content[len(content) // 2] ^= 0xFF
    store.volume_file(0).write_bytes(content)
    layouts.write_scan(tmp_path / "1.nii.gz", 99)
    problems = dict(store.verify())
    assert problems[0] in ("its file is damaged", "its voxels have changed")
    assert problems[1] == "its source has changed since"
    assert problems[2] == ""
    list(store.fill(workers=1))
    np.testing.assert_array_equal(store.volume(0), true)
    assert [problem for _, problem in store.verify()] == ["", "", ""]


def test_another_table_or_box_shares_no_volumes(tmp_path: Path) -> None:
    a, b = table_of(tmp_path / "a", 1), table_of(tmp_path / "b", 1)
    one, other = store_of(tmp_path / "store", a), store_of(tmp_path / "store", b)
    assert one.volume_file(0) != other.volume_file(0)
    wide = DatasetStore(tmp_path / "store", one.records, Box((8, 32, 32), (8, 16, 16)))
    assert wide.volume_file(0) != one.volume_file(0)
    assert len({store.key for store in (one, other, wide)}) == 3


def test_an_unreadable_scan_is_an_error_or_a_listed_skip(tmp_path: Path) -> None:
    table = table_of(tmp_path, 4)
    (tmp_path / "2.nii.gz").write_bytes(b"damaged")
    with pytest.raises(CTReadError, match=r"2\.nii\.gz"):
        list(store_of(tmp_path / "store", table).fill(workers=2))
    store = store_of(tmp_path / "store", table, "skip")
    assert list(store.fill(workers=1))[-1] == 3
    assert len(store) == 3
    assert [r.name for r in store.records] == ["0.nii.gz", "1.nii.gz", "3.nii.gz"]
    listed = (tmp_path / "store" / "skipped.csv").read_text()
    assert "2.nii.gz,neither a DICOM nor a NIfTI file" in listed
    # Each text belongs to its own scan after one was skipped.
    turns = [
        store.turns(i, ConversationSettings(questions=0), np.random.default_rng(0))
        for i in range(3)
    ]
    assert [t[0].answer for t in turns] == ["Report 0.", "Report 1.", "Report 3."]
    for number in (0, 1, 3):
        (tmp_path / f"{number}.nii.gz").unlink()
    with pytest.raises(RecipeError, match="no scan could be read; the first"):
        list(store_of(tmp_path / "empty", table, "skip").fill(workers=1))


def test_left_stays_left(tmp_path: Path) -> None:
    """Neither preparation nor sampling mirrors a scan, since reports say left and right."""
    store = store_of(tmp_path / "store", table_of(tmp_path, 1))
    list(store.fill(workers=1))
    # The block of 700 HU: index 2 grows towards the patient's left.
    assert set(np.argwhere(store.volume(0) == 700)[:, 2] >= 16) == {True}
    from napari_ct_assistant.training.data.volume_dataset import VolumeDataset

    dataset = VolumeDataset(store, 12, seed=3)
    for k in range(12):
        pixels = dataset[k]["pixel_values"][0].numpy()
        assert (np.argwhere(pixels > 0.8)[:, 2] >= 16).all()


def test_data_prepared_differently_is_refused(tmp_path: Path) -> None:
    parts = (
        CtRateData(kind="ct_rate", root=tmp_path),
        AmosMmData(kind="amos_mm", root=tmp_path, preparation="minmax"),
    )
    with pytest.raises(ValueError, match="the parts are prepared differently: minmax"):
        SeveralData(kind="several", parts=parts)


def test_minmax_fills_the_box(tmp_path: Path) -> None:
    root = layouts.write_amos_mm(tmp_path)
    data = AmosMmData(kind="amos_mm", root=root, preparation="minmax")
    store = open_dataset(data, tmp_path / "store", (8, 32, 32), (4, 16, 16))
    list(store.fill())
    hu = store.volume(0)
    # The air around the body is cropped, and the brightest voxel is the top of the range.
    assert hu.max() == 1000
    assert not (hu[:, 0] == -1000).all()


def test_turns_of_regions_choices_and_labels(tmp_path: Path) -> None:
    amos = read_records(AmosMmData(kind="amos_mm", root=layouts.write_amos_mm(tmp_path / "a")))[0]
    rate = read_records(CtRateData(kind="ct_rate", root=layouts.write_ct_rate(tmp_path / "b")))[0]
    store = DatasetStore(tmp_path / "store", [amos[0], rate[0]], BOX)
    one = ConversationSettings(packed=False, questions=16)
    asked: Counter[str] = Counter()
    for seed in range(300):
        (turn,) = store.turns(0, one, np.random.default_rng(seed))
        asked[turn.question] += 1
    # ViT3D-LLaMA3's prompt for each region with a report; the chest has none.
    assert {q.split(" in ")[-1] for q in asked if q.startswith("please provide")} == {
        "abdomen of this image.",
        "pelvis of this image.",
    }
    assert any(q.startswith("Which organ is enlarged? Choices: A. Liver B. Spleen") for q in asked)
    asking = replace(rate[0], label_questions=True)
    store = DatasetStore(tmp_path / "store", [amos[0], asking], BOX)
    packed = store.turns(1, ConversationSettings(questions=12), np.random.default_rng(0))
    assert packed[0].answer.startswith("Findings: Heart size is normal.")
    signs = {t.question: t.answer for t in packed if "show signs of" in t.question}
    assert signs["Does this image show signs of lung nodule?"] == "Yes."
    assert "No." in signs.values()
    assert store.tags(1) == ["lung nodule"]
    bare = DatasetStore(tmp_path / "s", [amos[0].__class__("d", "n", tmp_path, "p")], BOX)
    with pytest.raises(RecipeError, match="d n: neither report nor question"):
        bare.turns(0, one, np.random.default_rng(0))


def test_patients_are_held_out_by_hash() -> None:
    held = [is_held_out(f"patient {n}", 0.1) for n in range(5000)]
    assert 0.085 < np.mean(held) < 0.115
    # A larger share only adds patients.
    assert all(is_held_out(f"patient {n}", 0.2) for n in range(5000) if held[n])


def test_leaks_by_patient_and_by_voxels_are_refused(tmp_path: Path) -> None:
    train = store_of(tmp_path / "store", table_of(tmp_path / "a", 2, patient="anna"))
    other = store_of(tmp_path / "store", table_of(tmp_path / "b", 2))
    same_patient = store_of(tmp_path / "store", table_of(tmp_path / "c", 1, patient="anna"))
    for store in (train, other, same_patient):
        list(store.fill(workers=1))
    seen = Seen.of(train)
    with pytest.raises(LeakError, match=r"share 1 patient\(s\), first table .*c 0\.nii\.gz"):
        refuse_patients(seen.patients, same_patient, "mae")
    refuse_patients(seen.patients, other, "mae")
    # The same voxels under another name, of what is said to be another patient.
    with pytest.raises(LeakError, match=r"share 2 scan\(s\), voxel for voxel"):
        refuse_scans(seen.scans, other, "mae")


def test_a_model_is_not_evaluated_on_its_training_patients(tmp_path: Path) -> None:
    train = store_of(tmp_path / "store", table_of(tmp_path / "a", 2, patient="anna"))
    other = store_of(tmp_path / "store", table_of(tmp_path / "b", 2, patient="bert"))
    list(train.fill(workers=1))
    model = tmp_path / "model"
    model.mkdir()
    Seen.of(train).write(model)
    assert "anna" not in (model / FILE).read_text()
    with pytest.raises(LeakError, match=r"1 patient\(s\) of mine were in the training of model"):
        guard_cases(model, record_cases("mine", train.records))
    # Labelled as another patient, but the voxels of scan 0 are the same; those of scan 1 are not.
    layouts.write_scan(tmp_path / "b" / "1.nii.gz", 77)
    same, new = guard_cases(model, record_cases("mine", other.records)).cases
    assert new.open().shape == (16, 24, 20)
    with pytest.raises(LeakError, match="a scan of mine was, voxel for voxel, in the training"):
        same.open()
    assert guard_cases(tmp_path, record_cases("mine", train.records)).cases[0].open()
    (model / FILE).write_text(json.dumps({"patients": []}))
    with pytest.raises(RecipeError, match="damaged; restore it, or remove it to skip"):
        guard_cases(model, record_cases("mine", other.records))


def test_a_scan_listed_twice_is_refused(tmp_path: Path) -> None:
    records = store_of(tmp_path / "store", table_of(tmp_path, 1)).records
    with pytest.raises(RecipeError, match=r"0\.nii\.gz: listed twice"):
        DatasetStore(tmp_path / "store", [*records, *records], BOX, Skips())
