"""Generated questions on disk: JSONL, a line for each answered request, checked both ways."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from napari_ct_assistant.support.jsonl import JsonLines
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.data.datasets.record import Kind, Question, ScanRecord


class GeneratedQuestion(BaseModel):
    """One question of a line; the same rules as `Question`."""

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
            raise ValueError(f"choices must be several and differ: {self.choices}")
        return self

    def as_question(self) -> Question:
        """Return it as a data set's question."""
        return Question(self.question, self.answer, self.kind, self.finding, self.choices)


class Row(BaseModel):
    """What was generated from one report by one prompt.

    key: digest of the report's text, the prompt and the model; dataset, name: the scan.
    """

    model_config = ConfigDict(extra="forbid")

    key: str
    dataset: str
    name: str
    model: str
    questions: tuple[GeneratedQuestion, ...]
    tokens_in: int = Field(0, ge=0)
    tokens_out: int = Field(0, ge=0)


def read_rows(file: Path) -> Iterator[Row]:
    """Yield the lines of a file.

    Raises
    ------
    RecipeError
        If the file is absent or a line is not a row; it names file and line. A last line
        without its end, as a kill leaves it, is passed over.
    """
    if not file.exists():
        raise RecipeError(f"{file}: no such file; `ct-assistant instructions` writes it")
    for number, line in JsonLines(file).lines():
        try:
            yield Row.model_validate_json(line)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"])) or "line"
            raise RecipeError(f"{file} line {number}: {where}: {first['msg']}") from None


def done_lines(file: Path) -> set[tuple[str, str, str]]:
    """Return key, data set and name of each line; a line cut off by a kill is removed."""
    if not file.exists():
        return set()
    JsonLines(file).repair()
    return {(row.key, row.dataset, row.name) for row in read_rows(file)}


def append(file: Path, row: Row) -> None:
    """Add a line, whole."""
    JsonLines(file).append(row.model_dump(exclude_defaults=True))


def add_questions(records: Sequence[ScanRecord], files: Iterable[Path]) -> list[ScanRecord]:
    """Return the records with what was generated for them.

    Raises
    ------
    RecipeError
        If no line of a file is about any of the records: another data set's, most likely.
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
