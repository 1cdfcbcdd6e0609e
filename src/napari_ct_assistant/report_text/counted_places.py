"""Numbered places of the body in a text: vertebrae, ribs, segments and stations, with ranges."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from napari_ct_assistant.report_text.patterns import any_case

_TO: Final = r"\s*(?:-|\u2013|to|through)\s*"
# What a number counts that names no place.
_NO_SIZE: Final = r"(?!\s*(?:mm|cm|ml|%|x\b|\u00d7|days?|weeks?|months?|years?)|[.,]\d)"
_VERTEBRA: Final = re.compile(
    rf"\b([CTL])[ -]?(1[0-2]|[1-9])\b(?:{_TO}(?:([CTL])[ -]?)?(1[0-2]|[1-9])\b)?"
    rf"{_NO_SIZE}"
)
# Couinaud's segments of the liver are written in Roman numerals, too.
_ROMAN: Final = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x")
_SEGMENT: Final = any_case(
    rf"\b(segments?|stations?)\s+(\d{{1,2}}[a-z]?|(?:{'|'.join(_ROMAN)})[ab]?)\b"
)
_ORDINALS: Final = (
    "first", "second", "third", "fourth", "fifth", "sixth",
    "seventh", "eighth", "ninth", "tenth", "eleventh", "twelfth",
)  # fmt: skip
_NTH: Final = rf"(?:{'|'.join(_ORDINALS)}|1[0-2]th|1st|2nd|3rd|[4-9]th)"
_NUMBER: Final = r"(?:1[0-2]|[1-9])"
_BETWEEN: Final = rf"(?:\s*,\s*(?:and\s+|or\s+)?|\s*(?:and|or|&)\s*|{_TO})(?:the\s+)?"
# "6-8th ribs": the first number of a range goes without its ending.
_ONE: Final = rf"(?:{_NUMBER}(?={_TO}(?:the\s+)?{_NTH})|{_NTH})"
_COUNTED: Final = rf"{_NUMBER}\b{_NO_SIZE}"
_RIBS: Final = any_case(
    rf"\b({_ONE}(?:{_BETWEEN}{_ONE})*)\s+(?:(?:anterior|posterior|lateral|left|right)\s+)*ribs?\b",
    rf"\bribs?\s+(?:numbers?\s+)?({_COUNTED}(?:{_BETWEEN}{_COUNTED})*)",
)
_RIB: Final = any_case(rf"({_NTH}|{_NUMBER})")
# Of each part of the spine, in most patients.
_LAST: Final = {"C": 7, "T": 12}
_SPANS: Final = any_case(_TO.replace(r"\s*", r"^\s*", 1) + r"(?:the\s+)?$")


def levels_of(text: str) -> frozenset[str]:
    """Return the vertebrae ("T4"), ribs ("rib 5"), segments ("segment 4A") and stations of a text.

    A range names all that lie in it: "T4 to T6" is T4, T5 and T6.
    """
    levels = {name for found in _VERTEBRA.finditer(text) for name in _vertebrae(found)}
    levels |= {_numbered(*found) for found in _SEGMENT.findall(text)}
    for found in _RIBS.finditer(text):
        levels |= {f"rib {number}" for number in _ribs(found[1] or found[2])}
    return frozenset(levels)


def without_levels(text: str) -> str:
    """Return a text without the places that `levels_of` finds, whose numbers count nothing."""
    for pattern in (_VERTEBRA, _SEGMENT, _RIBS):
        text = pattern.sub(" ", text)
    return text


def _vertebrae(found: re.Match[str]) -> Iterator[str]:
    letter, first, last_letter, last = found.groups()
    if last is None:
        yield f"{letter}{first}"
    elif last_letter in (None, letter):
        low, high = sorted((int(first), int(last)))
        for number in range(low, high + 1):
            yield f"{letter}{number}"
    else:
        ends = sorted(((letter, int(first)), (last_letter, int(last))), key=_from_above)
        (upper, low), (lower, high) = ends
        for number in range(low, _LAST[upper] + 1):
            yield f"{upper}{number}"
        for number in range(1, high + 1):
            yield f"{lower}{number}"


def _from_above(vertebra: tuple[str, int]) -> tuple[int, int]:
    return "CTL".index(vertebra[0]), vertebra[1]


def _ribs(text: str) -> Iterator[int]:
    before: re.Match[str] | None = None
    for found in _RIB.finditer(text):
        number = _count(found[0].lower())
        first = number
        if before is not None and _SPANS.search(text[before.end() : found.start()]):
            first = _count(before[0].lower())
        low, high = sorted((first, number))
        yield from range(low, high + 1)
        before = found


def _count(word: str) -> int:
    return _ORDINALS.index(word) + 1 if word in _ORDINALS else int(re.sub(r"\D", "", word))


def _numbered(kind: str, number: str) -> str:
    """Return the name of a segment or station: "segment 4A" for "Segments IVa"."""
    digits = re.sub("^[ivx]+", lambda found: str(_ROMAN.index(found[0]) + 1), number.lower())
    return f"{kind.lower().rstrip('s')} {digits.upper()}"
