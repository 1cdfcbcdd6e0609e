"""The list of questions, and what is right about a scan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.support.yaml_models import read_yaml

FILE = Path(__file__).with_name("questions.yaml")

About = Literal["scan", "general", "limits"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Right(_Strict):
    """What makes an answer right: exactly one of these; `questions.yaml` explains them."""

    finding: str | None = None
    none_of: tuple[str, ...] = ()
    named: Literal["every", "one"] | None = None
    says: tuple[str, ...] = ()
    declines: Literal[True] | None = None

    @model_validator(mode="after")
    def _check(self) -> Right:
        if len(self.model_dump(exclude_defaults=True)) != 1:
            raise ValueError("give exactly one of finding, none_of, named, says and declines")
        if unknown := {*self.none_of, *filter(None, [self.finding])} - set(FINDINGS):
            raise ValueError(f"none of the 18 findings: {', '.join(sorted(unknown))}")
        return self


class DialogueQuestion(_Strict):
    """A question unlike those of the training data."""

    ask: str = Field(min_length=1)
    about: About
    right: Right


@cache
def dialogue_questions() -> tuple[DialogueQuestion, ...]:
    """Return the published list of questions."""
    values = read_yaml(FILE).values
    return tuple(TypeAdapter(list[DialogueQuestion]).validate_python(values))


@dataclass(frozen=True)
class Truth:
    """What is right about one scan.

    Parameters
    ----------
    text
        For a reader.
    yes
        The right answer to a yes/no question.
    present, absent
        Findings that an answer may name, and may not.
    every
        Whether an answer must name all of `present`.
    """

    text: str
    yes: bool | None = None
    present: tuple[str, ...] | None = None
    absent: tuple[str, ...] = ()
    every: bool = False


def truth_about(right: Right, labels: Mapping[str, int]) -> Truth | None:
    """Return what is right about a scan with these labels; None if they do not decide it."""
    if right.says:
        return Truth(" or ".join(right.says[:2]))
    if right.declines:
        return Truth("cannot be told from a CT")
    if right.finding is not None:
        if right.finding not in labels:
            return None
        there = bool(labels[right.finding])
        return Truth(f"{'yes' if there else 'no'} ({right.finding.lower()})", yes=there)
    present = tuple(name for name, value in labels.items() if value)
    if right.none_of:
        if not set(right.none_of) <= labels.keys():
            return None
        found = [name for name in right.none_of if labels[name]]
        return Truth(f"no: {_listed(found)}" if found else "yes", yes=not found)
    if not labels:
        return None
    absent = tuple(name for name, value in labels.items() if not value)
    text = _listed(present) if present else "none of the labelled findings"
    return Truth(text, None, present, absent, right.named == "every")


def _listed(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(name.lower() for name in names)
