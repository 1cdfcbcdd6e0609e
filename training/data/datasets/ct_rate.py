"""CT-RATE: chest CT with reports, 18 labels and questions (Hamamci et al. 2024).

    dataset/train_fixed/train_1/train_1_a/train_1_a_1.nii.gz      (v2; v1: dataset/train/...)
    dataset/radiology_text_reports/{train,validation}_reports.csv
    dataset/multi_abnormality_labels/{train,valid}_predicted_labels.csv
    dataset/metadata/{train,validation}_metadata.csv
    dataset/vqa/{train,valid}_vqa.json

The v2 files are already in HU. Applying the metadata's slope and intercept to them is the
best-known mistake with this data (CT-CLIP issue 50). The headers of v1 hold only defaults: slope,
intercept and spacing are in the metadata, and the axes run L, P, S.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.data.csv_rows import read_rows
from napari_ct_assistant.training.data.datasets.files import (
    Skips,
    find,
    iterate_json_array,
)
from napari_ct_assistant.training.data.datasets.record import (
    WHOLE,
    Kind,
    Question,
    ScanRecord,
    Stored,
    one_line,
    patient_hash,
    single_spaced,
)
from napari_ct_assistant.training.data.datasets.specs import CtRateData

NAME = "ct_rate"
_VOLUME = re.compile(r"^((train|valid)_\d+)_([a-z]+)_(\d+)\.nii\.gz$")
# The data set's two splits, with the short and the long form of their names in its paths.
_SPLITS = {"train": ("train", "train"), "validation": ("valid", "validation")}
_ID_KINDS: tuple[tuple[str, Kind], ...] = (
    ("long_answer", "free"),
    ("short_answer", "short"),
    ("multiple_choice", "multiple_choice"),
)


def read_ct_rate(data: CtRateData, skips: Skips) -> list[ScanRecord]:
    """Return the scans in the table of reports, in its order."""
    splits = list(_SPLITS) if data.split == "all" else [data.split]
    if unknown := [split for split in splits if split not in _SPLITS]:
        raise RecipeError(f"data.split {unknown[0]}: CT-RATE has train and validation")
    base = data.root / "dataset" if (data.root / "dataset").is_dir() else data.root
    return [record for split in splits for record in _read_split(base, split, data, skips)]


def _read_split(base: Path, split: str, data: CtRateData, skips: Skips) -> list[ScanRecord]:
    short, long = _SPLITS[split]
    folder = base / (f"{short}_fixed" if data.version == "fixed" else short)
    reports = find(base, f"radiology_text_reports/{long}_reports.csv")
    labels = _read_labels(find(base, f"multi_abnormality_labels/{short}_predicted_labels.csv"))
    stored = {}
    if data.version == "original":
        stored = _read_metadata(find(base, f"metadata/{long}_metadata.csv"))
    asked = _read_questions(find(base, f"vqa/{short}_vqa.json"), skips) if data.vqa else {}
    others = _not_chest(base, short)
    records = []
    for line, row in read_rows(reports, ("VolumeName", "Findings_EN", "Impressions_EN")):
        name = row["VolumeName"].strip()
        parts = _VOLUME.match(name)
        if parts is None or parts[2] != short:
            skips.add(f"{reports} line {line}", f"{name!r} is not a volume of split {split}")
            continue
        if name in others or (data.reconstructions == "first" and parts[4] != "1"):
            continue
        patient, scan = parts[1], f"{parts[1]}_{parts[3]}"
        if data.version == "original" and name not in stored:
            skips.add(f"{NAME} {name}", "not in the metadata, so slope and spacing are unknown")
            continue
        report = _report(row)
        records.append(
            ScanRecord(
                dataset=f"{NAME} {folder.name}",
                name=name.removesuffix(".nii.gz"),
                image=folder / patient / scan / name,
                patient=patient_hash(NAME, patient),
                split=split,
                reports={WHOLE: report} if report else {},
                labels=labels.get(name, {}),
                questions=tuple(asked.get(name, ())),
                stored=stored.get(name, Stored()),
            )
        )
    return records


def _report(row: dict[str, str]) -> str:
    findings, impression = one_line(row["Findings_EN"]), one_line(row["Impressions_EN"])
    told = [("Findings", findings), ("Impression", impression)]
    return " ".join(f"{title}: {text}" for title, text in told if text)


def _read_labels(file: Path) -> dict[str, dict[str, int]]:
    labels = {}
    for line, row in read_rows(file, ("VolumeName", *FINDINGS)):
        try:
            values = {finding: int(float(row[finding])) for finding in FINDINGS}
        except ValueError:
            raise RecipeError(f"{file} line {line}: a label is not a number") from None
        labels[row["VolumeName"].strip()] = values
    return labels


def _read_metadata(file: Path) -> dict[str, Stored]:
    """Return slope, intercept and spacing of v1, whose headers lack them (CT-CLIP issue 28)."""
    stored = {}
    needed = ("VolumeName", "XYSpacing", "ZSpacing", "RescaleSlope", "RescaleIntercept")
    for line, row in read_rows(file, needed):
        try:
            x, y = (float(v) for v in ast.literal_eval(row["XYSpacing"]))
            slope, intercept = float(row["RescaleSlope"]), float(row["RescaleIntercept"])
            spacing = (x, y, float(row["ZSpacing"]))
        except (ValueError, SyntaxError, TypeError):
            raise RecipeError(
                f"{file} line {line}: spacing, slope or intercept is not a number"
            ) from None
        stored[row["VolumeName"].strip()] = Stored("raw", slope, intercept, spacing)
    return stored


def _not_chest(base: Path, short: str) -> set[str]:
    """Return the volumes that the data set lists as not being chest scans."""
    for file in (f"metadata/no_chest_{short}.txt", f"no_chest_{short}.txt"):
        if (base / file).is_file():
            words = (base / file).read_text(encoding="utf-8").replace(",", " ").split()
            names = {Path(word.strip("'\"[]")).name for word in words}
            return {n if n.endswith(".nii.gz") else f"{n}.nii.gz" for n in names if n}
    return set()


def _read_questions(file: Path, skips: Skips) -> dict[str, list[Question]]:
    asked: dict[str, list[Question]] = {}
    for number, item in enumerate(iterate_json_array(file)):
        image = item.get("image") if isinstance(item, dict) else None
        if not image:
            continue  # a conversation without a scan
        try:
            asked.setdefault(Path(image).name, []).extend(read_conversation(item))
        except (KeyError, TypeError, ValueError) as error:
            skips.add(f"{file} item {number}", f"not a conversation in the expected form ({error})")
    return asked


def read_conversation(item: dict[str, Any]) -> list[Question]:
    """Return the questions of one item of CT-RATE's `vqa` files, without requests for reports.

    Raises
    ------
    ValueError, KeyError
        If turns do not alternate, or a multiple choice lists no choices.
    """
    turns = item["conversations"]
    questions = []
    for asked, told in zip(turns[::2], turns[1::2], strict=True):
        if (asked["from"], told["from"]) != ("human", "gpt"):
            raise ValueError("turns do not alternate")
        if "report_generation" in (asked.get("type") or "") + asked["value"] + str(item.get("id")):
            continue
        # "<image>\n... <long_answer>": these tags are for CT-CHAT and not part of the question.
        text = single_spaced(re.sub(r"<[a-z_]+>", " ", asked["value"]))
        answer = single_spaced(told["value"])
        if text and answer:
            questions.append(_question(text, answer, str(item.get("id")), asked.get("type") or ""))
    return questions


def _question(text: str, answer: str, name: str, type_: str) -> Question:
    kind: Kind = next((k for start, k in _ID_KINDS if name.startswith(start)), "free")
    if kind != "multiple_choice" and type_ != "multiple_choice":
        return Question(text, answer, kind)
    stem, *listed = re.split(r"\(([a-h])\)", text)
    choices = {
        letter: single_spaced(choice)
        for letter, choice in zip(listed[::2], listed[1::2], strict=True)
    }
    chosen = re.match(r"\(?([a-h])\b", answer)
    if len(choices) < 2 or chosen is None or chosen[1] not in choices:
        raise ValueError(f"choices {sorted(choices)} and answer {answer[:20]!r}")
    stem = re.sub(r"\s*Choices:?$", "", single_spaced(stem))
    return Question(
        stem, choices[chosen[1]], "multiple_choice", choices=tuple(dict.fromkeys(choices.values()))
    )
