"""Sides, lobes, levels, degrees, sizes and numbers, as reports write them."""

from __future__ import annotations

import pytest

from napari_ct_assistant.report_text.attributes import Length, attributes_of, lengths_in


@pytest.mark.parametrize(
    ("text", "field", "expected"),
    [
        ("Nodule in the left lower lobe", "sides", {"left"}),
        ("Bilateral pleural effusions", "sides", {"left", "right"}),
        ("Nodule in the RML", "sides", {"right"}),
        ("The heart is enlarged", "sides", set()),
        ("Nodule in the left lower lobe", "lobes", {"lower"}),
        ("Opacities in the right upper and middle lobes", "lobes", {"upper", "middle"}),
        ("Atelectasis of the lingula", "lobes", {"lingula"}),
        ("Nodule in the RML", "lobes", {"middle"}),
        ("Large lower paratracheal node", "lobes", set()),
        ("Fracture of T4 and L1", "levels", {"T4", "L1"}),
        ("Nodule in segment 6", "levels", {"segment 6"}),
        ("Enlarged node of station 4R", "levels", {"station 4R"}),
        ("Lesion in segment IVa of the liver", "levels", {"segment 4A"}),
        ("Cysts in segments VIII", "levels", {"segment 8"}),
        ("The segment is clear", "levels", set()),
        ("Mild cardiomegaly", "degrees", {"small or mild"}),
        ("Mild to moderate effusion", "degrees", {"small or mild", "moderate"}),
        ("Massive effusion", "degrees", {"large or severe"}),
        ("Three nodules of 4 mm", "numbers", {3.0}),
        ("A nodule, see image 84", "numbers", set()),
        ("Attenuation of 35 HU", "numbers", {35.0}),
        ("Fracture of T4", "numbers", set()),
    ],
)
def test_what_a_text_names(text: str, field: str, expected: set[str]) -> None:
    assert set(getattr(attributes_of(text), field)) == expected


@pytest.mark.parametrize(
    ("text", "mm"),
    [
        ("A 9-mm nodule", [9]),
        ("a nodule of 1.5 cm", [15]),
        ("14 x 11 mm", [14, 11]),
        ("14 mm x 11 mm x 9 mm", [14, 11, 9]),
        ("1,4 \u00d7 1,1 cm", [14, 11]),
        ("in 5 months", []),
        ("-20 HU", []),
    ],
)
def test_lengths(text: str, mm: list[float]) -> None:
    assert [length.mm for length in lengths_in(text)] == mm


@pytest.mark.parametrize(
    ("one", "other", "agree"),
    [
        ("1.5 cm", "15 mm", True),
        ("14 mm", "14.4 mm", True),
        ("1.5 cm", "14.6 mm", True),
        ("1.5 cm", "16 mm", False),
        ("8 mm", "9 mm", False),
        ("2 cm", "18 mm", True),
    ],
)
def test_rounding_is_no_difference(one: str, other: str, agree: bool) -> None:
    (a,), (b,) = lengths_in(one), lengths_in(other)
    assert a.agrees(b) is agree
    assert b.agrees(a) is agree
    assert str(Length(14.0, 0.5)) == "14 mm"


@pytest.mark.parametrize(
    ("text", "side"),
    [
        ("Bilateral pleural effusions, right greater than left.", "right"),
        ("The left pleural effusion is larger than the right.", "left"),
        ("Effusions, right < left.", "left"),
        ("Atelectasis, more pronounced on the left.", "left"),
        ("Effusion, less in the right than in the left hemithorax.", "left"),
        ("A larger nodule on the right.", ""),
        ("The right lung is clear. Left nodule larger than before.", ""),
        ("Consolidation is worse in the right lower lobe.", ""),
        ("The nodule has become larger on the right.", ""),
        ("Right upper lobe nodule larger than the right lower lobe nodule.", ""),
        ("The right effusion is no larger than the left.", ""),
        ("The right effusion is not larger than the left.", ""),
    ],
)
def test_the_side_with_more(text: str, side: str) -> None:
    found = attributes_of(text)
    assert found.larger == ({side} if side else set())
    if side:
        assert found.sides == {"left", "right"}


@pytest.mark.parametrize(
    ("text", "amounts"),
    [
        ("Solitary nodule.", {"one"}),
        ("Two nodules.", {"several"}),
        ("Innumerable nodules, a single one of 9 mm.", {"one", "several"}),
        ("A nodule of 2 mm.", set()),
        ("Nodule; follow-up CT in three months.", set()),
        ("Nodule, unchanged from two prior examinations.", set()),
        ("Control in six to twelve months.", set()),
    ],
)
def test_one_or_several(text: str, amounts: set[str]) -> None:
    assert attributes_of(text).amounts == amounts


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("Lytic lesion, left rib 6, 12 x 9 mm.", {"rib 6"}),
        ("Sclerotic lesion of rib 5, 1.2 cm.", {"rib 5"}),
        ("T3 - 4.5 cm lesion.", {"T3"}),
        ("T5 - 1.2 cm.", {"T5"}),
    ],
)
def test_a_size_behind_a_place_is_no_place(text: str, levels: set[str]) -> None:
    assert attributes_of(text).levels == levels
