"""M3D-Cap and M3D-VQA: images and captions of a teaching site (Bai et al. 2024).

    M3D_Cap.json        {"train": [{"image": "M3D_Cap_npy/ct_case/000006/Axial.npy",
                                    "text": ".../text.txt"}], "validation": [...], "test": [...]}
    M3D_VQA_train.csv   Image Path, Question Type, Question, Choice A ... Choice D, Answer,
                        Answer Choice

Images are the .npy files that M3D's script writes: [1, D, H, W] from 0 to 1. They have no HU, no
spacing and no certain orientation, so left and right are unknown. A case counts as a patient.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.data.csv_rows import read_rows
from napari_ct_assistant.training.data.datasets.files import Skips, find, read_json
from napari_ct_assistant.training.data.datasets.record import (
    WHOLE,
    Question,
    ScanRecord,
    Stored,
    one_line,
    patient_hash,
    single_spaced,
)
from napari_ct_assistant.training.data.datasets.specs import M3dCapData, M3dVqaData

NAME = "m3d"
_SPLITS = ("train", "validation", "test")
_COLUMNS = ("Image Path", "Question", "Answer", "Answer Choice")
_CHOICES = ("Choice A", "Choice B", "Choice C", "Choice D")


def read_m3d_cap(data: M3dCapData, skips: Skips) -> list[ScanRecord]:
    """Return the images of M3D_Cap.json with captions and, if the recipe names them, questions."""
    file = find(data.root, "M3D_Cap.json", "M3D_Cap_npy/M3D_Cap.json")
    content = read_json(file)
    splits = list(_SPLITS) if data.split == "all" else [data.split]
    asked = _read_questions(data.vqa, skips) if data.vqa else {}
    records = []
    for split in splits:
        items = content.get(split) if isinstance(content, dict) else None
        if not isinstance(items, list):
            raise RecipeError(f"{file}: expected a list {split!r}")
        for number, item in enumerate(items):
            try:
                image, text = item["image"], _locate(data.root, item["text"])
                report = caption(text.read_text(encoding="utf-8"))
            except (KeyError, TypeError):
                skips.add(f"{file} {split} {number}", "no image and text")
                continue
            except (OSError, UnicodeDecodeError) as error:
                skips.add(f"{NAME} {item['image']}", f"its text cannot be read ({error})")
                continue
            if not report:
                skips.add(f"{NAME} {image}", "its text is empty")
                continue
            questions = tuple(asked.get(_place(image), ()))
            records.append(_record(data.root, image, split, report, questions))
    return records


def read_m3d_vqa(data: M3dVqaData, skips: Skips) -> list[ScanRecord]:
    """Return the images of M3D-VQA's CSV, with its questions."""
    return [
        _record(data.root, place, data.split, "", tuple(questions))
        for place, questions in _read_questions(data.table, skips).items()
    ]


def caption(text: str) -> str:
    """Return the findings of a case: the part after "study_findings:", or the whole text."""
    found = re.search(r"study_findings:(.*?)(?:\bdiscussion:|\Z)", text, re.DOTALL | re.IGNORECASE)
    return one_line(found[1] if found and found[1].strip() else text)


def _record(
    root: Path, image: str, split: str, report: str, questions: tuple[Question, ...]
) -> ScanRecord:
    return ScanRecord(
        dataset=NAME,
        name=_place(image).removesuffix(".npy"),
        image=_locate(root, image),
        patient=patient_hash(NAME, str(PurePosixPath(_place(image)).parent)),
        split=split,
        reports={WHOLE: report} if report else {},
        questions=questions,
        stored=Stored("unit"),
    )


def _place(path: str) -> str:
    """Return archive/case/file, the part of a path that is the same in M3D-Cap and M3D-VQA."""
    return "/".join(PurePosixPath(path.strip().replace("\\", "/")).parts[-3:])


def _locate(root: Path, path: str) -> Path:
    for choice in (root / path.strip(), root / "M3D_Cap_npy" / path.strip()):
        if choice.exists():
            return choice
    return root / path.strip()


def _read_questions(table: Path, skips: Skips) -> dict[str, list[Question]]:
    asked: dict[str, list[Question]] = {}
    for line, row in read_rows(table, (*_COLUMNS, *_CHOICES)):
        question, answer = single_spaced(row["Question"]), single_spaced(row["Answer"])
        choices = tuple(single_spaced(row[name]) for name in _CHOICES)
        letter = row["Answer Choice"].strip()[:1]
        if letter not in tuple("ABCD") or not question or not answer:
            skips.add(f"{table} line {line}", f"no question with an answer A to D ({letter!r})")
            continue
        right = choices["ABCD".index(letter)]
        if not right:
            skips.add(f"{table} line {line}", f"choice {letter} is empty")
            continue
        listed = asked.setdefault(_place(row["Image Path"]), [])
        # Each row gives an open and a multiple-choice question (M3D's `VQADataset`).
        listed.append(Question(question, answer, "short"))
        listed.append(
            Question(
                question,
                right,
                "multiple_choice",
                choices=tuple(dict.fromkeys(filter(None, choices))),
            )
        )
    return asked
