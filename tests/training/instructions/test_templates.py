"""Questions from a report by rules."""

from __future__ import annotations

from pathlib import Path

from napari_ct_assistant.report_text.finding_mentions import findings_in
from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.training.data.datasets.record import ScanRecord
from napari_ct_assistant.training.instructions.templates import from_report
from tests.report_text.phrases import PHRASES
from tests.report_text.reports import CT_RATE_REPORT


def test_templates_ask_only_what_is_known() -> None:
    text = f"Findings: {CT_RATE_REPORT} Impression: Lung nodules."
    record = ScanRecord("d", "n", Path("n"), "p", reports={"report": text})
    asked = from_report(record)
    assert asked == from_report(record)
    answers = {q.question: q.answer for q in asked}
    assert answers["Does this image show signs of hiatal hernia?"] == "Yes."
    assert answers["Does this image show signs of pleural effusion?"] == "No."
    assert "Does this image show signs of emphysema?" not in answers
    assert answers["On which side is the atelectasis?"] == "Right."
    assert answers["On which side is the lung nodule?"] == "Left."
    assert answers["What is the impression?"] == "Lung nodules."
    assert "hypodense" in answers["What are the findings in the abdomen?"]
    (choice,) = [q for q in asked if q.kind == "multiple_choice"]
    said = findings_in(text)
    by_name = {name.lower(): name for name in FINDINGS}
    assert [said[by_name[c]] for c in choice.choices].count(True) == 1
    assert said[by_name[choice.answer]] is True


def test_labels_come_before_the_reports_words() -> None:
    labels = dict.fromkeys(FINDINGS, 1)
    record = ScanRecord("d", "n", Path("n"), "p", reports={"report": "No nodule."}, labels=labels)
    answers = {q.answer for q in from_report(record, ["yes_no"])}
    assert answers == {"Yes."}
    assert len(from_report(record, ["yes_no"])) == 18


def test_what_a_sentence_decides_is_asked() -> None:
    for phrase in PHRASES:
        record = ScanRecord("d", "n", Path("n"), "p", reports={"report": phrase.text})
        answers = {q.finding: q.answer for q in from_report(record, ["yes_no"])}
        expected = dict.fromkeys(phrase.denied, "No.") | dict.fromkeys(phrase.affirmed, "Yes.")
        assert answers == expected, phrase.text
