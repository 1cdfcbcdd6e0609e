"""Read an answer as yes or no, or as the letter of a choice."""

from __future__ import annotations

import re

from napari_ct_assistant.report_text.finding_mentions import finding_mentions
from napari_ct_assistant.report_text.negation import has_negation
from napari_ct_assistant.report_text.sentences import split_sentences

# "No." and "No, none", but not "No change in the nodule".
_WORD = re.compile(r"^\W*(?:(yes)\b|no\b(?=\W*$|\s*[.,;:!*\u2013-]))", re.IGNORECASE)
_PRESENT = re.compile(
    r"\b(?:there (?:is|are|was|were)|(?:image|scan|ct|it|study) (?:shows?|demonstrates|reveals)|"
    r"(?:is|are|was|were) (?:\w+ly |again |also )?(?:seen|present|visible|noted|observed|"
    r"identified|enlarged|thickened))\b",
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

    A leading "yes" or "no" decides. Without one, the first finding mentioned decides: denied
    means no; affirmed in a full sentence means yes; uncertain or historical means neither. If
    the answer mentions none of the 18 findings, any negation means no.
    """
    found = _WORD.match(answer)
    if found:
        return found[1] is not None
    statuses = (m.status for s in split_sentences(answer) for m in finding_mentions(s))
    status = next(statuses, "denied" if has_negation(answer) else "affirmed")
    if status == "denied":
        return False
    return True if status == "affirmed" and _PRESENT.search(answer) else None


def chosen_letter(answer: str, choices: tuple[str, ...]) -> str | None:
    """Return the letter (A, B, ...) of the choice that an answer names; None where it is unclear.

    A letter at the beginning ("B. left", "(b)", "The answer is B.") or in brackets at the end
    ("Left (B).") decides; without one, the only choice whose words the answer contains.
    """
    letters = "ABCDEFGH"[: len(choices)] if choices else "ABCDEFGH"
    found = _LETTER.match(answer.strip()) or _LETTER.match(_PREFIX.sub("", answer).strip())
    found = found or _LETTER_LAST.search(answer)
    if found:
        letter = next(group for group in found.groups() if group).upper()
        if letter in letters:
            return letter
    said = normalize_text(answer)
    named = [
        letter
        for letter, choice in zip(letters, choices, strict=False)
        if re.search(rf"\b{re.escape(normalize_text(choice))}\b", said)
    ]
    return named[0] if len(named) == 1 else None


def normalize_text(text: str) -> str:
    """Return a text for comparison: lower case, single spaces, no full stop at the end."""
    return _SPACE.sub(" ", text).strip().rstrip(".").lower()
