"""Explaining, shortening, summing up a passage: what is asked, and how the answer is checked."""

from __future__ import annotations

import re
from typing import Final, Literal

from napari_ct_assistant.assistant.reading.results import ModelInfo
from napari_ct_assistant.report_text.finding_mentions import finding_statuses
from napari_ct_assistant.report_text.negation import has_negation
from napari_ct_assistant.report_text.questions import IMPRESSION_QUESTION

Rewriting = Literal["explain", "shorten", "impression"]

PROMPTS: Final[dict[Rewriting, str]] = {
    "explain": "Explain this part of the report in plain words: {text}",
    "shorten": "Shorten this part of the report without leaving out a finding: {text}",
    "impression": IMPRESSION_QUESTION.replace("{findings}", "{text}"),
}
_TASKS: Final[dict[Rewriting, str]] = {
    "explain": "explain text",
    "shorten": "shorten text",
    "impression": "sum up findings",
}
MAX_CHARACTERS: Final[dict[Rewriting, int]] = {
    "explain": 1500,
    "shorten": 1500,
    "impression": 6000,  # all findings of a report
}
_NUMBER: Final = re.compile(r"\d+(?:[.,]\d+)?")
_WORD: Final = re.compile(r"[^\W\d_]{3,}")
# What changes the meaning when it goes missing or comes in.
_SIDES: Final = ("left", "right", "both", "bilateral")
_COMMON: Final = frozenset(
    ("and", "are", "but", "for", "from", "has", "have", "into", "its", "negative", "one", "seen",
     "than", "that", "the", "their", "there", "these", "this", "those", "two", "was", "were",
     "which", "with")
)  # fmt: skip


def prompt(kind: Rewriting, text: str) -> str:
    """Return the question that asks for a passage to be explained, shortened or summed up.

    Raises
    ------
    ValueError
        If the passage is empty or too long for one question.
    """
    text = " ".join(text.split())
    most = MAX_CHARACTERS[kind]
    if kind == "impression":
        if not text:
            raise ValueError("the report has no findings to sum up yet")
        if len(text) > most:
            raise ValueError(f"the findings have {len(text)} characters, the model takes {most}")
    elif not text:
        raise ValueError(f"select the text to {kind} first")
    elif len(text) > most:
        raise ValueError(f"{len(text)} characters are selected; select at most {most}")
    return PROMPTS[kind].format(text=text)


def doubts(kind: Rewriting, before: str, after: str, info: ModelInfo) -> list[str]:
    """Return what the reader must know about the model's words, one line each.

    First, whether the model was taught the task at all: few are. For a shorter version and an
    impression also each finding that changed from denied to affirmed or the like, and what was
    lost or made up: findings, numbers, sides, negations, words. An impression may leave out.
    """
    found = []
    if kind not in info.skills:
        found.append(f"{info.name} was not taught to {_TASKS[kind]}: this may have no meaning.")
    if not after.strip():
        return [*found, "The model wrote nothing."]
    if kind == "explain":
        return found
    if kind == "shorten" and len(after.strip()) >= len(before.strip()):
        found.append("It is not shorter.")
    whole = "findings" if kind == "impression" else "original"
    was, now = finding_statuses(before), finding_statuses(after)
    changed = [name for name in was if name in now and was[name] != now[name]]
    found += [f"{name}: {was[name]} in the {whole}, {now[name]} here." for name in changed]
    lost = [name.lower() for name in was if was[name] == "affirmed" and name not in now]
    lost += [n for n in _NUMBER.findall(before) if n not in _NUMBER.findall(after)]
    made = [n for n in _NUMBER.findall(after) if n not in _NUMBER.findall(before)]
    old, new = _words(before), _words(after)
    lost += [word for word in _SIDES if word in old and word not in new]
    made += [word for word in _SIDES if word in new and word not in old]
    negated = has_negation(before), has_negation(after)
    if kind == "shorten" and not changed and negated[0] != negated[1]:
        (lost if negated[0] else made).append("a negation")
    made += sorted(
        word
        for word in new - set(_SIDES) - _COMMON
        if not has_negation(word) and not any(_akin(word, o) for o in old)
    )
    if lost and kind == "shorten":
        found.append(f"It leaves out: {', '.join(dict.fromkeys(lost))}.")
    if made:
        do = "findings do" if kind == "impression" else "original does"
        found.append(f"The {do} not say: {', '.join(dict.fromkeys(made))}.")
    return found


def _words(text: str) -> set[str]:
    return {word.lower() for word in _WORD.findall(text)}


def _akin(one: str, other: str) -> bool:
    """Say whether two words are forms of one: "enlarged" and "enlargement"."""
    length = min(len(one), len(other), 5)
    return one[:length] == other[:length] and length >= 3
