"""The questions that models are asked, word for word, in training and in use."""

from __future__ import annotations

import re
from typing import Final

REPORT_QUESTION: Final = "Write the radiology report of this chest CT."
# The report in two steps: the findings come from the scan, the impression from the findings as
# written. Where the model is unsure of a degree, both then give the same.
FINDINGS_QUESTION: Final = "Describe the findings of this chest CT."
IMPRESSION_QUESTION: Final = "Sum up these findings as an impression: {findings}"
FINDINGS_THEN_IMPRESSION: Final = {
    "Findings": FINDINGS_QUESTION,
    "Impression": IMPRESSION_QUESTION,
}
# Scans of a data set may show any part of the body.
SCAN_REPORT_QUESTION: Final = "Write the radiology report of this CT scan."
SCAN_FINDINGS_THEN_IMPRESSION: Final = {
    "Findings": "Describe the findings of this CT scan.",
    "Impression": IMPRESSION_QUESTION,
}
FINDING_QUESTION: Final = "Does this image show signs of {finding}?"  # E3D-GPT's diagnosis
CHOICES_QUESTION: Final = "{question} Choices: {choices}"  # M3D's; choices get A., B., ...

_SLOT: Final = re.compile(r"\{([^{}]*)\}")


def is_finding_question(question: str) -> bool:
    """Return whether a question has the words of `FINDING_QUESTION`."""
    before, after = FINDING_QUESTION.lower().split("{finding}")
    text = question.lower()
    return text.startswith(before) and text.endswith(after)


def is_choices_question(question: str) -> bool:
    """Return whether a question has the form of `CHOICES_QUESTION`."""
    return " Choices: A. " in question


def fill(form: str, **values: str) -> str:
    """Return a form with its slots, such as {finding}, replaced by values.

    Values are taken as they are, and a slot without a value stays. Python's own formatting is
    not used: in a form from elsewhere, {finding:>100000000} would fill the memory.
    """
    return _SLOT.sub(lambda slot: values.get(slot[1], slot[0]), form)
