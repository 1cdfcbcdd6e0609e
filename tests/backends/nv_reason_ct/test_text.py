"""What the model writes, sorted into reasoning, sections and labels."""

from __future__ import annotations

import pytest

from napari_ct_assistant.assistant.reading.label_comparison import label_differences
from napari_ct_assistant.assistant.reading.results import FindingProbability
from napari_ct_assistant.backends.nv_reason_ct.conversation.labels import (
    ABDOMEN_LABELS,
    CHEST_LABELS,
    finding_question,
    known_labels,
)
from napari_ct_assistant.backends.nv_reason_ct.conversation.sections import (
    split_structured_report,
    structured_sentence_spans,
)
from napari_ct_assistant.backends.nv_reason_ct.conversation.text import AnswerParts
from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.report_text.sentences import sections_of

REPORT = """TECHNIQUE: Chest CT.

FINDINGS

Medical devices: None.

CHEST

Lungs and airways: There is a 12 mm nodule in the right upper lobe. No consolidation.

Pleura:
Small left effusion.

Heart and pericardium: Normal.

IMPRESSION
1. Lung nodule.
2. Pleural effusion."""
WHOLE = (
    f"I will produce a report.\n</think>\n\n{REPORT}\n\n<answer> Lung nodule, Pleural effusion "
    "</answer>"
)


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_parts_come_out_however_the_text_is_cut(size: int) -> None:
    text: list[str] = []
    reasoning: list[str] = []
    parts = AnswerParts(True, text.append, reasoning.append)
    for begin in range(0, len(WHOLE), size):
        parts.feed(WHOLE[begin : begin + size])
    parts.close()
    assert parts.reasoning.strip() == "".join(reasoning).strip() == "I will produce a report."
    assert parts.text == "".join(text)
    assert parts.text.strip() == REPORT
    assert known_labels(parts.listed, "chest") == ("Lung nodule", "Pleural effusion")
    assert not parts.thinking
    assert not parts.listing


def test_an_answer_that_ends_in_thought_has_no_text() -> None:
    parts = AnswerParts(True)
    parts.feed("The lungs first. </thi")
    parts.close()
    assert parts.thinking
    assert parts.text == ""
    assert parts.reasoning == "The lungs first. </thi"


def test_without_reasoning_the_tag_is_text() -> None:
    parts = AnswerParts(False)
    parts.feed("<b>No</b>. Size < 3 mm.")
    parts.close()
    assert parts.text == "<b>No</b>. Size < 3 mm."
    assert not parts.has_labels


def test_headings_become_sections() -> None:
    sections = split_structured_report(REPORT)
    assert sections == {
        "Technique": "Chest CT.",
        "Medical devices": "None.",
        "Lungs and airways": ("There is a 12 mm nodule in the right upper lobe. No consolidation."),
        "Pleura": "Small left effusion.",
        "Heart and pericardium": "Normal.",
        "Impression": "1. Lung nodule.\n2. Pleural effusion.",
    }
    texts = [" ".join(REPORT[a:b].split()) for a, b in structured_sentence_spans(REPORT)]
    assert texts == [
        "Chest CT.",
        "None.",
        "There is a 12 mm nodule in the right upper lobe.",
        "No consolidation.",
        "Small left effusion.",
        "Normal.",
        "1. Lung nodule.",
        "2. Pleural effusion.",
    ]
    assert sections_of(texts, sections) == [
        "Technique", "Medical devices", "Lungs and airways", "Lungs and airways", "Pleura",
        "Heart and pericardium", "Impression", "Impression",
    ]  # fmt: skip
    assert split_structured_report("No headings at all.") == {"Report": "No headings at all."}


def test_labels_are_the_published_ones() -> None:
    assert len(CHEST_LABELS) == 30
    assert len(ABDOMEN_LABELS) == 29
    assert CHEST_LABELS[:18] == FINDINGS
    assert known_labels("", "chest") == ()
    assert known_labels(" No Chest Finding ", "chest") == ()
    assert known_labels("lung NODULE,Gout", "chest") == ("Lung nodule", "Gout")


def test_the_published_wording_of_the_screen() -> None:
    assert finding_question("Pleural effusion") == (
        "Is a pleural effusion present in this CT? Answer only Yes or No."
    )
    assert finding_question("Emphysema").startswith("Is emphysema present")
    assert finding_question("Adrenal nodule or mass").startswith("Is an adrenal nodule or mass ")


def test_a_list_that_agrees_has_no_differences() -> None:
    rows = [FindingProbability("Lung nodule", 0.9), FindingProbability("Emphysema", 0.2)]
    text = "There is a 12 mm nodule in the right upper lobe. No emphysema."
    assert label_differences(["Lung nodule"], text, CHEST_LABELS, rows) == []


def test_differences_between_list_text_and_screen_are_said() -> None:
    rows = [FindingProbability("Lung nodule", 0.1), FindingProbability("Pneumothorax", 0.8)]
    text = "There is a lung nodule. No emphysema. There is a small pleural effusion."
    listed = ["Lung nodule", "Emphysema", "Renal mass", "Lymphoma"]
    assert label_differences(listed, text, CHEST_LABELS, rows) == [
        "Emphysema: listed as a result, denied in the text.",
        "Renal mass: listed as a result, but no finding of this model.",
        "Lymphoma: listed as a result, not named in the text.",
        "Pleural effusion: present in the text, not listed as a result.",
        "Lung nodule: 10% in the screen, listed as a result.",
        "Pneumothorax: 80% in the screen, not listed as a result.",
    ]
