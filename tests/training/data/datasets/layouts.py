"""Tiny data sets in the published layouts of the real ones."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from nibabel import Nifti1Image
from numpy.typing import NDArray

from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.volume import CTVolume, write_nifti


def scan(seed: int, shape: tuple[int, int, int] = (16, 24, 20)) -> CTVolume:
    """A body of water in air, 8 x 5 x 6 mm, with a bright block on the patient's left."""
    rng = np.random.default_rng(seed)
    hu = np.full(shape, -1000, np.int16)
    hu[:, 4:-4, 3:-3] = rng.integers(-20, 60, (shape[0], shape[1] - 8, shape[2] - 6))
    hu[6:10, 10:14, 14:16] = 700
    affine = np.array([[0, 0, -6.0, 60], [0, -5.0, 0, 60], [-8.0, 0, 0, 60], [0, 0, 0, 1]])
    return CTVolume(hu, affine)


def write_rows(file: Path, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Write a CSV with its folder."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows])


def write_json(file: Path, content: Any) -> None:
    """Write JSON with its folder."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content), encoding="utf-8")


def write_scan(file: Path, seed: int) -> None:
    """Write a scan as NIfTI with its folder."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_nifti(scan(seed), file)


CT_RATE = {
    "train": ("train_1_a_1", "train_1_a_2", "train_2_a_1", "train_3_a_1"),
    "valid": ("valid_1_a_1",),
}
# From the data set's own metadata table, the columns that matter and some that do not.
METADATA = ("VolumeName", "Manufacturer", "Rows", "XYSpacing", "RescaleIntercept", "RescaleSlope")


def write_ct_rate(root: Path, *, version: str = "fixed") -> Path:
    """CT-RATE: three training patients, one of them brain (no_chest), one of validation."""
    base = root / "dataset"
    for short, names in CT_RATE.items():
        long = {"train": "train", "valid": "validation"}[short]
        for number, name in enumerate(names):
            patient, scan_name = name.rsplit("_", 2)[0], name.rsplit("_", 1)[0]
            folder = base / (f"{short}_fixed" if version == "fixed" else short)
            file = folder / patient / scan_name / f"{name}.nii.gz"
            seed = number + (50 if short == "valid" else 0)
            if version == "fixed":
                write_scan(file, seed)
            else:
                write_raw(file, scan(seed).hu)
        volumes = [f"{name}.nii.gz" for name in names]
        write_rows(
            base / f"radiology_text_reports/{long}_reports.csv",
            (
                "VolumeName",
                "ClinicalInformation_EN",
                "Technique_EN",
                "Findings_EN",
                "Impressions_EN",
            ),
            [
                (v, "Not given.", "Non-contrast.", f"Heart size is normal.\nNodule {v}.", "Nodule.")
                for v in volumes
            ],
        )
        write_rows(
            base / f"multi_abnormality_labels/{short}_predicted_labels.csv",
            ("VolumeName", *FINDINGS),
            [(v, *(int(name == "Lung nodule") for name in FINDINGS)) for v in volumes],
        )
        write_rows(
            base / f"metadata/{long}_metadata.csv",
            (*METADATA, "NumberofSlices", "ZSpacing", "StudyDate"),
            [(v, "Maker", 24, "[6.0, 5.0]", -8192, 1, 16, 8.0, "20200101") for v in volumes],
        )
        write_json(base / f"vqa/{short}_vqa.json", [c for v in volumes for c in conversations(v)])
    (base / "metadata/no_chest_train.txt").write_text("train_3_a_1.nii.gz\n")
    return root


def write_raw(file: Path, hu: NDArray[np.int16]) -> None:
    """A v1 file: its stored numbers are HU after the metadata's intercept of -8192.

    Axes L, P, S, and a header that says nothing true: 1 mm, slope 1, intercept 0.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    stored = hu[::-1].transpose(2, 1, 0).astype(np.int32) + 8192
    Nifti1Image(stored, np.eye(4)).to_filename(file)


def conversations(volume: str) -> list[dict[str, Any]]:
    """The kinds of items of CT-RATE's vqa files."""

    def item(name: str, asked: str, told: str, kind: str) -> dict[str, Any]:
        turns = [
            {"from": "human", "value": asked, "type": kind},
            {"from": "gpt", "value": told},
        ]
        return {"id": name, "image": volume, "conversations": turns}

    choices = "(a) left lung (b) right lung (c) both (d) neither"
    return [
        item("long_answer_0", "<image>\nWhat is seen?<long_answer>", "A nodule.", "free_response"),
        item("short_answer_1", "<image>\nWhich lung? <short_answer>", "Right.", "short"),
        item(
            "multiple_choice_2",
            f"<image>\nWhere? {choices}<multiple_choice>",
            "(b) right lung",
            "multiple_choice",
        ),
        item(
            "report_generation_3",
            "<image>\nWrite the report.<report_generation>",
            "Findings: ...",
            "report_generation",
        ),
        {"id": "text_only_4", "conversations": []},
    ]


def write_bimcv_r(root: Path, patients: int = 12) -> Path:
    """BIMCV-R: scans of several patients in several archives' folders."""
    rows = []
    for number in range(patients):
        name = f"sub-S{number:05d}_ses-E1_run-2_bp-chest_ct.nii.gz"
        if number < 2:
            write_scan(root / f"CT{number + 1}/ct/{name}", number)
        else:
            file = root / f"CT1/ct/{name}"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        rows.append((f"/data/CT/ct/{name}", "Informe.", f"Chest report {number}.", "['nodule']"))
    write_rows(
        root / "meta/curated_ct_report_path_En.csv", ("path", "Report", "Report_en", "labels"), rows
    )
    return root


def write_amos_mm(root: Path) -> Path:
    """AMOS-MM: two training cases and a validation case that is in both archives."""
    names = {"training": ("imagesTr/amos_0001", "imagesTr/amos_7008"), "validation": ()}
    names["validation"] = ("imagesVa/amos_7008",)
    texts: dict[str, Any] = {"licence": "CC BY-NC-SA"}
    asked: dict[str, Any] = {}
    for part, cases in names.items():
        texts[part], asked[part] = [], []
        for number, name in enumerate(cases):
            write_scan(root / f"{name}.nii.gz", 10 + number)
            image = {"image": f"./{name}.nii.gz", "meta": {"sex": "F"}}
            findings = {"chest": "", "abdomen": f"Liver {number} normal.", "pelvis": "No fluid."}
            texts[part].append({**image, "labels": {"report": {"findings": findings}}})
            qa = {
                "question": "Which organ is enlarged?",
                "options": {"A": "Liver", "B": "Spleen", "C": "Kidney", "D": "None"},
                "answer": "B",
                "type": "presence",
            }
            asked[part].append({**image, "labels": {"qa": [qa]}})
    write_json(root / "report_generation_train_val.json", texts)
    write_json(root / "vqa_train_val.json", asked)
    return root


def write_m3d(root: Path) -> Path:
    """M3D-Cap and M3D-VQA: arrays as M3D's script writes them."""
    rng = np.random.default_rng(0)
    listed: dict[str, list[dict[str, str]]] = {"train": [], "validation": [], "test": []}
    for number, split in enumerate(("train", "train", "test")):
        case = f"M3D_Cap_npy/ct_case/00000{number}"
        (root / case).mkdir(parents=True)
        np.save(root / case / "Axial.npy", rng.random((1, 8, 32, 32), dtype=np.float32))
        (root / case / "text.txt").write_text(
            f"study_findings: A cyst {number}.\n\ndiscussion: Cysts are common."
        )
        listed[split].append({"image": f"{case}/Axial.npy", "text": f"{case}/text.txt"})
    write_json(root / "M3D_Cap.json", listed)
    header = ("Image Path", "Text", "Question Type", "Question", "Choice A", "Choice B")
    row = ("M3D_Cap_npy/ct_case/000000/Axial.npy", "", 1, "Which plane?", "axial", "coronal")
    write_rows(
        root / "M3D_VQA_train.csv",
        (*header, "Choice C", "Choice D", "Answer", "Answer Choice"),
        [(*row, "sagittal", "oblique", "axial", "A")],
    )
    return root
