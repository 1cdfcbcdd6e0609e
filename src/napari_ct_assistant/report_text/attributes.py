"""What a statement says about a finding: side, lobe, level, degree, sizes and numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from napari_ct_assistant.report_text.counted_places import levels_of, without_levels
from napari_ct_assistant.report_text.finding_mentions import side_of
from napari_ct_assistant.report_text.patterns import any_case, one_of

_LOBE: Final = any_case(
    r"\b(upper|middle|lower)(?:\s*(?:,|and|or|/)\s*(?:the\s+)?(upper|middle|lower))*"
    r"\s+(?:lobes?|zones?|lung\s+fields?)\b",
    r"\blingula\w*",
)
_WHICH: Final = re.compile(r"upper|middle|lower", re.IGNORECASE)
# RUL, RML, RLL, LUL and LLL, as radiologists write them.
_SHORT: Final = re.compile(r"\b(R[UML]L|L[UL]L)\b")
_PARTS: Final = {"U": "upper", "M": "middle", "L": "lower"}
# From little to much; what lies in one row says the same.
_DEGREES: Final[tuple[tuple[str, re.Pattern[str]], ...]] = (
    (
        "small or mild",
        any_case(one_of("minimal|trace|tiny|small|mild(?:ly)?|slight(?:ly)?|discrete")),
    ),
    ("moderate", any_case(one_of("moderate(?:ly)?|medium-sized|medium"))),
    (
        "large or severe",
        any_case(one_of("severe(?:ly)?|marked(?:ly)?|large|massive|extensive|advanced|huge")),
    ),
)
_NUMBER: Final = r"\d+(?:[.,]\d+)?"
_SIZE: Final = re.compile(
    rf"({_NUMBER})(?:\s*(?:mm|cm)?\s*(?:x|\u00d7|by)\s*({_NUMBER}))?"
    rf"(?:\s*(?:mm|cm)?\s*(?:x|\u00d7|by)\s*({_NUMBER}))?(?:\s*|-)(mm|cm)\b",
    re.IGNORECASE,
)
_PLACE: Final = any_case(r"\b(?:images?|slices?|im\.|series|no\.)\s*#?\d+(?:\s*(?:to|-)\s*\d+)?")
_COUNT: Final = re.compile(rf"(?<![\w.,-]){_NUMBER}(?![\w-])")
_WORDS: Final = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_COUNT_WORD: Final = any_case(one_of(*_WORDS))
_AMOUNTS: Final[tuple[tuple[str, re.Pattern[str]], ...]] = (
    ("one", any_case(one_of("solitary|single"))),
    ("several", any_case(one_of("multiple|several|numerous|innumerable|many|few|multifocal"))),
)
_MUCH: Final = r"(?:\s+(?:pronounced|marked|prominent|severe|extensive))?"
_MORE: Final = rf"(?:greater|larger|bigger|worse|higher|more{_MUCH})"
_LESS: Final = rf"(?:smaller|lower|better|less{_MUCH})"
_SIDE: Final = r"(left|right)(?:[- ]sided?)?"
# Not "no larger than", and not "larger than the right lower lobe nodule".
_BETWEEN: Final = r"(?:\s+(?!no\b|not\b)\w+){0,3}?\s+"
_ALONE: Final = r"\b(?!\s+(?:upper|middle|lower|lobe|lung|hil|base|apex|kidney|atri|ventric))"
_THAN: Final = rf"\s+than\s+(?:on\s+|in\s+)?(?:the\s+)?{_SIDE}{_ALONE}"
# Not "has become larger on the right", which compares with an earlier scan.
_SINCE: Final = r"(?<!become )(?<!became )(?<!now )(?<!grown )"
# "Right greater than left", "the right effusion is larger than the left", "right > left".
_COMPARED: Final = any_case(rf"\b{_SIDE}{_BETWEEN}{_MORE}{_THAN}", rf"\b{_SIDE}\s*>\s*{_SIDE}\b")
_LESS_COMPARED: Final = any_case(
    rf"\b{_SIDE}{_BETWEEN}{_LESS}{_THAN}", rf"\b{_SIDE}\s*<\s*{_SIDE}\b"
)
_MORE_ON: Final = any_case(
    rf"\b{_SINCE}(?:greater|larger|bigger|more{_MUCH})\s+(?:on|in)\s+the\s+{_SIDE}{_ALONE}"
)
_LESS_ON: Final = any_case(
    rf"\b{_SINCE}(?:smaller|less{_MUCH})\s+(?:on|in)\s+the\s+{_SIDE}{_ALONE}"
)
_ANY_NUMBER: Final = rf"(?:{'|'.join(_WORDS)}|one|eleven|twelve|eighteen|{_NUMBER})"
# "Follow-up in three months" and "two prior scans" count no findings.
_INTERVAL: Final = any_case(
    rf"\b{_ANY_NUMBER}(?:\s*(?:-|to|or)\s*{_ANY_NUMBER})?"
    r"[\s-]*(?:(?:more\s+)?(?:days?|weeks?|months?|years?|hours?|minutes?)"
    r"|(?:(?:most\s+)?(?:prior|previous|earlier|recent|old(?:er)?)\s+)?"
    r"(?:priors?|examinations?|exams?|scans?|stud(?:y|ies)|cts?|views?|phases?))\b"
)


@dataclass(frozen=True)
class Length:
    """A length in mm, and half of the last digit that was written: 1.5 cm is 15 +- 0.5 mm."""

    mm: float
    half_digit_mm: float

    def agrees(self, other: Length) -> bool:
        """Say whether both may be one length, rounded differently."""
        return abs(self.mm - other.mm) <= max(self.half_digit_mm, other.half_digit_mm) + 1e-6

    def __str__(self) -> str:
        return f"{self.mm:g} mm"


@dataclass(frozen=True)
class Attributes:
    """What a text says besides naming a finding; each field is empty where it says nothing.

    Attributes
    ----------
    sides : of "left", "right"
    lobes : of "upper", "middle", "lower", "lingula"
    levels : vertebrae ("T4"), ribs ("rib 5"), segments ("segment 6") and lymph node stations
    degrees : of "small or mild", "moderate", "large or severe"
    sizes : lengths in mm
    numbers : other numbers, such as a count ("two") or HU
    amounts : of "one" ("a solitary nodule") and "several"
    larger : of "left", "right": where there is more than on the other side
    """

    sides: frozenset[str] = frozenset()
    lobes: frozenset[str] = frozenset()
    levels: frozenset[str] = frozenset()
    degrees: frozenset[str] = frozenset()
    sizes: tuple[Length, ...] = ()
    numbers: frozenset[float] = frozenset()
    amounts: frozenset[str] = frozenset()
    larger: frozenset[str] = frozenset()


def attributes_of(text: str) -> Attributes:
    """Return the attributes that a text names."""
    side = side_of(text)
    sides = {"left", "right"} if side == "both" else {side} if side else set()
    larger = frozenset(_larger_sides(text))
    if larger:
        sides = {"left", "right"}
    lobes: set[str] = set()
    for found in _LOBE.finditer(text):
        lobes |= {part.lower() for part in _WHICH.findall(found[0])} or {"lingula"}
    for short in _SHORT.findall(text):
        sides.add("right" if short[0] == "R" else "left")
        lobes.add(_PARTS[short[1]])
    without_sizes = _INTERVAL.sub(" ", _SIZE.sub(" ", text))
    rest = _PLACE.sub(" ", without_levels(without_sizes))
    numbers = {_value(number) for number in _COUNT.findall(rest)}
    words = {float(_WORDS.index(word.lower()) + 2) for word in _COUNT_WORD.findall(rest)}
    amounts = {name for name, pattern in _AMOUNTS if pattern.search(rest)}
    if words:
        amounts.add("several")
    return Attributes(
        frozenset(sides),
        frozenset(lobes),
        levels_of(without_sizes),
        frozenset(name for name, pattern in _DEGREES if pattern.search(text)),
        lengths_in(text),
        frozenset(numbers | words),
        frozenset(amounts),
        larger,
    )


def _larger_sides(text: str) -> Iterator[str]:
    for pattern, more in ((_COMPARED, True), (_LESS_COMPARED, False)):
        for found in pattern.findall(text):
            here, there = (side.lower() for side in found if side)
            if here != there:
                yield here if more else there
    yield from (side.lower() for side in _MORE_ON.findall(text))
    yield from ("left" if side.lower() == "right" else "right" for side in _LESS_ON.findall(text))


def lengths_in(text: str) -> tuple[Length, ...]:
    """Return the lengths in a text in mm, in order: "1.4 x 1.1 cm" gives 14 mm and 11 mm."""
    found = []
    for *numbers, unit in _SIZE.findall(text):
        scale = 10.0 if unit.lower() == "cm" else 1.0
        for number in filter(None, numbers):
            digits = len(re.split("[.,]", number)[1]) if re.search("[.,]", number) else 0
            found.append(Length(round(_value(number) * scale, 6), scale * 0.5 * 10**-digits))
    return tuple(found)


def _value(number: str) -> float:
    return float(number.replace(",", "."))
