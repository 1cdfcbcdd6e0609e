"""Every phrase of the table is read as a radiologist means it."""

from __future__ import annotations

import pytest

from napari_ct_assistant.report_text.finding_mentions import (
    affirmed_findings,
    finding_mentions,
    findings_in,
    named_findings,
)
from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.report_text.sentences import split_sentences
from napari_ct_assistant.report_text.yes_no import yes_or_no
from tests.report_text.phrases import PHRASES, QUESTIONS, Phrase

by_text = pytest.mark.parametrize("phrase", PHRASES, ids=lambda phrase: phrase.text)


@by_text
def test_each_mention_is_meant_as_it_is_read(phrase: Phrase) -> None:
    found: dict[str, set[str]] = {"affirmed": set(), "denied": set(), "open": set()}
    for sentence in split_sentences(phrase.text):
        for mention in finding_mentions(sentence):
            key = mention.status if mention.status in found else "open"
            found[key].add(mention.finding)
    expected = {
        "affirmed": set(phrase.affirmed), "denied": set(phrase.denied), "open": set(phrase.open)
    }  # fmt: skip
    assert found == expected


@by_text
def test_findings_that_a_report_decides(phrase: Phrase) -> None:
    assert findings_in(phrase.text) == {
        **dict.fromkeys(phrase.denied, False),
        **dict.fromkeys(phrase.affirmed, True),
    }
    assert set(affirmed_findings(phrase.text)) == set(phrase.affirmed)


@by_text
def test_an_answer_is_a_yes_or_a_no(phrase: Phrase) -> None:
    assert yes_or_no(phrase.text) is phrase.yes
    assert yes_or_no(f"Yes, {phrase.text}") is True
    assert yes_or_no(f"No. {phrase.text}") is False


@pytest.mark.parametrize(("question", "findings"), QUESTIONS)
def test_what_a_question_is_about(question: str, findings: tuple[str, ...]) -> None:
    assert set(named_findings(question)) == set(findings)


def test_the_table_has_every_finding_affirmed_and_denied() -> None:
    assert {name for phrase in PHRASES for name in phrase.affirmed} == set(FINDINGS)
    assert {name for phrase in PHRASES for name in phrase.denied} == set(FINDINGS)
