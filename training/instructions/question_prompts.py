"""The prompt that asks a language model for questions about a report, and how to parse it."""

from __future__ import annotations

import hashlib
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from napari_ct_assistant.training.data.datasets.record import Kind
from napari_ct_assistant.training.instructions.rows import GeneratedQuestion

SYSTEM = (
    "You write training questions for a model that reads CT volumes. You are given the report of "
    "one scan; the model will see the scan and never the report. Ask only what the report answers "
    "and what can be seen on the scan. Do not mention the report, the patient's history, earlier "
    "scans, dates or names. Answer with JSON alone."
)
_TASKS: dict[Kind, str] = {
    "free": "Write {count} open questions with answers of one to three sentences: about findings, "
    "their place, size and number, and what is normal.",
    "short": "Write {count} questions with answers of one to five words: about place, side, size, "
    "number or degree.",
    "multiple_choice": "Write {count} multiple-choice questions, each with four different choices "
    "of which exactly one is right; `answer` is the text of the right choice.",
    "yes_no": "Write {count} questions to be answered with `Yes.` or `No.`, as many of the one as "
    "of the other.",
}
_FORM = (
    'Form: {{"questions": [{{"question": "...", "answer": "..."{choices}}}]}}\n\nReport:\n{report}'
)


class _QuestionItem(BaseModel):
    model_config = ConfigDict(extra="ignore", str_strip_whitespace=True)

    question: str = Field(min_length=3)
    answer: str = Field(min_length=1)
    choices: tuple[str, ...] = ()


class QuestionList(BaseModel):
    """The JSON object that the language model must answer with."""

    model_config = ConfigDict(extra="ignore")

    questions: list[_QuestionItem] = Field(min_length=1)


def messages(report: str, kind: Kind, count: int) -> list[dict[str, str]]:
    """Return the chat that asks for `count` questions of one kind about a report."""
    choices = ', "choices": ["...", "...", "...", "..."]' if kind == "multiple_choice" else ""
    task = _TASKS[kind].format(count=count)
    form = _FORM.format(choices=choices, report=report)
    return [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": f"{task}\n{form}"},
    ]


def answer_schema(kind: Kind) -> dict[str, Any]:
    """Return the JSON schema of the answer, for servers that enforce one."""
    item: dict[str, Any] = {"question": {"type": "string"}, "answer": {"type": "string"}}
    if kind == "multiple_choice":
        item["choices"] = {
            "type": "array",
            "items": {"type": "string"},
            "minItems": 4,
            "maxItems": 4,
        }
    one = {
        "type": "object",
        "properties": item,
        "required": list(item),
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {"questions": {"type": "array", "items": one}},
        "required": ["questions"],
        "additionalProperties": False,
    }


def request_key(report: str, kind: Kind, count: int, model: str) -> str:
    """Return the id of a request: a digest of the whole chat and the model."""
    chat = messages(report, kind, count)
    return hashlib.sha256(repr((chat, model)).encode()).hexdigest()[:32]


def read_answer(text: str, kind: Kind) -> tuple[list[GeneratedQuestion], list[str]]:
    """Parse an answer into its usable questions, and the reasons why others are not usable.

    Raises
    ------
    ValueError
        If the answer is not the requested JSON, or none of its questions is usable.
    """
    # Some servers wrap JSON in a Markdown fence even if told not to.
    text = text.strip().removeprefix("```json").removeprefix("```").removesuffix("```")
    items = QuestionList.model_validate_json(text).questions
    kept: list[GeneratedQuestion] = []
    refused: list[str] = []
    for item in items:
        try:
            kept.append(_checked(item, kind))
        except ValueError as error:
            refused.append(str(error).splitlines()[0])
    if not kept:
        raise ValueError(f"none of {len(refused)} questions is usable: {refused[0]}")
    return kept, refused


def _checked(item: _QuestionItem, kind: Kind) -> GeneratedQuestion:
    if "report" in item.question.lower():
        raise ValueError("asks about the report, which the model does not see")
    if kind == "yes_no" and item.answer.rstrip(".").lower() not in ("yes", "no"):
        raise ValueError("is not answered with yes or no")
    answer = item.answer
    if kind == "yes_no":
        answer = item.answer.rstrip(".").capitalize() + "."
    choices = item.choices if kind == "multiple_choice" else ()
    if kind == "multiple_choice" and answer not in choices and len(answer) <= 2:
        # Accept "B" or "B." for the second choice.
        place = "ABCDEFGH".find(answer[0].upper())
        answer = choices[place] if 0 <= place < len(choices) else answer
    return GeneratedQuestion(question=item.question, answer=answer, kind=kind, choices=choices)
