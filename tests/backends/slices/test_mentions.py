"""A label is followed by the number under which the viewer shows the slice."""

from __future__ import annotations

import pytest

from napari_ct_assistant.backends.slices.mentions import (
    label_word,
    with_image_numbers,
    without_image_numbers,
)

SHOWN = tuple(range(3, 275, 3))  # label k is the image 3k + 1


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("A nodule in SLICE 27.", "A nodule in SLICE 27 (image 82)."),
        ("Best seen on slice 9, 5 mm wide.", "Best seen on slice 9 (image 28), 5 mm wide."),
        ("Slices 3-5 and 40 show it.", "Slices 3-5 and 40 (images 10-16 and 121) show it."),
        ("SLICE 2 to 4", "SLICE 2 to 4 (images 7 to 13)"),
        ("slices 3 and 12 mm apart", "slices 3 (image 10) and 12 mm apart"),
        ("SLICE 99 and slice 1", "SLICE 99 and slice 1 (image 4)"),
        ("the slice thickness of 3 mm", "the slice thickness of 3 mm"),
        ("Final Answer: yes", "Final Answer: yes"),
    ],
)
def test_labels_are_told_as_images(said: str, told: str) -> None:
    assert with_image_numbers(said, SHOWN) == told
    assert with_image_numbers(told, SHOWN) == told
    assert without_image_numbers(told) == said


def test_labels_that_are_the_images_own_numbers_stay_alone() -> None:
    assert with_image_numbers("SLICE 2", range(40)) == "SLICE 2"
    assert with_image_numbers("SLICE 2", ()) == "SLICE 2"


def test_the_presets_own_word_counts() -> None:
    assert label_word("im. {number}") == "im."
    assert label_word("{number}") == "slice"
    assert with_image_numbers("see Cut 2", (4, 9), "Cut") == "see Cut 2 (image 10)"
