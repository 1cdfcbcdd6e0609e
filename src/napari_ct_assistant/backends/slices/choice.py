"""Which slices of a scan are shown to a model."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from napari_ct_assistant.support.translation import said

Rule = Literal["medgemma", "even", "even-floor"]
Order = Literal["head to feet", "feet to head"]


@dataclass(frozen=True)
class SliceRange:
    """Slices that the reader chose by hand, as the viewer numbers them: 1 is nearest the head.

    Attributes
    ----------
    first, last : int or None
        Image numbers of the ends, both included; None for the scan's.
    count : int or None
        How many slices at most; None for the preset's number.
    """

    first: int | None = None
    last: int | None = None
    count: int | None = None

    @classmethod
    def parse(cls, text: str, count: int | None = None) -> SliceRange:
        """Return the range of a text: "40-120", "40-", "-120" or "" for the whole scan.

        Raises
        ------
        ValueError
            If it is none of these.
        """
        match = re.fullmatch(r"\s*(\d*)\s*-\s*(\d*)\s*", text) if text.strip() else None
        if text.strip() and (match is None or not (match[1] or match[2])):
            raise ValueError(
                said(
                    "slices are {text}; give first and last image, such as 40-120", text=repr(text)
                )
            )
        first, last = (
            (int(part) if part else None for part in match.groups()) if match else (None,) * 2
        )
        return cls(first, last, count)

    def within(self, total: int) -> tuple[int, int]:
        """Return the indices (first, last) in a scan of `total` slices, counted from 0.

        Raises
        ------
        ValueError
            If the range is empty or reaches beyond the scan.
        """
        first = 1 if self.first is None else self.first
        last = total if self.last is None else self.last
        if not 1 <= first <= last <= total:
            raise ValueError(
                said(
                    "slices are {first}-{last}, and the scan has images 1 to {total}; give a "
                    "range within them",
                    first=first,
                    last=last,
                    total=total,
                )
            )
        if self.count is not None and self.count < 1:
            raise ValueError(
                said("the number of slices is {count}; give at least 1", count=self.count)
            )
        return first - 1, last - 1


WHOLE: Final = SliceRange()


def choose_slices(
    total: int,
    count: int,
    rule: Rule = "medgemma",
    order: Order = "head to feet",
    chosen: SliceRange = WHOLE,
) -> tuple[int, ...]:
    """Return the indices of the slices that are shown, in the order in which they are shown.

    Parameters
    ----------
    total : int
        Slices of the scan; index 0 is nearest the head.
    count : int
        How many are shown at most.
    rule : {"medgemma", "even", "even-floor"}
        What is taken of more than `count` slices:

        "medgemma"
            Element round(i/count * (n-1)), i = 1 to count, halves to the even number: MedGemma
            1.5's notebook. The first slice is never taken, the last always.
        "even"
            round(linspace(0, n-1, count)): CT-SpatialVQA's.
        "even-floor"
            linspace(0, n-1, count), rounded down: Hulu-Med's. Slices of a scan with fewer than
            `count` are repeated, so that `count` are always shown.
    order : {"head to feet", "feet to head"}
    chosen : SliceRange
        The reader's own choice; its count replaces `count`.

    Raises
    ------
    ValueError
        If the range does not lie within the scan.
    """
    first, last = chosen.within(total)
    wanted = count if chosen.count is None else chosen.count
    among = list(range(first, last + 1))
    if order == "feet to head":
        among.reverse()
    return tuple(among[i] for i in _RULES[rule](len(among), wanted))


def _medgemma(n: int, count: int) -> list[int]:
    if n <= count:
        return list(range(n))
    return [round(i / count * (n - 1)) for i in range(1, count + 1)]


def _even(n: int, count: int) -> list[int]:
    if n <= count:
        return list(range(n))
    return [int(i) for i in np.round(np.linspace(0, n - 1, count))]


def _even_floor(n: int, count: int) -> list[int]:
    return [int(i) for i in np.linspace(0, n - 1, count, dtype=int)]


_RULES: Final[Mapping[str, Callable[[int, int], list[int]]]] = {
    "medgemma": _medgemma,
    "even": _even,
    "even-floor": _even_floor,
}
