"""What a model is asked, word for word, in training as in reading."""

from __future__ import annotations

from typing import Final

REPORT_QUESTION: Final = "Write the radiology report of this chest CT."
# The report in two steps: what is seen is read off the scan, what it amounts to off what was
# written. A model that is unsure of a degree so says the same in both.
FINDINGS_QUESTION: Final = "Describe the findings of this chest CT."
IMPRESSION_QUESTION: Final = "Sum up these findings as an impression: {findings}"
FINDINGS_THEN_IMPRESSION: Final = {
    "Findings": FINDINGS_QUESTION,
    "Impression": IMPRESSION_QUESTION,
}
FINDING_QUESTION: Final = "Does this image show signs of {finding}?"  # E3D-GPT's diagnosis
