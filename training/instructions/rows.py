"""Generated questions on disk: one JSON line per scan and request, validated when read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from napari_ct_assistant.support.jsonl import JsonLines
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.data.datasets.record import Kind, Question, ScanRecord


class GeneratedQuestion(BaseModel):
    """One generated question; the rules of `Question` apply."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    question: str = Field(min_length=3, max_length=2000)
    answer: str = Field(min_length=1, max_length=8000)
    kind: Kind
    finding: str | None = None
    choices: tuple[str, ...] = Field((), max_length=8)

    @model_validator(mode="after")
    def _choices_hold_the_answer(self) -> GeneratedQuestion:
        self.as_question()
        if len(set(self.choices)) != len(self.choices) or len(self.choices) == 1:
            raise ValueError(f"choices: {self.choices}; give two or more different ones")
        return self

    def as_question(self) -> Question:
        """Convert to a question of a data set."""
        return Question(self.question, self.answer, self.kind, self.finding, self.choices)


class GeneratedRow(BaseModel):
    """The questions that one request generated for one scan.

    Parameters
    ----------
    key
        Digest of the prompt, with the report in it, and the model.
    dataset, name
        The scan.
    model
        The language model, or "templates".
    questions
    tokens_in, tokens_out
        Cost of the request.
    """

    model_config = ConfigDict(extra="forbid")

    key: str
    dataset: str
    name: str
    model: str
    questions: tuple[GeneratedQuestion, ...]
    tokens_in: int = Field(0, ge=0)
    tokens_out: int = Field(0, ge=0)


def read_rows(file: Path) -> Iterator[GeneratedRow]:
    """Yield the rows of a file; a last line that a kill cut off is skipped.

    Raises
    ------
    RecipeError
        If the file is absent, or a line is not a valid row. The message names file and line.
    """
    if not file.exists():
        raise RecipeError(f"{file}: no such file; `ct-assistant instructions` writes it")
    for number, line in JsonLines(file).lines():
        try:
            yield GeneratedRow.model_validate_json(line)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"])) or "line"
            raise RecipeError(f"{file} line {number}: {where}: {first['msg']}") from None


def done_lines(file: Path) -> set[tuple[str, str, str]]:
    """Return (key, data set, name) of each row; a last line that a kill cut off is removed."""
    if not file.exists():
        return set()
    JsonLines(file).repair()
    return {(row.key, row.dataset, row.name) for row in read_rows(file)}


def append(file: Path, row: GeneratedRow) -> None:
    """Append a row."""
    JsonLines(file).append(row.model_dump(exclude_defaults=True))


def add_questions(records: Sequence[ScanRecord], files: Iterable[Path]) -> list[ScanRecord]:
    """Return the records with the questions that were generated for them.

    Raises
    ------
    RecipeError
        If none of a file's lines is about any of the records: most likely it belongs to
        another data set.
    """
    generated: dict[tuple[str, str], list[Question]] = {}
    known = {(record.dataset, record.name) for record in records}
    for file in files:
        matched = rows = 0
        for row in read_rows(file):
            rows += 1
            if (row.dataset, row.name) in known:
                matched += 1
                listed = generated.setdefault((row.dataset, row.name), [])
                listed += [question.as_question() for question in row.questions]
        if not matched:
            raise RecipeError(f"{file}: none of its {rows} lines is about a scan of this data")
    return [
        replace(r, questions=(*r.questions, *generated.get((r.dataset, r.name), ())))
        for r in records
    ]
