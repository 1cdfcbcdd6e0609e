"""The published questions differ from the training ones, and verdicts follow the scan's labels."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from napari_ct_assistant.cli import app
from napari_ct_assistant.phantoms import draw_truth
from napari_ct_assistant.phantoms.declined_questions import questions_to_decline
from napari_ct_assistant.report_text import questions as asked_in_use
from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.training.data.datasets.record import ScanRecord
from napari_ct_assistant.training.data.datasets.record_turns import REGION_QUESTION
from napari_ct_assistant.training.evaluation.dialogue.questions import (
    Right,
    dialogue_questions,
    truth_about,
)
from napari_ct_assistant.training.evaluation.dialogue.verdicts import verdict
from napari_ct_assistant.training.instructions.templates import from_report
from tests.documentation import ROOT

NONE = dict.fromkeys(FINDINGS, 0)
EFFUSION = NONE | {"Pleural effusion": 1}
TWO = EFFUSION | {"Cardiomegaly": 1}


def training_questions() -> Iterator[str]:
    for seed in range(1_000_000, 1_000_200):
        truth = draw_truth(seed)
        record = ScanRecord("set", "scan", Path("x"), "p", reports={"report": truth.report})
        yield from (q.question for q in truth.questions)
        yield from (q.question for q in from_report(record))
    yield from questions_to_decline("train")
    yield REGION_QUESTION
    for value in vars(asked_in_use).values():
        if isinstance(value, str):
            yield value
    for recipe in (ROOT / "training" / "recipes").rglob("*.yaml"):
        yield from re.findall(r"question: (.+)", recipe.read_text(encoding="utf-8"))


def runs_of_four(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return set(zip(*(words[i:] for i in range(4)), strict=False))


def test_no_question_shares_four_words_with_a_training_question() -> None:
    taught = set().union(*(runs_of_four(question) for question in training_questions()))
    assert len(taught) > 500
    shared = {q.ask: runs_of_four(q.ask) & taught for q in dialogue_questions()}
    assert not any(shared.values()), {ask: found for ask, found in shared.items() if found}


def test_the_list_has_every_kind_of_question_once() -> None:
    asked = dialogue_questions()
    assert len({q.ask for q in asked}) == len(asked) >= 25
    assert {q.about for q in asked} == {"scan", "general", "limits"}
    for question in asked:
        # Each can be decided on a scan whose 18 labels are known.
        assert truth_about(question.right, EFFUSION) is not None


@pytest.mark.parametrize(
    ("right", "labels", "answer", "said"),
    [
        ({"finding": "Pleural effusion"}, EFFUSION, "Yes, I do.", "right"),
        ({"finding": "Pleural effusion"}, NONE, "Yes, I do.", "wrong"),
        ({"finding": "Pleural effusion"}, NONE, "There is no pleural effusion.", "right"),
        ({"finding": "Pleural effusion"}, NONE, "Nein.", "right"),
        ({"finding": "Pleural effusion"}, NONE, "There is no cardiomegaly.", "not assessable"),
        ({"finding": "Pleural effusion"}, NONE, "I can't tell that from this scan.", "declined"),
        ({"says": ["CT"]}, {}, "I can't tell that from this scan.", "declined"),
        ({"says": ["CT"]}, {}, "", "wrong"),
        ({"finding": "Pleural effusion"}, {}, "Yes.", "not assessable"),
        ({"none_of": ["Atelectasis"]}, EFFUSION, "True.", "right"),
        ({"none_of": ["Atelectasis"]}, EFFUSION, "There is no atelectasis.", "not assessable"),
        ({"named": "every"}, TWO, "Cardiomegaly and a pleural effusion.", "right"),
        ({"named": "every"}, TWO, "Cardiomegaly.", "partly"),
        ({"named": "one"}, TWO, "Cardiomegaly.", "right"),
        ({"named": "one"}, TWO, "Cardiomegaly and emphysema.", "partly"),
        ({"named": "one"}, TWO, "Emphysema.", "wrong"),
        ({"named": "every"}, NONE, "The scan is normal.", "right"),
        ({"named": "every"}, NONE, "Bananas.", "not assessable"),
        ({"says": ["CT"]}, {}, "A CT scanner.", "right"),
        ({"says": ["CT"]}, {}, "An ACTION.", "wrong"),
        ({"declines": True}, {}, "I can't tell that from this scan.", "right"),
        ({"declines": True}, {}, "It went well.", "wrong"),
    ],
)
def test_verdicts(right: dict[str, object], labels: dict[str, int], answer: str, said: str) -> None:
    rule = Right.model_validate(right)
    assert verdict(rule, truth_about(rule, labels), answer) == said


def test_a_page_of_answers_is_written_and_resumed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ["dialogue", "demo", "phantoms:1:2", "--no-baselines", "-o", str(out)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, (done.stderr, done.exception)
    page = (out / "dialogue.md").read_text(encoding="utf-8")
    assert (out / "scan-1.png").stat().st_size > 5000
    rows = json.loads((out / "dialogue.json").read_text())["answers"]
    assert [row["question"] for row in rows] == [q.ask for q in dialogue_questions()]
    for row in rows:
        assert row["verdicts"]["model"] in page
        assert row["question"].replace("|", "\\|") in page
    shown = ", ".join(n.lower() for n, value in draw_truth(1).labels.items() if value)
    assert f"It shows: {shown or 'none of the 18 findings'}." in page
    again = CliRunner().invoke(app, [*command, "--json"])
    assert json.loads(again.stdout)["answers"] == rows
    other = CliRunner().invoke(app, [*command[:2], "phantoms:2:3", *command[3:]])
    assert other.exit_code == 1
    assert "another" in other.stderr.splitlines()[-1]
