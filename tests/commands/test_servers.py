"""`servers`, `rewrite` and `models export-llm`, as a person types them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from napari_ct_assistant import CTVolume
from napari_ct_assistant.cli import app
from napari_ct_assistant.volume import write_nifti
from tests.backends.server.vllm_rules import VllmRules, serving

PASSAGE = "There is no pleural effusion. The heart is enlarged."


def run(*arguments: str, text: str | None = None) -> Any:
    return CliRunner().invoke(app, list(arguments), input=text)


def rewritten(messages: list[dict[str, Any]]) -> str:
    return "There is a pleural effusion."


@pytest.fixture
def text_server() -> Iterator[VllmRules]:
    with serving(VllmRules("some/text-model", chat=rewritten)) as running:
        yield running


def test_export_serve_and_read(
    tiny_model_folder: Path, small_volume: CTVolume, tmp_path: Path
) -> None:
    out, scan = tmp_path / "llm", tmp_path / "scan.nii"
    write_nifti(small_volume, scan)
    done = run("models", "export-llm", str(tiny_model_folder), str(out), "--json")
    assert done.exit_code == 0, done.output
    made = json.loads(done.stdout)
    assert made["largest_difference_of_a_logit"] == 0
    assert made["served_name"] == f"tiny-model-sha{made['sha256'][:16]}"
    one, several, machines = (" ".join(way["commands"]) for way in made["serve"])
    assert f"--served-model-name {made['served_name']} --enable-prompt-embeds" in one
    assert "--tensor-parallel-size 2" in several
    assert "--pipeline-parallel-size 2" in machines
    with serving(VllmRules(made["served_name"], out)) as rules:
        asked = (
            "ask",
            str(scan),
            "Is there a nodule?",
            "--model",
            rules.address,
            "--device",
            "cpu",
        )
        refused = run(*asked, "--encoder", made["encoder"])
        assert refused.exit_code == 1
        assert "--send-scan" in refused.stderr
        assert "Never sent: names" in refused.stderr
        assert rules.requests == []
        answered = run(*asked, "--encoder", made["encoder"], "--send-scan", "--json")
        assert answered.exit_code in (0, 3), answered.output
        assert json.loads(answered.stdout)["model"]["revision"] == made["sha256"]
        local = run(
            "ask",
            str(scan),
            asked[2],
            "--model",
            str(tiny_model_folder),
            "--device",
            "cpu",
            "--json",
        )
        assert json.loads(answered.stdout)["answer"] == json.loads(local.stdout)["answer"]
    again = run("models", "export-llm", str(tiny_model_folder), str(out))
    assert again.exit_code == 1
    assert "not an empty folder" in again.stderr


def test_servers_are_saved_checked_and_removed(text_server: VllmRules) -> None:
    assert run("servers", "add", "gpu1", text_server.address, "--reads", "text").exit_code == 0
    checked = json.loads(run("servers", "check", "gpu1", "--json").stdout)
    assert checked["model"] == "some/text-model"
    assert checked["engine"] == "vLLM 0.32.0"
    (listed,) = json.loads(run("servers", "list", "--json").stdout)["servers"]
    assert (listed["name"], listed["reads"], listed["agreed"]) == ("gpu1", "text", [])
    assert "nothing yet" in run("servers", "list").stdout
    assert run("servers", "remove", "gpu1").exit_code == 0
    assert json.loads(run("servers", "list", "--json").stdout) == {"servers": []}
    for wrong, reason in (("gpu1", "no saved server"), ("http://gpu1.hospital", "not encrypted")):
        failed = run("servers", "check", wrong)
        assert failed.exit_code == 1
        assert reason in failed.stderr


@pytest.mark.parametrize(
    ("name", "address"), [("demo", "https://gpu1"), ("a/b", "https://gpu1"), ("gpu1", "gpu1:8000")]
)
def test_names_and_addresses_that_are_refused(name: str, address: str) -> None:
    failed = run("servers", "add", name, address)
    assert failed.exit_code == 1
    assert failed.stderr.count("\n") == 1


def test_a_text_model_rewrites_and_its_changes_are_told(
    text_server: VllmRules, tmp_path: Path
) -> None:
    file = tmp_path / "passage.txt"
    file.write_text(PASSAGE, encoding="utf-8")
    command = ("rewrite", "shorten", str(file), "--model", text_server.address)
    refused = run(*command)
    assert refused.exit_code == 1
    assert "--send-text" in refused.stderr
    assert text_server.requests == []
    done = run(*command, "--send-text", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["text"] == "There is a pleural effusion."
    assert any("denied in the original, affirmed here" in line for line in told["notes"])
    assert told["model"]["server"] == text_server.address
    assert PASSAGE in json.dumps(text_server.requests[-1]["messages"])


def test_a_text_model_reads_no_scan(
    text_server: VllmRules, small_volume: CTVolume, tmp_path: Path
) -> None:
    scan = tmp_path / "scan.nii"
    write_nifti(small_volume, scan)
    run("servers", "add", "words", text_server.address, "--reads", "text")
    failed = run("report", str(scan), "--model", "words", "--send-scan")
    assert failed.exit_code == 1
    assert "reads no scan" in failed.stderr


def seen_in_slices(messages: list[dict[str, Any]]) -> str:
    return "Findings: There is a pleural effusion. Impression: Effusion."


@pytest.mark.parametrize("command", ["evaluate", "dialogue", "audit"])
def test_models_on_a_server_are_measured_once_somebody_agrees(
    tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with serving(VllmRules("some/vision-model", chat=seen_in_slices, max_model_len=32768)) as rules:
        more = {
            "evaluate": ["phantoms:1:2", "--task", "report", "--no-baselines"],
            "dialogue": ["phantoms:1:2", "--no-baselines"],
            "audit": ["--seeds", "1:2"],
        }[command]
        refused = run(command, rules.address, *more)
        assert refused.exit_code == 1
        assert "Add --send-scan to agree." in refused.stderr
        assert rules.requests == []
        done = run(command, rules.address, *more, "--send-scan", "--json")
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout)
        assert rules.requests


@pytest.mark.parametrize("command", ["report", "ask"])
def test_json_keeps_the_text_of_a_server_that_died(
    tiny_model_folder: Path, small_volume: CTVolume, tmp_path: Path, command: str
) -> None:
    out, scan = tmp_path / "llm", tmp_path / "scan.nii"
    write_nifti(small_volume, scan)
    made = json.loads(
        run("models", "export-llm", str(tiny_model_folder), str(out), "--json").stdout
    )
    with serving(VllmRules(made["served_name"], out)) as rules:
        question = ["Is there a nodule?"] if command == "ask" else ["--short-scan"]
        more = ["--encoder", made["encoder"], "--send-scan", "--device", "cpu", "--json"]
        asked = (command, str(scan), *question, "--model", rules.address, *more)
        key = {"report": "report", "ask": "answer"}[command]
        whole = json.loads(run(*asked).stdout)[key]
        rules.fault = "die"
        failed = run(*asked)
        assert failed.exit_code == 1
        assert "the connection broke" in failed.stderr.splitlines()[-1]
        kept = json.loads(failed.stdout)
        assert kept["complete"] is False
        assert "the connection broke" in kept["incomplete"]
        assert kept[key]
        assert "".join(whole.split()).startswith("".join(kept[key].split()))
