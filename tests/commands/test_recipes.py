"""`recipes list`, `recipes copy` and `recipes check`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args

import pytest
from typer.testing import CliRunner, Result

from napari_ct_assistant.cli import app
from napari_ct_assistant.training.config.recipe import Stage


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


def test_list_has_a_line_for_each_recipe() -> None:
    lines = run("recipes", "list").stdout.splitlines()
    rows = json.loads(run("recipes", "list", "--json").stdout)
    assert [line.split()[0] for line in lines] == [row["name"] for row in rows]
    for line, row in zip(lines, rows, strict=True):
        assert row["stage"] in get_args(Stage)
        assert row["purpose"].endswith(".")
        assert line.endswith(row["purpose"])
        assert len(line) <= 120


def test_copy_change_check(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    done = run("recipes", "copy", "demo/align", own)
    assert done.exit_code == 0
    assert f"ct-assistant train align {own}" in done.stderr
    assert run("recipes", "copy", "demo/align", own).exit_code == 1
    done = run("recipes", "check", own, f"root={tmp_path}")
    assert done.exit_code == 0
    assert done.stdout == f"{own}: valid recipe of stage align; writes {tmp_path / '9-align'}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["own.yaml"], "nothing is run"
    own.write_text(own.read_text().replace("samples: 240", "samples: many") + "colour: red\n")
    done = run("recipes", "check", own)
    assert done.exit_code == 1
    assert done.stdout == ""
    lines = own.read_text().splitlines()
    samples, colour = lines.index("  samples: many") + 1, lines.index("colour: red") + 1
    errors = done.stderr.splitlines()
    assert errors[0] == f"error: {own.name} line {colour}: colour: unknown key [colour: red]"
    assert errors[1].startswith(f"error: {own.name} line {samples}: training.samples: ")
    assert len(errors) == 2
    told = json.loads(run("recipes", "check", own, "--json").stdout)
    assert told["valid"] is False
    assert [f"error: {line}" for line in told["errors"]] == errors


@pytest.mark.parametrize("command", [["copy", "demo/dream", "x.yaml"], ["check", "demo/dream"]])
def test_an_unknown_recipe_is_one_line(command: list[str]) -> None:
    done = run("recipes", *command)
    assert done.exit_code == 1
    assert done.stderr.startswith("error: demo/dream: no such recipe; ")
    assert done.stderr.count("\n") == 1


def test_train_names_every_stage() -> None:
    told = " ".join(run("train", "--help").stdout.split())
    for stage in get_args(Stage):
        assert re.search(rf"\b{stage}\b", told), stage
