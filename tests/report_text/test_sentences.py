"""Reports are cut where a reader would cut them."""

from __future__ import annotations

import pytest

from napari_ct_assistant.report_text.sections import split_sections
from napari_ct_assistant.report_text.sentences import (
    sections_of,
    sentence_spans,
    split_sentences,
)

REPORT = (
    "Findings: A nodule of 1.5 cm lies in the left lower lobe (series 2, image 31). No effusion. "
    "Impression: 1. Nodule. 2. Otherwise normal."
)


def test_sections_by_their_headings() -> None:
    assert split_sections(REPORT) == {
        "Findings": "A nodule of 1.5 cm lies in the left lower lobe (series 2, image 31). "
        "No effusion.",
        "Impression": "1. Nodule. 2. Otherwise normal.",
    }


@pytest.mark.parametrize(
    ("text", "sections"),
    [
        ("No heading here.", {"Report": "No heading here."}),
        ("", {"Report": ""}),
        ("Before. FINDINGS: a. Findings: b.", {"Report": "Before.", "Findings": "a. b."}),
        ("Findings:\nimpression: b", {"Findings": "", "Impression": "b"}),
        ("Stable in comparison: no.", {"Report": "Stable in comparison: no."}),
        (
            "Clinical Information: x Impression : y",
            {"Clinical information": "x", "Impression": "y"},
        ),
    ],
)
def test_unusual_reports(text: str, sections: dict[str, str]) -> None:
    assert split_sections(text) == sections


def test_sentences_are_spans_of_the_text() -> None:
    assert [REPORT[a:b] for a, b in sentence_spans(REPORT)] == [
        "A nodule of 1.5 cm lies in the left lower lobe (series 2, image 31).",
        "No effusion.",
        "1. Nodule.",
        "2. Otherwise normal.",
    ]
    assert split_sentences("  ") == []


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        (
            "Nodule of 1.5 cm, e.g. a hamartoma. Liver normal.\n- Spleen 13.2 cm\n* No ascites.",
            [
                "Nodule of 1.5 cm, e.g. a hamartoma.",
                "Liver normal.",
                "Spleen 13.2 cm",
                "No ascites.",
            ],
        ),
        # Text of a fixed width: a line that goes on in lower case ends no sentence.
        (
            "There is no\nevidence of effusion.\nHeart normal",
            ["There is no\nevidence of effusion.", "Heart normal"],
        ),
        ("No effusion:\nnone\n\nnodule", ["No effusion:", "none", "nodule"]),
        ("Effusion: no. Nodule, see image no. 12.", ["Effusion: no.", "Nodule, see image no. 12."]),
        ("1. Nodule. 2. Cyst. 3 lesions.", ["1. Nodule.", "2. Cyst.", "3 lesions."]),
        ("(1) Nodule.\n2) Cyst.", ["(1) Nodule.", "2) Cyst."]),
        ("Nodule (see above.) Cyst.", ["Nodule (see above.)", "Cyst."]),
        (
            "Left nodule; Right effusion; both small.",
            ["Left nodule;", "Right effusion; both small."],
        ),
        ("Density -1000 HU.\n-Fat", ["Density -1000 HU.", "Fat"]),
        ("Siehe oben. Übrige Lunge frei.", ["Siehe oben.", "Übrige Lunge frei."]),
    ],
)
def test_where_sentences_end(text: str, sentences: list[str]) -> None:
    assert split_sentences(text) == sentences


def test_headings_can_be_kept() -> None:
    text = "No nodule. Findings: 1.5 cm cyst."
    assert split_sentences(text) == ["No nodule.", "1.5 cm cyst."]
    assert split_sentences(text, keep_headings=True) == ["No nodule.", "Findings: 1.5 cm cyst."]


def test_a_sentence_knows_its_section() -> None:
    sections = split_sections(REPORT)
    assert sections_of(split_sentences(REPORT), sections) == ["Findings"] * 2 + ["Impression"] * 2
