"""The answers of one model on disk, one JSON line each, written as they are given.

An answer depends on the image and the question alone, so it is kept under these two: one log
serves the model's own figures, those of another patient's image, and those without an image.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_ct_assistant.support import atomic
from napari_ct_assistant.support.jsonl import JsonLines
from napari_ct_assistant.training.config.errors import RecipeError

NO_IMAGE = "none"  # key of the image whose tokens are all zero

AnswerKey = tuple[str, str]  # image, question


@dataclass(frozen=True)
class ModelAnswer:
    """A model's answer.

    Parameters
    ----------
    text
    sections
        {section: text} of a report.
    probability
        Of "Yes" against "No", for a finding's question.
    margin
        In place of text and probability: a score by which scans can be ordered, of a model that
        does not say from where on a finding is there.
    """

    text: str
    sections: dict[str, str] | None = None
    probability: float | None = None
    margin: float | None = None


class AnswerLog:
    """All answers of one evaluation; an interrupted one continues after the last whole line.

    Parameters
    ----------
    folder : Path
    identity : dict
        What the answers depend on: model, data set, settings.

    Attributes
    ----------
    answers : dict
        {(image, question): ModelAnswer}
    unreadable : list of str
        Scans that could not be read and were skipped.

    Raises
    ------
    RecipeError
        If the folder holds answers of another model, data set or settings.
    BrokenLogError
        If a line that is not the last one is damaged.
    """

    def __init__(self, folder: Path, identity: dict[str, Any]):
        self.answers: dict[AnswerKey, ModelAnswer] = {}
        self.unreadable: list[str] = []
        folder.mkdir(parents=True, exist_ok=True)
        _check_identity(folder, identity)
        self._lines = JsonLines(folder / "answers.jsonl")
        for row in self._lines.read():
            self.answers[row["image"], row["question"]] = ModelAnswer(
                row["answer"], row.get("sections"), row.get("probability"), row.get("margin")
            )

    def add(self, key: AnswerKey, answer: ModelAnswer) -> None:
        """Keep one answer, in memory and on disk."""
        row: dict[str, Any] = {"image": key[0], "question": key[1], "answer": answer.text}
        if answer.sections is not None:
            row["sections"] = answer.sections
        if answer.probability is not None:
            row["probability"] = answer.probability
        if answer.margin is not None:
            row["margin"] = answer.margin
        self._lines.append(row)
        self.answers[key] = answer


def _check_identity(folder: Path, identity: dict[str, Any]) -> None:
    """Write what the folder's answers depend on, or compare it with what is written."""
    file = folder / "run.json"
    if not file.exists():
        atomic.write_text(file, json.dumps(identity, indent=2) + "\n")
        return
    known = json.loads(file.read_text(encoding="utf-8"))
    for name, value in identity.items():
        if known.get(name) != value:
            raise RecipeError(
                f"{folder}: holds an evaluation of another {name.replace('_', ' ')} "
                f"({known.get(name)!r}, now {value!r}); give another --out"
            )
