"""What the reader is told about an explained or a shortened passage."""

from __future__ import annotations

from dataclasses import replace

import pytest

from napari_ct_assistant.assistant.reading.rewriting import MAX_CHARACTERS, prompt, rewriting_notes
from napari_ct_assistant.report_text.questions import IMPRESSION_QUESTION
from tests.assistant.report.report_samples import INFO
from tests.report_text.phrases import PHRASES

TAUGHT = replace(INFO, skills=("explain", "shorten"))
LONG = "There is a nodule with a diameter of 15 mm in the left upper lobe; no effusion is seen."


def test_prompts_hold_the_passage() -> None:
    assert prompt("shorten", " A  nodule. ").endswith(": A nodule.")
    for text in ("  ", "x" * (MAX_CHARACTERS["explain"] + 1)):
        with pytest.raises(ValueError, match="select"):
            prompt("explain", text)


def test_a_model_that_was_not_taught_is_called_so() -> None:
    assert rewriting_notes("explain", "Cardiomegaly.", "A large heart.", INFO) == [
        "demo was not trained to explain text; this text may be meaningless."
    ]
    assert rewriting_notes("explain", "Cardiomegaly.", "A large heart.", TAUGHT) == []


def test_a_good_shortening_raises_no_doubt() -> None:
    short = "15 mm nodule, left upper lobe; no effusion."
    assert rewriting_notes("shorten", LONG, short, TAUGHT) == []


@pytest.mark.parametrize(
    ("after", "said"),
    [
        ("Nodule of 15 mm, right upper lobe, no effusion.", "Not in the original: right"),
        ("Nodule of 15 mm, upper lobe, no effusion.", "Left out: left"),
        ("Nodule of 51 mm, left upper lobe, no effusion.", "Left out: 15"),
        ("Nodule of 15 mm, left upper lobe, effusion.", "Left out: a negation"),
        (
            "15 mm nodule, left upper lobe, no effusion, pneumothorax.",
            "Not in the original: pneumothorax",
        ),
        (LONG + " And more.", "not shorter"),
        ("", "wrote nothing"),
    ],
)
def test_what_was_lost_or_made_up_is_named(after: str, said: str) -> None:
    found = rewriting_notes("shorten", LONG, after, TAUGHT)
    assert any(said in line for line in found), found


def test_an_impression_may_leave_out_but_not_make_up() -> None:
    findings = "A small nodule is in the left upper lobe. No effusion. The heart is normal."
    taught = replace(INFO, skills=("impression",))
    assert prompt("impression", findings) == IMPRESSION_QUESTION.replace("{findings}", findings)
    assert (
        rewriting_notes("impression", findings, "Small nodule in the left upper lobe.", taught)
        == []
    )
    (said,) = rewriting_notes("impression", findings, "Nodule in the right upper lobe.", taught)
    assert said == "Not in the findings: right."
    assert (
        "not trained to summarise findings"
        in rewriting_notes("impression", findings, "Nodule.", INFO)[0]
    )
    with pytest.raises(ValueError, match="no findings to summarise"):
        prompt("impression", " ")
    with pytest.raises(ValueError, match="6001 characters; the model takes at most 6000"):
        prompt("impression", "x" * 6001)


def test_a_finding_that_turns_into_its_opposite_is_named() -> None:
    for phrase in PHRASES:
        for name, was, other, now in (
            *((name, "affirmed", f"No {name.lower()}.", "denied") for name in phrase.affirmed),
            *((name, "denied", f"{name}.", "affirmed") for name in phrase.denied),
        ):
            found = rewriting_notes("shorten", phrase.text, other, TAUGHT)
            assert f"{name}: {was} in the original, {now} here." in found, phrase.text
            impression = rewriting_notes("impression", phrase.text, other, TAUGHT)
            assert f"{name}: {was} in the findings, {now} here." in impression, phrase.text


def test_a_finding_that_stays_or_is_left_out() -> None:
    for phrase in PHRASES:
        longer = f"{phrase.text} The bones are unremarkable."
        same = rewriting_notes("shorten", longer, phrase.text, TAUGHT)
        assert not any(" in the original, " in line or "Left out" in line for line in same)
        found = " ".join(rewriting_notes("shorten", phrase.text, "X.", TAUGHT))
        for name in phrase.affirmed:
            assert name.lower() in found.partition("Left out")[2], phrase.text
