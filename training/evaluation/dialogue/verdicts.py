"""Whether an answer is right, as far as rules can tell."""

from __future__ import annotations

import re
from typing import Final

from napari_ct_assistant.report_text.finding_mentions import affirmed_findings, findings_in
from napari_ct_assistant.report_text.refusals import is_refusal
from napari_ct_assistant.training.evaluation.dialogue.questions import Right, Truth

RIGHT: Final = "right"
PARTLY: Final = "partly"
WRONG: Final = "wrong"
DECLINED: Final = "declined"
UNCLEAR: Final = "not assessable"
VERDICTS: Final = (RIGHT, PARTLY, WRONG, DECLINED, UNCLEAR)

# German and Spanish too, in which two of the questions are asked. Not "No change in the nodule".
_LEADING: Final = re.compile(
    r"^\W*(?:(yes|ja|s[ií]|true|i agree)\b|"
    r"(?:no|nein|false|i disagree)\b(?=\W*$|\s*[.,;:!\u2013-]))",
    re.IGNORECASE,
)
_NORMAL: Final = re.compile(
    r"\b(?:normal|healthy|unremarkable|clear|nothing|no (?:abnormal|disease|finding))",
    re.IGNORECASE,
)


def verdict(right: Right, truth: Truth | None, answer: str) -> str:
    """Return one of `VERDICTS`.

    right: what the list says about the question; truth: what is right about the scan, None if
    that is unknown. "declined" is for a question that has an answer.
    """
    if truth is None:
        return UNCLEAR
    if right.declines:
        return RIGHT if is_refusal(answer) else WRONG
    if is_refusal(answer):
        return DECLINED
    if not answer.strip():
        return WRONG
    if right.says:
        return RIGHT if any(_says(answer, phrase) for phrase in right.says) else WRONG
    if truth.yes is not None:
        said = _yes(right, answer)
        return UNCLEAR if said is None else RIGHT if said == truth.yes else WRONG
    return _named(truth, answer)


def _named(truth: Truth, answer: str) -> str:
    present = set(truth.present or ())
    named = set(affirmed_findings(answer))
    false = named & set(truth.absent)
    if not present:
        return WRONG if false else RIGHT if _NORMAL.search(answer) else UNCLEAR
    hits = named & present
    if not hits:
        return WRONG
    whole = hits == present if truth.every else True
    return RIGHT if whole and not false else PARTLY


def _says(answer: str, phrase: str) -> bool:
    return re.search(rf"\b{re.escape(phrase)}\b", answer, re.IGNORECASE) is not None


def _yes(right: Right, answer: str) -> bool | None:
    """Return what an answer says to a yes/no question; None where it does not say it."""
    if found := _LEADING.match(answer):
        return found[1] is not None
    # A sentence about another finding is no answer.
    return findings_in(answer).get(right.finding) if right.finding else None
