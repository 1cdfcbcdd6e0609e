"""Slices that a model names by their labels, and the image numbers that the viewer shows.

A model that is shown 85 of 275 slices calls the 27th "SLICE 27"; the scan's image 27 is another
one. Texts name both: "SLICE 27 (image 88)".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

# A number that measures something is no label: "slices 3 and 12 mm apart".
_NUMBER: Final = r"\d{1,4}\b(?!\s*(?:mm|cm|%|HU|\.\d))"
_RANGE: Final = r"\s*(?:-|–|to|through)\s*"
_LIST: Final = r"\s*(?:,\s*and|,|and|or|&|-|–|to|through)\s*"
_OF_IMAGE: Final = re.compile(r" \(images? [\d ,–to&and-]+\)")


def _pattern(word: str) -> re.Pattern[str]:
    words = "|".join(map(re.escape, dict.fromkeys((word.lower(), "slice", "image"))))
    return re.compile(
        rf"(?<!\()\b(?:(?:{words})s\s+(?P<several>{_NUMBER}(?:{_LIST}{_NUMBER})*)"
        rf"|(?:{words})\s+#?(?P<one>{_NUMBER}(?:{_RANGE}{_NUMBER})?))",
        re.IGNORECASE,
    )


def label_word(label: str) -> str:
    """Return the word of a preset's label: "SLICE" of "SLICE {number}"."""
    return label.partition("{number}")[0].strip(" #:") or "slice"


def with_image_numbers(text: str, shown: Sequence[int], word: str = "slice") -> str:
    """Return a text in which each named label is followed by the image's number.

    Parameters
    ----------
    text : str
    shown : sequence of int
        Indices of the slices from 0, in the order of their labels; () leaves the text as it is.
    word : str
        Of the labels.

    Returns
    -------
    str
        Labels that were not shown, and those that are the image's own number, stay alone.
    """
    if not shown or list(shown) == list(range(len(shown))):
        return text

    def told(match: re.Match[str]) -> str:
        numbers = match["several"] or match["one"]
        labels = [int(number) for number in re.findall(r"\d+", numbers)]
        told_already = text.startswith(" (image", match.end())
        if told_already or not all(1 <= label <= len(shown) for label in labels):
            return match[0]
        places = re.sub(r"\d+", lambda m: str(shown[int(m[0]) - 1] + 1), numbers)
        return f"{match[0]} (image{'s' if len(labels) > 1 else ''} {places})"

    return _pattern(word).sub(told, text)


def without_image_numbers(text: str) -> str:
    """Return a text as the model wrote it."""
    return _OF_IMAGE.sub("", text)
