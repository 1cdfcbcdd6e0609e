"""AMOS-MM: abdominal CT with findings by region and multiple-choice questions.

    report_generation_train_val.json   {"training": [...], "validation": [...]}, each
        {"image": "./imagesTr/amos_0001.nii.gz",
         "labels": {"report": {"findings": {"chest", "abdomen", "pelvis"}, ...}}}
    vqa_train_val.json                 the same with labels.qa: [{"question",
         "options": {"A": ...}, "answer": "A", "type"}]

No patient numbers are published, so a case counts as a patient. Three cases are in both archives;
they belong to the validation set and are left out of training.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_ct_assistant.report_text.regions import REGIONS
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.data.datasets.files import Skips, find, read_json
from napari_ct_assistant.training.data.datasets.record import (
    Question,
    ScanRecord,
    one_line,
    patient_hash,
    single_spaced,
)
from napari_ct_assistant.training.data.datasets.specs import AmosMmData

NAME = "amos_mm"
_KEYS = {"train": "training", "validation": "validation"}


def read_amos_mm(data: AmosMmData, skips: Skips) -> list[ScanRecord]:
    """Return the cases of the report file, in its order."""
    splits = list(_KEYS) if data.split == "all" else [data.split]
    if unknown := [split for split in splits if split not in _KEYS]:
        raise RecipeError(f"data.split {unknown[0]}: AMOS-MM has train and validation")
    file = find(data.root, "report_generation_train_val.json")
    reports = _cases(file)
    asked: dict[str, Any] = {}
    if data.vqa:
        questions = _cases(find(data.root, "vqa_train_val.json"))
        asked = {_name(case): case for cases in questions.values() for case in cases}
    validation = {_name(case) for case in reports["validation"]}
    records = []
    for split in splits:
        for case in reports[_KEYS[split]]:
            name = _name(case)
            if split == "train" and name in validation:
                continue
            try:
                texts = _findings(case)
                questions_of = _questions(asked.get(name))
            except (KeyError, TypeError, AttributeError, ValueError) as error:
                skips.add(f"{file} {name}", f"not in the expected form ({error!r})")
                continue
            records.append(
                ScanRecord(
                    dataset=NAME,
                    name=name,
                    image=data.root / case["image"],
                    patient=patient_hash(NAME, name),
                    split=split,
                    reports=texts,
                    questions=questions_of,
                )
            )
    return records


def _cases(file: Path) -> dict[str, list[dict[str, Any]]]:
    content = read_json(file)
    if not isinstance(content, dict) or not all(
        isinstance(content.get(key), list)
        and all(isinstance(c, dict) and isinstance(c.get("image"), str) for c in content[key])
        for key in _KEYS.values()
    ):
        raise RecipeError(
            f"{file}: expected lists `training` and `validation` of cases with an `image`"
        )
    return {key: content[key] for key in _KEYS.values()}


def _name(case: dict[str, Any]) -> str:
    return Path(case["image"]).name.removesuffix(".gz").removesuffix(".nii")


def _findings(case: dict[str, Any]) -> dict[str, str]:
    """Return the findings by region; a region that was not scanned has none."""
    told = case["labels"]["report"]["findings"]
    texts = {region: one_line(told.get(region)) for region in REGIONS}
    return {region: text for region, text in texts.items() if text}


def _questions(case: dict[str, Any] | None) -> tuple[Question, ...]:
    if case is None:
        return ()
    questions = []
    for item in case["labels"]["qa"]:
        options = {letter: single_spaced(text) for letter, text in item["options"].items()}
        letter = item["answer"].strip()[:1]
        if letter not in options:
            raise ValueError(f"the answer {item['answer']!r} is none of {sorted(options)}")
        questions.append(
            Question(
                single_spaced(item["question"]),
                options[letter],
                "multiple_choice",
                choices=tuple(dict.fromkeys(filter(None, options.values()))),
            )
        )
    return tuple(questions)
