"""Questions from a real HTTP server on this machine: refusals, nonsense, kills and going on."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from napari_ct_assistant.cli import app
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.data.datasets.read_records import read_records
from napari_ct_assistant.training.data.datasets.record import Kind, ScanRecord
from napari_ct_assistant.training.data.datasets.specs import CtRateData
from napari_ct_assistant.training.instructions import generate
from napari_ct_assistant.training.instructions.endpoint import ChatEndpoint, EndpointError
from napari_ct_assistant.training.instructions.question_prompts import read_answer
from napari_ct_assistant.training.instructions.rows import done_lines, read_rows
from tests.training.data.datasets import layouts
from tests.training.instructions.chat_server import Server, chat, good, refusal, serve

KEY = "not-a-real-key"
run = CliRunner().invoke


@pytest.fixture
def server() -> Iterator[Server]:
    with serve() as state:
        yield state


def records(count: int) -> list[ScanRecord]:
    return [
        ScanRecord("d", f"scan {n}", Path("x"), "p", reports={"report": f"Nodule {n}."})
        for n in range(count)
    ]


def endpoint(server: Server, **more: Any) -> ChatEndpoint:
    return ChatEndpoint(server.url, "m", KEY, **{"tries": 3, "pause": 0.001, **more})


def ask(
    server: Server,
    file: Path,
    of: list[ScanRecord],
    kinds: tuple[Kind, ...] = ("free",),
    **more: Any,
) -> generate.GenerationResult:
    chosen = endpoint(server, **more)
    requests = generate.plan(of, kinds, 5, "m", done_lines(file))
    return generate.ask_endpoint(requests, chosen, 5, file, workers=2)


def test_answers_become_questions_of_each_kind(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "out.jsonl"
    kinds: tuple[Kind, ...] = ("free", "short", "multiple_choice", "yes_no")
    outcome = ask(server, file, records(2), kinds)
    assert (outcome.written, outcome.questions, outcome.failed) == (8, 8, {})
    assert (outcome.tokens_in, outcome.tokens_out) == (800, 160)
    rows = list(read_rows(file))
    asked = {q.kind: q for row in rows for q in row.questions}
    assert asked["multiple_choice"].answer == "right"
    assert asked["yes_no"].answer == "Yes."
    assert set(server.paths) == {"/v1/chat/completions"}
    assert {h["Authorization"] for h in server.headers} == {f"Bearer {KEY}"}
    assert server.asked[0]["response_format"]["type"] == "json_schema"
    # Again: all is there, nothing is sent.
    before = len(server.asked)
    assert ask(server, file, records(2), kinds).written == 0
    assert len(server.asked) == before


def test_equal_reports_are_asked_about_once(server: Server, tmp_path: Path) -> None:
    twice = [ScanRecord("d", n, Path(n), "p", reports={"report": "Same."}) for n in "ab"]
    outcome = ask(server, tmp_path / "out.jsonl", twice)
    assert len(server.asked) == 1
    assert outcome.written == 2
    assert [r.tokens_in for r in read_rows(tmp_path / "out.jsonl")] == [100, 0]


def test_429_waits_as_long_as_the_server_says(server: Server, tmp_path: Path) -> None:
    answers = itertools.chain(
        [refusal(429, "slow down", Retry_After="7"), refusal(503, "busy")], itertools.repeat(None)
    )
    server.rule = lambda body: next(answers) or good(body)
    slept: list[float] = []
    outcome = ask(server, tmp_path / "out.jsonl", records(1), sleep=slept.append)
    assert outcome.written == 1
    assert slept[0] == 7.0
    assert 0 < slept[1] < 1


def test_a_malformed_answer_is_asked_for_again(server: Server, tmp_path: Path) -> None:
    bad = [chat("I am sorry."), chat('{"questions": [', "length"), (200, {}, b"<html>")]
    for first in bad:
        answers = itertools.chain([first], itertools.repeat(None))
        server.rule = lambda body, answers=answers: next(answers) or good(body)
        file = tmp_path / f"{bad.index(first)}.jsonl"
        assert ask(server, file, records(1)).written == 1
    assert sorted({body["temperature"] for body in server.asked}) == [0.2, pytest.approx(0.6)]


def test_what_stays_malformed_is_named_and_left_for_the_next_run(
    server: Server, tmp_path: Path
) -> None:
    file = tmp_path / "out.jsonl"
    about_1 = lambda body: "Nodule 1." in body["messages"][1]["content"]  # noqa: E731
    server.rule = lambda body: chat("no JSON") if about_1(body) else good(body)
    outcome = ask(server, file, records(3))
    assert outcome.written == 2
    assert len(outcome.failed) == 1
    server.rule, server.asked = good, []
    assert ask(server, file, records(3)).written == 1
    assert len(server.asked) == 1


def test_a_server_without_json_schema_is_asked_for_less(server: Server, tmp_path: Path) -> None:
    def rule(body: dict[str, Any]) -> Any:
        form = body.get("response_format", {}).get("type")
        return refusal(400, f"response_format {form} unknown") if form else good(body)

    server.rule = rule
    assert ask(server, tmp_path / "out.jsonl", records(3)).written == 3
    forms = [body.get("response_format", {}).get("type") for body in server.asked]
    assert forms.count(None) == 3


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (refusal(401, f"bad key {KEY}"), "status 401; check the key"),
        (refusal(404, "no model"), "status 404; check URL and model"),
        (refusal(500, "oops"), "status 500 after 3 tries; the answers so far are kept"),
    ],
)
def test_refusals_for_good_end_the_run(
    server: Server, tmp_path: Path, answer: Any, message: str
) -> None:
    server.rule = lambda body: answer
    with pytest.raises(EndpointError, match=message) as error:
        ask(server, tmp_path / "out.jsonl", records(2))
    assert KEY not in str(error.value)
    assert "Nodule" not in str(error.value)


def test_no_server_and_no_url(tmp_path: Path) -> None:
    with serve() as gone:
        pass
    with pytest.raises(EndpointError, match=r"no answer \(ConnectionRefusedError\) after 3 tries"):
        ask(gone, tmp_path / "out.jsonl", records(1))
    with pytest.raises(EndpointError, match="give http"):
        ChatEndpoint("file:///etc/passwd", "m")


def test_only_questions_that_can_be_used_are_kept() -> None:
    items = [
        {"question": "What does the report say?", "answer": "A nodule."},
        {"question": "Where is it?", "answer": "left", "choices": ["right", "both"]},
        {"question": "Where is it now?", "answer": "left", "choices": ["left", "left"]},
        {"question": "Which lobe?", "answer": "upper", "choices": ["upper", "lower"]},
    ]
    kept, refused = read_answer(
        "```json\n" + json.dumps({"questions": items}) + "\n```", "multiple_choice"
    )
    assert [q.question for q in kept] == ["Which lobe?"]
    assert len(refused) == 3
    assert "does not see" in refused[0]


def test_a_damaged_line_is_named_and_a_cut_one_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "out.jsonl"
    line = '{"key": "k", "dataset": "d", "name": "n", "model": "m", "questions": []}\n'
    file.write_text(line + line.replace("questions", "quests"))
    with pytest.raises(RecipeError, match=r"out\.jsonl line 2: questions: Field required"):
        list(read_rows(file))
    file.write_text(line + line[:30])
    assert done_lines(file) == {("k", "d", "n")}
    assert file.read_text() == line


RECIPE = """\
stage: mae
output: out
data: {{kind: ct_rate, root: {root}}}
encoder: {{preset: demo}}
training: {{samples: 1, learning_rate: 1.0e-3}}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    file = tmp_path / "recipe.yaml"
    file.write_text(RECIPE.format(root=layouts.write_ct_rate(tmp_path / "ct_rate")))
    return file


