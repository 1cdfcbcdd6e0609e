"""Regular expressions out of phrases that can be read."""

from __future__ import annotations

import re


def one_of(*phrases: str) -> str:
    r"""Return the source of a pattern for any of some phrases, as whole words.

    A blank in a phrase matches any white space. Within a lookbehind, whose length is fixed,
    write `\s`; within a character class too.
    """
    return rf"\b(?:{'|'.join(phrases)})\b".replace(" ", r"\s+")


def any_case(*sources: str) -> re.Pattern[str]:
    """Compile alternatives, upper and lower case alike."""
    return re.compile("|".join(sources), re.IGNORECASE)
