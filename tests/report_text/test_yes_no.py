"""Reading yes, no or a chosen letter out of an answer."""

from __future__ import annotations

import pytest

from napari_ct_assistant.report_text.yes_no import chosen_letter, yes_or_no


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("Yes, there is a nodule.", True),
        ("no", False),
        ("**No**, there is none.", False),
        ("The image does not show signs of emphysema.", False),
        ("There is no evidence of a nodule.", False),
        ("There is a small nodule.", True),
        ("The scan shows emphysema.", True),
        ("Nodules", None),
        ("Notable is the heart.", None),
        ("", None),
    ],
)
def test_yes_or_no(answer: str, said: bool | None) -> None:
    assert yes_or_no(answer) is said


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("B. left lung", "B"),
        ("B", "B"),
        ("(b) left lung", "B"),
        ("b) left lung", "B"),
        ("The answer is B.", "B"),
        ("Answer: B", "B"),
        ("It lies in the left lung", "B"),
        ("right lung or left lung", None),
        ("A nodule is seen", None),
        ("E. nothing", None),
        ("", None),
        ("Right lung (A).", "A"),
        ("The side of the heart (B)", "B"),
    ],
)
def test_chosen_letter(answer: str, letter: str | None) -> None:
    assert chosen_letter(answer, ("right lung", "left lung", "right", "heart")[:2]) == letter
