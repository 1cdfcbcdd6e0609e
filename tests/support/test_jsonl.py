"""Logs of JSON lines survive a kill at any byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_ct_assistant.support.jsonl import BrokenLogError, JsonLines

ROWS = [{"a": 1}, ["b", "line\u2028end, \x85, \u00e8"], {"c": {"d": [None, 0.5]}}]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    log = JsonLines(tmp_path / "log.jsonl")
    for row in ROWS:
        log.append(row)  # type: ignore[arg-type]  # a list of both kinds
    return log.file


def test_what_was_appended_is_read(file: Path) -> None:
    assert list(JsonLines(file).read()) == ROWS
    assert file.read_bytes().count(b"\n") == len(ROWS)


def test_without_a_file_there_is_nothing(tmp_path: Path) -> None:
    log = JsonLines(tmp_path / "none.jsonl")
    log.repair()
    assert list(log.read()) == []
    assert not log.file.exists()


@pytest.mark.parametrize("shared", [False, True])
def test_a_cut_at_any_byte_costs_at_most_the_last_line(file: Path, shared: bool) -> None:
    whole = file.read_bytes()
    for size in range(len(whole)):
        file.write_bytes(whole[:size])
        # A line that lacks only its end is complete.
        complete = (whole[:size] + b"\n").count(b"\n") if whole[size] == 10 else None
        kept = ROWS[: complete if complete is not None else whole[:size].count(b"\n")]
        log = JsonLines(file, shared=shared)
        assert list(log.read()) == kept
        log.append({"new": size})
        assert list(log.read()) == [*kept, {"new": size}]


def test_repair_removes_the_cut_line(file: Path) -> None:
    with file.open("ab") as stream:
        stream.write(b'{"cut": "o')
    JsonLines(file).repair()
    assert file.read_bytes().endswith(b"}}\n")


def test_a_shared_log_keeps_what_another_process_may_be_writing(file: Path) -> None:
    with file.open("ab") as stream:
        stream.write(b'{"cut": "o')
    log = JsonLines(file, shared=True)
    log.append({"e": 2})
    assert b'{"cut": "o\n' in file.read_bytes()
    assert list(log.read()) == [*ROWS, {"e": 2}]


def test_a_broken_line_is_named(file: Path) -> None:
    file.write_bytes(b'{"a": 1}\n{"b"\n{"c": 3}\n')
    with pytest.raises(BrokenLogError, match=r"log\.jsonl line 2: not JSON"):
        list(JsonLines(file).read())
    assert list(JsonLines(file, shared=True).read()) == [{"a": 1}, {"c": 3}]
