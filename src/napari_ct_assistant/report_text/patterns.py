"""Build regular expressions from readable phrases."""

from __future__ import annotations

import re


def one_of(*phrases: str) -> str:
    r"""Return the source of a pattern that matches any of the phrases, as whole words.

    A blank in a phrase matches any amount of white space. In a lookbehind, which must have a
    fixed length, and in a character class write `\s` instead.
    """
    return rf"\b(?:{'|'.join(phrases)})\b".replace(" ", r"\s+")


def any_case(*sources: str) -> re.Pattern[str]:
    """Compile a pattern that matches any of the sources, ignoring case."""
    return re.compile("|".join(sources), re.IGNORECASE)
