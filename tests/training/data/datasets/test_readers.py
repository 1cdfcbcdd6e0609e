"""Each published layout is read; errors name what cannot be read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.data.datasets.files import Skips, iterate_json_array
from napari_ct_assistant.training.data.datasets.preparing import Box, place, read_scan
from napari_ct_assistant.training.data.datasets.read_records import read_records
from napari_ct_assistant.training.data.datasets.record import Question, ScanRecord
from napari_ct_assistant.training.data.datasets.specs import (
    AmosMmData,
    BimcvRData,
    CtRateData,
    M3dCapData,
    M3dVqaData,
    SeveralData,
    TableData,
)
from napari_ct_assistant.volume import CTReadError
from tests.training.data.datasets import layouts


def ct_rate(root: Path, **more: object) -> list[ScanRecord]:
    data = CtRateData.model_validate({"kind": "ct_rate", "root": root, **more})
    return read_records(data)[0]


def test_ct_rate(tmp_path: Path) -> None:
    root = layouts.write_ct_rate(tmp_path)
    records = ct_rate(root)
    # train_3 is listed in no_chest_train.txt.
    assert [r.name for r in records] == ["train_1_a_1", "train_1_a_2", "train_2_a_1"]
    one = records[0]
    assert one.image == root / "dataset/train_fixed/train_1/train_1_a/train_1_a_1.nii.gz"
    assert one.reports["report"] == (
        "Findings: Heart size is normal. Nodule train_1_a_1.nii.gz. Impression: Nodule."
    )
    assert [name for name, value in one.labels.items() if value] == ["Lung nodule"]
    assert list(one.labels) == list(FINDINGS)
    assert [q.kind for q in one.questions] == ["free", "short", "multiple_choice"]
    assert one.questions[0].question == "What is seen?"
    choice = one.questions[2]
    assert choice.as_asked == "Where? Choices: A. left lung B. right lung C. both D. neither"
    assert choice.as_answered == "B. right lung"
    # Two reconstructions of one patient; the patient's number is nowhere.
    assert records[0].patient == records[1].patient != records[2].patient
    assert "train_1" not in one.patient
    assert [r.name for r in ct_rate(root, reconstructions="first")] == [
        "train_1_a_1",
        "train_2_a_1",
    ]
    assert [r.name for r in ct_rate(root, split="validation")] == ["valid_1_a_1"]
    assert len(ct_rate(root, split="all")) == 4
    with pytest.raises(RecipeError, match=r"data\.split test: CT-RATE has train and validation"):
        ct_rate(root, split="test")


def test_sentences_are_sorted_by_the_organs_that_they_name(tmp_path: Path) -> None:
    """ViT3D-LLaMA3 does so with CT-RATE; the question asks for findings."""
    root = layouts.write_ct_rate(tmp_path)
    layouts.write_rows(
        root / "dataset/radiology_text_reports/train_reports.csv",
        ("VolumeName", "Findings_EN", "Impressions_EN"),
        [
            (
                "train_1_a_1.nii.gz",
                "The heart is enlarged. Both lungs are clear. There is a cyst in the liver. "
                "It measures 12 mm. The urinary bladder is empty.",
                "Hepatic cyst.",
            ),
            ("train_1_a_2.nii.gz", "Not given.", "Pleural effusion."),
            ("train_2_a_1.nii.gz", "Nothing of note.", "Not given."),
        ],
    )
    found = {r.name: dict(r.reports) for r in ct_rate(root, by_region=True, vqa=False)}
    assert found == {
        "train_1_a_1": {
            "chest": "The heart is enlarged. Both lungs are clear.",
            "abdomen": "There is a cyst in the liver. It measures 12 mm.",
            "pelvis": "The urinary bladder is empty.",
        },
        # Without findings, the whole text counts; without an organ, nothing is asked.
        "train_1_a_2": {"chest": "Pleural effusion."},
        "train_2_a_1": {},
    }


def test_ct_rate_v2_is_hu_already_and_v1_takes_the_metadata(tmp_path: Path) -> None:
    fixed = ct_rate(layouts.write_ct_rate(tmp_path / "v2"))[0]
    original = ct_rate(
        layouts.write_ct_rate(tmp_path / "v1", version="original"), version="original"
    )[0]
    true = layouts.scan(0)
    for record in (fixed, original):
        volume = read_scan(record.image, record.stored)
        # The v2 metadata also has the intercept -8192; applied, the scan would be all air.
        np.testing.assert_array_equal(volume.hu, true.hu)
        assert volume.spacing == pytest.approx((8.0, 5.0, 6.0))
        left = volume.index_to_ras((8, 12, 15))[0] - volume.index_to_ras((8, 12, 4))[0]
        assert left < 0, "the bright block lies on the patient's left"
    assert original.stored.intercept == -8192


def test_bimcv_r_is_split_by_patient(tmp_path: Path) -> None:
    root = layouts.write_bimcv_r(tmp_path, patients=60)

    def read(split: str) -> list[ScanRecord]:
        return read_records(BimcvRData(kind="bimcv_r", root=root, split=split))[0]

    train, test = read("train"), read("test")
    assert 1 <= len(test) <= 14
    assert len(train) + len(test) == 60
    assert not {r.patient for r in train} & {r.patient for r in test}
    assert train[0].reports["report"].startswith("Chest report")
    assert {r.name for r in read("test")} == {r.name for r in test}


def test_amos_mm(tmp_path: Path) -> None:
    root = layouts.write_amos_mm(tmp_path)
    train = read_records(AmosMmData(kind="amos_mm", root=root))[0]
    validation = read_records(AmosMmData(kind="amos_mm", root=root, split="validation"))[0]
    # amos_7008 lies in both archives and belongs to validation.
    assert [r.name for r in train] == ["amos_0001"]
    assert [r.name for r in validation] == ["amos_7008"]
    assert train[0].reports == {"abdomen": "Liver 0 normal.", "pelvis": "No fluid."}
    question = train[0].questions[0]
    assert (question.letter, question.answer) == ("B", "Spleen")
    assert train[0].image == root / "imagesTr/amos_0001.nii.gz"


def test_none_is_a_choice_and_an_answer(tmp_path: Path) -> None:
    amos = layouts.write_amos_mm(tmp_path / "amos")
    asked = read_records(AmosMmData(kind="amos_mm", root=amos))[0][0].questions[0]
    assert asked.choices == ("Liver", "Spleen", "Kidney", "None")
    m3d = layouts.write_m3d(tmp_path / "m3d")
    table = m3d / "M3D_VQA_train.csv"
    table.write_text(table.read_text().replace("sagittal,oblique,axial,A", "None,-,None,C"))
    records = read_records(M3dVqaData(kind="m3d_vqa", root=m3d, table=table))[0]
    short, choice = records[0].questions
    assert (short.answer, choice.answer, choice.letter) == ("None", "None", "C")
    assert choice.choices == ("axial", "coronal", "None", "-")
    root = layouts.write_ct_rate(tmp_path / "ct_rate")
    file = root / "dataset/vqa/train_vqa.json"
    file.write_text(file.read_text().replace("neither", "None").replace("Right.", "None."))
    file.write_text(file.read_text().replace("None.", "None"))
    _, short, choice = ct_rate(root)[0].questions
    assert short.answer == "None"
    assert choice.choices[3] == "None"


def test_a_question_has_no_empty_choice() -> None:
    with pytest.raises(ValueError, match="an empty choice: 'Where'"):
        Question("Where", "Left", "multiple_choice", choices=("Left", ""))


def test_m3d(tmp_path: Path) -> None:
    root = layouts.write_m3d(tmp_path)
    vqa = root / "M3D_VQA_train.csv"
    records = read_records(M3dCapData(kind="m3d_cap", root=root, vqa=vqa))[0]
    assert [r.reports["report"] for r in records] == ["A cyst 0.", "A cyst 1."]
    short, choice = records[0].questions
    assert (short.kind, short.answer) == ("short", "axial")
    assert choice.as_answered == "A. axial"
    asked = read_records(M3dVqaData(kind="m3d_vqa", root=root, table=vqa))[0]
    assert [(r.name, r.patient, r.reports) for r in asked] == [
        ("ct_case/000000/Axial", records[0].patient, {})
    ]
    array = np.load(records[0].image)[0]
    box = Box((8, 32, 32), (4, 16, 16), "minmax")
    placed, _ = place(read_scan(records[0].image, records[0].stored), box, unit=True)
    # At the box's size, an M3D array is kept as it is, neither flipped nor mirrored.
    np.testing.assert_allclose((placed + 1000) / 2000, array, atol=3e-4)


def test_a_table_with_patients_splits_and_labels(tmp_path: Path) -> None:
    file = tmp_path / "scans.csv"
    layouts.write_rows(
        file,
        ("image", "report", "patient", "split", "Emphysema"),
        [("a.nii.gz", "A.", "p", "train", 1), ("b.nii.gz", "B.", "q", "test", 0)],
    )
    both = read_records(TableData(kind="table", table=file, split="all"))[0]
    assert [(r.split, dict(r.labels)) for r in both] == [
        ("train", {"Emphysema": 1}),
        ("test", {"Emphysema": 0}),
    ]
    one = read_records(TableData(kind="table", table=file, split="test"))[0]
    assert [r.name for r in one] == ["b.nii.gz"]
    with pytest.raises(RecipeError, match="contains no scan; the splits are test, train"):
        read_records(TableData(kind="table", table=file, split="validation"))
    layouts.write_rows(file, ("image",), [("a.nii.gz",)])
    assert not read_records(TableData(kind="table", table=file, reports=False, split="all"))[0][
        0
    ].reports


def test_several_data_sets_are_one(tmp_path: Path) -> None:
    parts = (
        CtRateData(kind="ct_rate", root=layouts.write_ct_rate(tmp_path / "a")),
        AmosMmData(kind="amos_mm", root=layouts.write_amos_mm(tmp_path / "b"), limit=1),
    )
    records, _ = read_records(SeveralData(kind="several", parts=parts))
    assert [r.dataset for r in records] == ["ct_rate train_fixed"] * 3 + ["amos_mm"]


def test_an_unreadable_sample_is_an_error_or_skipped_and_listed(tmp_path: Path) -> None:
    root = layouts.write_bimcv_r(tmp_path)
    gone = sorted((root / "CT1/ct").iterdir())[0]
    gone.unlink()
    with pytest.raises(RecipeError, match=rf"{gone.name}: not in any CT\*/ct folder; .*skip"):
        read_records(BimcvRData(kind="bimcv_r", root=root, split="all"))
    data = BimcvRData(kind="bimcv_r", root=root, split="all", unreadable="skip")
    records, skips = read_records(data)
    assert len(records) == 11
    assert list(skips.found) == [f"bimcv_r {gone.name}"]


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("vqa/train_vqa.json", "train_vqa.json: not there; docs/datasets.md"),
        ("radiology_text_reports/train_reports.csv", "train_reports.csv: not there"),
        ("multi_abnormality_labels/train_predicted_labels.csv", "labels.csv: not there"),
    ],
)
def test_a_missing_file_is_named(tmp_path: Path, broken: str, message: str) -> None:
    (layouts.write_ct_rate(tmp_path) / "dataset" / broken).unlink()
    with pytest.raises(RecipeError, match=message):
        ct_rate(tmp_path)


def test_a_damaged_conversation_is_named(tmp_path: Path) -> None:
    file = layouts.write_ct_rate(tmp_path) / "dataset/vqa/train_vqa.json"
    items = json.loads(file.read_text())
    items[2]["conversations"][1]["value"] = "(z) outer space"
    file.write_text(json.dumps(items))
    with pytest.raises(RecipeError, match=r"train_vqa\.json item 2: not a conversation"):
        ct_rate(tmp_path)
    assert len(ct_rate(tmp_path, unreadable="skip")) == 3


@pytest.mark.parametrize("block", [3, 7, 64, 1 << 20])
def test_large_arrays_are_read_item_by_item(tmp_path: Path, block: int) -> None:
    items = [{"a": "x" * n, "b": [n, {"c": "ü]},["}]} for n in range(20)]
    file = tmp_path / "items.json"
    file.write_text(json.dumps(items, indent=1, ensure_ascii=False))
    assert list(iterate_json_array(file, block)) == items
    file.write_text(json.dumps(items)[:-30])
    with pytest.raises(RecipeError, match="damaged or cut off"):
        list(iterate_json_array(file, block))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4, 4), np.float32), r"expected \[1, D, H, W\]"),
        (np.full((1, 4, 4, 4), 300.0), "values from 300 to 300; expected 0 to 1"),
        (None, "not a readable .npy array"),
    ],
)
def test_a_bad_array_is_named(tmp_path: Path, array: np.ndarray | None, message: str) -> None:
    root = layouts.write_m3d(tmp_path)
    file = root / "M3D_Cap_npy/ct_case/000000/Axial.npy"
    if array is None:
        file.write_bytes(b"no array")
    else:
        np.save(file, array)
    record = read_records(M3dCapData(kind="m3d_cap", root=root))[0][0]
    with pytest.raises(CTReadError, match=message):
        read_scan(record.image, record.stored)


def test_skips_are_listed(tmp_path: Path) -> None:
    skips = Skips("skip")
    skips.add("scan, one", "damaged")
    skips.write(tmp_path / "skipped.csv")
    assert (tmp_path / "skipped.csv").read_text().splitlines() == [
        "name,reason",
        '"scan, one",damaged',
    ]
