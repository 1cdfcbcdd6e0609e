"""Numbered places: single ones, lists, ranges, and numbers that are none."""

from __future__ import annotations

import pytest

from napari_ct_assistant.report_text.counted_places import levels_of, without_levels


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Fracture of T4.", {"T4"}),
        ("Compression of T11 to L1.", {"T11", "T12", "L1"}),
        ("C7-T1 is narrowed.", {"C7", "T1"}),
        ("L4 to L2, T12 to T10.", {"L2", "L3", "L4", "T10", "T11", "T12"}),
        ("Fractures of the right 6-8th ribs.", {"rib 6", "rib 7", "rib 8"}),
        ("Fractures of ribs 7-5.", {"rib 5", "rib 6", "rib 7"}),
        ("Fractured ribs 3 months ago.", set()),
        ("The 1st rib and T2 weighted images.", {"rib 1", "T2"}),
        ("Compression of T4-T6 and L 2.", {"T4", "T5", "T6", "L2"}),
        ("Degeneration at L4-5.", {"L4", "L5"}),
        ("Fractures of the left fourth to sixth ribs.", {"rib 4", "rib 5", "rib 6"}),
        ("Fractures of the 2nd, 3rd and 7th ribs.", {"rib 2", "rib 3", "rib 7"}),
        ("Fractures of ribs 5, 6 and 8-10.", {f"rib {n}" for n in (5, 6, 8, 9, 10)}),
        ("The tenth lateral rib is broken.", {"rib 10"}),
        ("Segments IVa.", {"segment 4A"}),
        ("Station 7 node.", {"station 7"}),
        ("First, a 5 mm nodule is seen beside a rib.", set()),
        ("A lesion of the rib 12 mm long.", set()),
        ("The second scan shows 3 rib fractures.", set()),
    ],
)
def test_levels(text: str, expected: set[str]) -> None:
    assert levels_of(text) == expected


def test_their_numbers_count_nothing() -> None:
    left = without_levels("Two fractures of ribs 4 and 5 and of T4-T6.")
    assert not any(letter.isdigit() for letter in left)
    assert "Two fractures" in left
