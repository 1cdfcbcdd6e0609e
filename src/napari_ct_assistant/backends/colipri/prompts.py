"""Findings as pairs of texts. Importing this module brings no torch."""

from __future__ import annotations

from typing import Final

# Words for the left and the right side, for the test of the axes.
SIDES: Final[tuple[tuple[str, str], ...]] = tuple(
    (f"Left {words}", f"Right {words}")
    for words in (
        "pleural effusion present",
        "lung consolidation present",
        "lung nodule present",
        "lung atelectasis present",
    )
)


def pair(finding: str) -> tuple[str, str]:
    """Return the texts that deny and affirm a finding, in the form of COLIPRI's page.

    Always one pair for each finding: a further text would change both scores.
    """
    words = " ".join(finding.split()).rstrip(".")
    if words[:1].isupper() and not words[1:2].isupper():
        words = words[:1].lower() + words[1:]
    return f"No {words} present", f"{words[:1].upper()}{words[1:]} present"