def test_the_cost_comes_first_and_nothing_is_sent_without_yes(
    server: Server, recipe: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.jsonl"
    command = ["instructions", str(recipe), str(output), "--endpoint", server.url, "--model", "m"]
    done = run(app, [*command, "--prices", "1000", "2000", "--json"])
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["sent"] is False
    assert (told["requests"], told["questions"]) == (12, 60)
    assert told["dollars"] == pytest.approx(
        (told["tokens_in"] * 1000 + told["tokens_out"] * 2000) / 1e6
    )
    assert "nothing was sent; use --yes to send the report texts to 127.0.0.1" in done.stderr
    assert server.asked == []
    assert not output.exists()
    done = run(app, [*command, "--kind", "free", "--yes", "--json"])
    assert json.loads(done.stdout)["written"] == 3
    assert len(server.asked) == 3


def test_a_killed_run_goes_on_where_it_was(server: Server, recipe: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    stuck, answered = threading.Event(), itertools.count(1)

    def rule(body: dict[str, Any]) -> Any:
        if next(answered) > 4:
            stuck.set()
            threading.Event().wait(0.5)
            return refusal(503, "busy")
        return good(body)

    server.rule = rule
    command = ["instructions", str(recipe), str(output), "--endpoint", server.url, "--model", "m"]
    command += ["--yes", "--workers", "1"]
    running = subprocess.Popen(
        [sys.executable, "-m", "napari_ct_assistant", *command], stderr=subprocess.DEVNULL
    )
    try:
        assert stuck.wait(200)
    finally:
        os.kill(running.pid, signal.SIGKILL)
        running.wait()
    kept = len(list(read_rows(output)))
    assert 3 <= kept <= 4
    with output.open("a") as stream:  # as if it had died while it wrote
        stream.write('{"key": "cut')
    server.rule, server.asked = good, []
    done = run(app, [*command, "--json"])
    assert done.exit_code == 0, done.stderr
    assert len(server.asked) == 12 - kept
    rows = Counter((row.key, row.name) for row in read_rows(output))
    assert set(rows.values()) == {1}
    assert len(rows) == 12


def test_templates_are_offline_and_join_the_data_set(recipe: Path, tmp_path: Path) -> None:
    output = tmp_path / "made.jsonl"
    done = run(app, ["instructions", str(recipe), str(output), "--kind", "yes_no", "--json"])
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["questions"] == 3 * 18
    assert json.loads(run(app, ["instructions", str(recipe), str(output), "--json"]).stdout) == {
        "written": 0,
        "questions": 0,
        "refused": 0,
        "tokens_in": 0,
        "tokens_out": 0,
        "failed": {},
    }
    root = tmp_path / "ct_rate"
    with_them = CtRateData(kind="ct_rate", root=root, questions=(output,))
    plain = CtRateData(kind="ct_rate", root=root)
    more = read_records(with_them)[0][0].questions
    assert len(more) == len(read_records(plain)[0][0].questions) + 18
    other = CtRateData(kind="ct_rate", root=root, questions=(output,), split="validation")
    with pytest.raises(RecipeError, match="none of its 3 lines is about a scan of this data"):
        read_records(other)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--endpoint", "http://127.0.0.1:1/v1"], "--endpoint and --model need each other"),
        (["data={kind: phantoms}"], "phantoms already come with questions"),
        (["data.root=absent"], "absent/radiology_text_reports/train_reports.csv: not there"),
    ],
)
def test_bad_input_gets_one_line(recipe: Path, tmp_path: Path, more: list[str], said: str) -> None:
    done = run(app, ["instructions", str(recipe), str(tmp_path / "o.jsonl"), *more])
    assert done.exit_code == 1, done.exception
    assert said in done.stderr.splitlines()[-1]
