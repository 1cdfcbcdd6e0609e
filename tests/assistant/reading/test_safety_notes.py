"""Findings that a model cannot judge are named, however the reader or the model calls them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from napari_ct_assistant.assistant.reading.safety_notes import unjudged
from napari_ct_assistant.report_text.findings import FINDINGS
from tests.assistant.report.report_samples import INFO
from tests.report_text.phrases import PHRASES, QUESTIONS

NODULE_ONLY = replace(INFO, unreliable_findings=("Lung nodule",))
EVERYTHING = replace(INFO, unreliable_findings=FINDINGS)


@pytest.mark.parametrize(("question", "findings"), QUESTIONS)
def test_a_question_about_an_unreliable_finding_is_noted(
    question: str, findings: tuple[str, ...]
) -> None:
    assert bool(unjudged(NODULE_ONLY, question)) == ("Lung nodule" in findings)
    notes = unjudged(EVERYTHING, question)
    assert len(notes) == len(findings)
    for name in findings:
        assert any(name.lower() in note for note in notes)


def test_an_answer_that_names_an_unreliable_finding_is_noted() -> None:
    for phrase in PHRASES:
        notes = unjudged(EVERYTHING, "What is there?", phrase.text)
        for name in (*phrase.affirmed, *phrase.denied, *phrase.open):
            assert any(name.lower() in note for note in notes), (phrase.text, name)


def test_nothing_is_noted_of_a_model_that_judges_everything() -> None:
    assert unjudged(INFO, "Is there a lung nodule?", "Yes, a nodule.") == ()
