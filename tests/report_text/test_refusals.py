"""Which answers say that the question cannot be answered."""

from __future__ import annotations

import pytest

from napari_ct_assistant.phantoms.questions import DECLINED
from napari_ct_assistant.report_text.refusals import is_refusal


@pytest.mark.parametrize(
    "answer",
    [
        DECLINED,
        "I can\u2019t tell that from this scan.",
        "I cannot determine this.",
        "Cannot be assessed on this scan.",
        "This cannot be determined.",
        "Unable to assess.",
    ],
)
def test_refusals(answer: str) -> None:
    assert is_refusal(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "Yes.",
        "No, there is no pleural effusion.",
        "A nodule in the right upper lobe; malignancy cannot be excluded.",
        "There is a mass. Its margin is hard to assess.",
    ],
)
def test_answers(answer: str) -> None:
    assert not is_refusal(answer)
