"""Explain, shorten or summarise a passage: the prompts, and checks of what the model wrote."""

from __future__ import annotations

import re
from typing import Final, Literal

from napari_ct_assistant.backends.model_info import ModelInfo
from napari_ct_assistant.report_text.finding_mentions import finding_statuses
from napari_ct_assistant.report_text.negation import has_negation
from napari_ct_assistant.report_text.questions import IMPRESSION_QUESTION, fill
from napari_ct_assistant.support.translation import N_, said

Rewriting = Literal["explain", "shorten", "impression"]

PROMPTS: Final[dict[Rewriting, str]] = {
    "explain": "Explain this part of the report in plain words: {text}",
    "shorten": "Shorten this part of the report without leaving out a finding: {text}",
    "impression": IMPRESSION_QUESTION.replace("{findings}", "{text}"),
}
_TASKS: Final[dict[Rewriting, str]] = {
    "explain": N_("explain text"),
    "shorten": N_("shorten text"),
    "impression": N_("summarise findings"),
}
MAX_CHARACTERS: Final[dict[Rewriting, int]] = {
    "explain": 1500,
    "shorten": 1500,
    "impression": 6000,  # all findings of a report
}
_NUMBER: Final = re.compile(r"\d+(?:[.,]\d+)?")
_WORD: Final = re.compile(r"[^\W\d_]{3,}")
# Words that change the meaning when they are left out or added.
_SIDES: Final = ("left", "right", "both", "bilateral")
_COMMON: Final = frozenset(
    ("and", "are", "but", "for", "from", "has", "have", "into", "its", "negative", "one", "seen",
     "than", "that", "the", "their", "there", "these", "this", "those", "two", "was", "were",
     "which", "with")
)  # fmt: skip


def prompt(kind: Rewriting, text: str) -> str:
    """Return the prompt that asks for a passage to be explained, shortened or summarised.

    Raises
    ------
    ValueError
        If the passage is empty or too long for one question.
    """
    text = " ".join(text.split())
    most = MAX_CHARACTERS[kind]
    if kind == "impression":
        if not text:
            raise ValueError(said("the report has no findings to summarise yet"))
        if len(text) > most:
            raise ValueError(
                said(
                    "the findings have {count} characters; the model takes at most {most}",
                    count=len(text),
                    most=most,
                )
            )
    elif not text:
        raise ValueError(said("select the text to {kind} first", kind=kind))
    elif len(text) > most:
        raise ValueError(
            said(
                "{count} characters are selected; select at most {most}", count=len(text), most=most
            )
        )
    return fill(PROMPTS[kind], text=text)


def rewriting_notes(kind: Rewriting, before: str, after: str, info: ModelInfo) -> list[str]:
    """Return what the reader must know about the model's text, one line each.

    The first line says whether the model was trained for the task at all. For a shorter version
    and an impression, others name each finding whose status changed, such as from denied to
    affirmed, and what was added or left out: findings, numbers, sides, negations, words. An
    impression may leave out anything.

    Parameters
    ----------
    kind : {"explain", "shorten", "impression"}
    before, after
        The passage, and what the model made of it.
    info : ModelInfo
    """
    found: list[str] = []
    if kind not in info.skills:
        found.append(
            said(
                "{model} was not trained to {task}; this text may be meaningless.",
                model=info.name,
                task=_TASKS[kind],
            )
        )
    if not after.strip():
        return [*found, said("The model wrote nothing.")]
    if kind == "explain":
        return found
    if kind == "shorten" and len(after.strip()) >= len(before.strip()):
        found.append(said("The text is not shorter."))
    whole = "findings" if kind == "impression" else "original"
    was, now = finding_statuses(before), finding_statuses(after)
    changed = [name for name in was if name in now and was[name] != now[name]]
    found += [f"{name}: {was[name]} in the {whole}, {now[name]} here." for name in changed]
    left_out = [name.lower() for name in was if was[name] == "affirmed" and name not in now]
    left_out += [n for n in _NUMBER.findall(before) if n not in _NUMBER.findall(after)]
    added = [n for n in _NUMBER.findall(after) if n not in _NUMBER.findall(before)]
    old, new = _words(before), _words(after)
    left_out += [word for word in _SIDES if word in old and word not in new]
    added += [word for word in _SIDES if word in new and word not in old]
    negated = has_negation(before), has_negation(after)
    if kind == "shorten" and not changed and negated[0] != negated[1]:
        (left_out if negated[0] else added).append("a negation")
    added += sorted(
        word
        for word in new - set(_SIDES) - _COMMON
        if not has_negation(word) and not any(_related(word, o) for o in old)
    )
    if left_out and kind == "shorten":
        found.append(f"Left out: {', '.join(dict.fromkeys(left_out))}.")
    if added:
        found.append(f"Not in the {whole}: {', '.join(dict.fromkeys(added))}.")
    return found


def _words(text: str) -> set[str]:
    return {word.lower() for word in _WORD.findall(text)}


def _related(one: str, other: str) -> bool:
    """Return whether two words are forms of one, such as "enlarged" and "enlargement"."""
    length = min(len(one), len(other), 5)
    return one[:length] == other[:length] and length >= 3
