"""Answers in which a model says that it cannot answer."""

from __future__ import annotations

import re
from typing import Final

_REFUSAL: Final = re.compile(
    r"\b(?:i|we) (?:can(?:no|')t|can not|could(?:n't| not)|am (?:unable|not able) to|"
    r"are (?:unable|not able) to) "
    r"(?:tell|say|answer|determine|assess|judge|see|evaluate|identify)\b|"
    r"^(?:this|that|it)? ?(?:cannot|can't|can not) be "
    r"(?:determined|answered|assessed|told|said|judged|evaluated)\b|"
    r"^i do(?:n't| not) know\b|^(?:unable|not able) to (?:tell|say|answer|determine|assess)\b",
    re.IGNORECASE,
)


def is_refusal(answer: str) -> bool:
    """Return whether an answer says that the question cannot be answered.

    Such an answer is about no place in the scan.
    """
    return _REFUSAL.search(answer.strip().replace("\u2019", "'")) is not None
