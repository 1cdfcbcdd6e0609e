"""From what a model says to yes or no, or to the letter of a choice."""

from __future__ import annotations

import re

_WORD = re.compile(r"^\W*(yes|no)\b", re.IGNORECASE)
_ABSENT = re.compile(
    r"\b(no (evidence|sign|signs|indication|indications)|there (is|are) no|does not|do not|"
    r"doesn't|not (show|seen|visible|present|detected)|without|absence of)\b",
    re.IGNORECASE,
)
_PRESENT = re.compile(
    r"\b(there (is|are)|(image|scan|ct|it) shows?|is (seen|present|visible)|are (seen|present))\b",
    re.IGNORECASE,
)
_PREFIX = re.compile(
    r"^\W*(?:the\s+)?(?:correct\s+|right\s+)?(?:answer|choice|option)\s*(?:is\b)?\W*", re.IGNORECASE
)
# "B. left", "B", "(b)", "b)"; not "A nodule" and not "a cyst."
_LETTER = re.compile(r"^[^\w(]*(?:([A-H])(?:[.):,]|\W*$)|\(([A-Ha-h])\)|([a-h])(?:[.)]|$))")
# "Moderate (B)."
_LETTER_LAST = re.compile(r"\(([A-H])\)\W*$")
_SPACE = re.compile(r"\s+")


def yes_or_no(answer: str) -> bool | None:
    """Return what an answer to a yes/no question says; None where it says neither.

    Its first word decides; without "yes" or "no" in front, words that deny come before words
    that affirm ("The image does not show ..." is a no).
    """
    found = _WORD.match(answer)
    if found:
        return found[1].lower() == "yes"
    if _ABSENT.search(answer):
        return False
    return True if _PRESENT.search(answer) else None


def chosen_letter(answer: str, choices: tuple[str, ...]) -> str | None:
    """Return the letter (A, B, ...) of the choice that an answer names; None where it is unclear.

    A letter in front decides ("B. left", "(b)", "The answer is B."), or one in brackets at the
    end ("Left (B)."); else the one choice whose words stand in the answer.
    """
    letters = "ABCDEFGH"[: len(choices)] if choices else "ABCDEFGH"
    found = _LETTER.match(answer.strip()) or _LETTER.match(_PREFIX.sub("", answer).strip())
    found = found or _LETTER_LAST.search(answer)
    if found:
        letter = next(group for group in found.groups() if group).upper()
        if letter in letters:
            return letter
    said = same_text(answer)
    named = [
        letter
        for letter, choice in zip(letters, choices, strict=False)
        if re.search(rf"\b{re.escape(same_text(choice))}\b", said)
    ]
    return named[0] if len(named) == 1 else None


def same_text(text: str) -> str:
    """Return a text as it is compared: lower case, single spaces, no full stop at its end."""
    return _SPACE.sub(" ", text).strip().rstrip(".").lower()
