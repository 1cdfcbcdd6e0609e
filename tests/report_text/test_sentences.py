"""Reports are cut where a reader would cut them."""

from __future__ import annotations

import pytest

from napari_ct_assistant.report_text.sentences import split_sections, split_sentences

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
    ],
)
def test_unusual_reports(text: str, sections: dict[str, str]) -> None:
    assert split_sections(text) == sections


def test_sentences_are_spans_of_the_text() -> None:
    found = [REPORT[a:b] for a, b in split_sentences(REPORT)]
    assert found[0] == ("A nodule of 1.5 cm lies in the left lower lobe (series 2, image 31).")
    assert found[1].strip() == "No effusion."
    assert "".join(found[2:]).replace(" ", "") == "1.Nodule.2.Otherwisenormal."


def test_no_sentence_in_nothing() -> None:
    assert split_sentences("  ") == []
