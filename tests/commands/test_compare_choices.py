"""`compare-choices`: a table from the panel, summed up on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from napari_ct_assistant.assistant.choices.table import COLUMNS
from napari_ct_assistant.cli import app


def table(path: Path, *rows: str) -> Path:
    path.write_text("\n".join([",".join(COLUMNS), *rows]) + "\n")
    return path


@pytest.fixture
def two(tmp_path: Path) -> list[str]:
    """Return two tables: three scans, `new` preferred twice and equal once."""
    first = table(
        tmp_path / "a.csv", "s1,new,aa,old,bb,left,10,yes,", "s2,old,bb,new,aa,right,20,yes,"
    )
    second = table(tmp_path / "b.csv", "s3,old,bb,new,aa,equal,30,no,")
    return [str(first), str(second)]


def test_several_tables_are_one(two: list[str]) -> None:
    done = CliRunner().invoke(app, ["compare-choices", *two, "--json", "--bootstraps", "50"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert [one["model"] for one in found["models"]] == ["new aa", "old bb"]
    # 2.5 wins of 3, with 0.1 added both ways: half the logarithm of the odds.
    assert found["models"][0]["strength"] == pytest.approx(0.7331, abs=1e-3)
    assert (found["pairs"], found["scans"], found["blind"]) == (3, 3, 2)
    assert (found["left"], found["equal"], found["right"]) == (1, 1, 1)
    assert found["seconds_median"] == 20


def test_the_table_is_printed(two: list[str]) -> None:
    done = CliRunner().invoke(app, ["compare-choices", *two])
    assert done.exit_code == 0, done.output
    assert "| new aa | +0.73 |" in done.stdout
    assert "3 pairs on 3 scans, 2 of them blind" in done.stdout


@pytest.mark.parametrize("text", ["", "a,b\n", ",".join(COLUMNS) + "\n"])
def test_a_table_without_choices_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "c.csv"
    path.write_text(text)
    done = CliRunner().invoke(app, ["compare-choices", str(path)])
    assert done.exit_code == 1
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
