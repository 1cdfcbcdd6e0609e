"""A report's sentences, and what in them is denied: NegEx's idea in a page.

A trigger ("no", "without", "no evidence of") denies what follows it up to the end of its
clause, "and"-lists and commas included; a few deny what stands before them ("... is not seen").
What cannot be excluded or is suspected is neither affirmed nor denied.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Status = Literal["affirmed", "denied", "uncertain"]

_ABBREVIATIONS = r"(?:e\.g|i\.e|approx|dr|vs|ca|cf|no|fig|max|min|resp|sp|st)\."
_END = re.compile(r"(?<=[.!?;])\s+(?=[A-Z0-9(\"'])|\s*[\r\n]+\s*(?:[-*•]\s*)?")

# "no change" denies no finding; "no longer than" measures.
_PSEUDO = (
    r"no\s+(?:significant\s+|interval\s+|definite\s+|marked\s+)*(?:change|increase|decrease|"
    r"progression|difference)s?\b|not\s+(?:only|necessarily)\b|no\s+longer\s+than\b|"
    r"not\s+significantly\s+changed\b|without\s+(?:significant\s+|interval\s+)?change\b"
)
_BEFORE = re.compile(
    rf"(?P<pseudo>{_PSEUDO})|\b(?:no|not|without|nor|neither|absent|absence\s+of|negative\s+for|"
    r"free\s+of|clear\s+of|resolution\s+of)\b",
    re.IGNORECASE,
)
_AFTER = re.compile(
    r"\b(?:(?:is|are|was|were|has|have|could|can)\s+)?(?:not|never)\s+(?:been\s+|be\s+)?"
    r"(?:seen|observed|detected|identified|found|visualized|visualised|noted|present|evident|"
    r"demonstrated|enlarged)\b|\b(?:is|are|was|were)\s+(?:absent|excluded|ruled\s+out|"
    r"(?:now\s+)?resolved)\b|\b(?:has|have)\s+(?:now\s+)?resolved\b",
    re.IGNORECASE,
)
_UNCERTAIN = re.compile(
    r"\b(?:cannot|can\s*not|can't|could\s+not)\s+be\s+(?:excluded|ruled\s+out)|\bsuspicious\b|"
    r"\bsuspected\b|\bpossible\b|\bpossibly\b|\bprobable\b|\bquestionable\b|\brule\s+out\b|"
    r"\bmay\s+(?:represent|be)\b|\bdifferential\b",
    re.IGNORECASE,
)
# Where what a trigger denies ends.
_CLAUSE_END = re.compile(
    r";|:|\bbut\b|\bhowever\b|\balthough\b|\bthough\b|\bexcept\b|\bapart\s+from\b|\bother\s+than\b|"
    r"\bwhereas\b|\bwhile\b|,\s*(?:there\s+(?:is|are)|a|an|the|with)\s",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Mention:
    """A term in a sentence: where, and whether it is affirmed, denied or uncertain."""

    start: int
    end: int
    status: Status


def split_sentences(text: str) -> list[str]:
    """Return the sentences of a report; "1.5 cm" and "e.g." end none, a new line does."""
    guarded = re.sub(
        rf"\b{_ABBREVIATIONS}(?=\s)", lambda m: m[0][:-1] + "\0", text, flags=re.IGNORECASE
    )
    parts = (part.replace("\0", ".").strip(" \t-*•") for part in _END.split(guarded))
    return [part for part in parts if re.search(r"\w", part)]


def find_mentions(sentence: str, term: re.Pattern[str]) -> list[Mention]:
    """Return where a term stands in a sentence and whether it is denied there."""
    return [Mention(*m.span(), _status(sentence, *m.span())) for m in term.finditer(sentence)]


def _status(sentence: str, start: int, end: int) -> Status:
    before, after = sentence[:start], sentence[end:]
    clause_start = max((m.end() for m in _CLAUSE_END.finditer(before)), default=0)
    found = _CLAUSE_END.search(after)
    clause_after = after[: found.start() if found else len(after)]
    clause = before[clause_start:] + sentence[start:end] + clause_after
    if _UNCERTAIN.search(clause):
        return "uncertain"
    # "Effusion was not seen, nodules are": that "not" looks back; a "not" in the term's own
    # words ("heart is not enlarged") denies it.
    forward = _AFTER.sub("", before[clause_start:]) + sentence[start:end]
    if any(not trigger["pseudo"] for trigger in _BEFORE.finditer(forward)):
        return "denied"
    return "denied" if _AFTER.search(clause_after.split(",")[0]) else "affirmed"
