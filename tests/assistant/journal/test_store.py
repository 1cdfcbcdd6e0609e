"""The journal's file: saved, found again, deleted for good, and shared between windows."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from napari_ct_assistant.assistant.journal.pages import INTERRUPTED, STILL_WRITTEN
from napari_ct_assistant.assistant.journal.store import (
    KEPT,
    Journal,
    JournalError,
)

SCAN, OTHER = "a" * 64, "b" * 64


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "new" / "journal.sqlite")


def test_what_was_saved_last_is_loaded(journal: Journal) -> None:
    assert journal.load(SCAN) is None
    assert journal.pages() == []
    journal.save(SCAN, {"question": "one"})
    journal.save(SCAN, {"question": "twö"})
    journal.save(OTHER, {"question": "three"})
    page = Journal(journal.path).load(SCAN)
    assert page is not None
    assert page.body == {"question": "twö"}
    assert page.text == "Not sent:\ntwö"
    assert [page.scan for page in journal.pages()] == [OTHER, SCAN]


def test_two_windows_on_one_scan_do_not_overwrite_each_other(journal: Journal) -> None:
    other = Journal(journal.path)
    journal.save(SCAN, {"question": "first window"})
    other.save(SCAN, {"question": "second window"})
    with sqlite3.connect(journal.path) as base:
        assert base.execute("SELECT count(*) FROM pages").fetchone() == (2,)
    base.close()
    page = journal.load(SCAN)
    assert page is not None
    assert page.body["question"] == "second window"
    for _ in range(KEPT + 2):
        Journal(journal.path).save(SCAN, {"question": "later"})
    with sqlite3.connect(journal.path) as base:
        assert base.execute("SELECT count(*) FROM pages").fetchone() == (KEPT,)
    base.close()


def test_a_window_that_knew_a_page_leaves_no_other(journal: Journal) -> None:
    journal.save(SCAN, {"question": "old"})
    later = Journal(journal.path)
    assert later.load(SCAN) is not None
    later.save(SCAN, {"question": "new"})
    page = journal.load(SCAN)
    assert page is not None
    assert page.body == {"question": "new"}
    assert page.others == ()


def test_what_a_window_missed_is_kept_and_named(journal: Journal) -> None:
    other = Journal(journal.path)
    assert journal.load(SCAN) is other.load(SCAN) is None
    message = {"speaker": "you", "title": "You", "text": "asked in the first window"}
    journal.save(SCAN, {"transcript": [message]})
    other.save(SCAN, {"question": "second window"})
    page = Journal(journal.path).load(SCAN)
    assert page is not None
    assert [other.body for other in page.others] == [{"transcript": [message]}]
    assert page.text.startswith("Not sent:\nsecond window\n\nAnother window, ")
    assert page.text.endswith("You\nasked in the first window")
    assert [page.others for page in journal.pages()] == [page.others]
    # The first window goes on: now it is the second that was missed.
    journal.save(SCAN, {"transcript": [message, message]})
    page = Journal(journal.path).load(SCAN)
    assert page is not None
    assert [other.body for other in page.others] == [{"question": "second window"}]


def test_pages_of_earlier_versions_have_no_others(journal: Journal) -> None:
    journal.save(SCAN, {"question": "one"})
    Journal(journal.path).save(SCAN, {"question": "two"})
    with sqlite3.connect(journal.path) as base:
        base.execute("UPDATE pages SET body = json_remove(body, '$.seen', '$.program')")
    base.close()
    page = journal.load(SCAN)
    assert page is not None
    assert page.others == ()
    assert page.unfinished({}) == INTERRUPTED


def test_a_text_that_the_reader_stopped_is_not_called_interrupted(journal: Journal) -> None:
    cut = {"title": "Report", "text": "The heart *is", "complete": False}
    journal.save(SCAN, {"transcript": [cut | {"stopped": True}, cut]})
    page = Journal(journal.path).load(SCAN)
    assert page is not None
    stopped, other = page.passages()
    # What was not complete was saved as it came: no mark in it is markdown.
    assert stopped == "Report\nThe heart *is\n[Stopped.]"
    assert other in [f"Report\nThe heart *is\n[{why}]" for why in (INTERRUPTED, STILL_WRITTEN)]


@pytest.mark.parametrize(
    "wrong", [{"pid": "x"}, {"pid": 2**80, "host": "h", "started": 1}, [], None, {"pid": 1}]
)
def test_a_damaged_program_or_list_of_pages_is_left_out(journal: Journal, wrong: Any) -> None:
    journal.save(SCAN, {"question": "one"})
    Journal(journal.path).save(SCAN, {"question": "two"})
    with sqlite3.connect(journal.path) as base:
        text = json.dumps({"question": "two", "program": wrong, "seen": wrong})
        base.execute("UPDATE pages SET body = ?", (text,))
    base.close()
    page = Journal(journal.path).load(SCAN)
    assert page is not None
    assert page.body == {"question": "two"}
    assert page.unfinished({}) in (INTERRUPTED, STILL_WRITTEN)


def test_deleted_text_is_not_left_in_the_file(journal: Journal) -> None:
    journal.save(SCAN, {"question": "a secret sentence " * 500})
    journal.save(OTHER, {"question": "kept"})
    assert journal.delete(SCAN) == 1
    assert journal.delete(SCAN) == 0
    for file in journal.path.parent.iterdir():
        assert b"a secret sentence" not in file.read_bytes(), file.name
    assert journal.load(OTHER) is not None
    assert journal.delete() == 1
    assert journal.pages() == []


def test_deletion_leaves_no_other_copy(journal: Journal) -> None:
    """Neither in damaged files that were moved aside, nor in temporary files of SQLite."""
    journal.save(SCAN, {"question": "a secret sentence"})
    for ending in ("", "-wal", "-shm"):
        aside = journal.path.with_name(f"journal.broken-17{ending}")
        aside.write_bytes(b"a secret sentence")
    assert journal.delete(SCAN) == 1
    for file in journal.path.parent.iterdir():
        assert b"a secret sentence" not in file.read_bytes(), file.name
    memory = 2  # SQLite's number for temporary data that never goes to a file
    assert journal._run(lambda base: base.execute("PRAGMA temp_store").fetchone()) == (memory,)


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")
def test_only_the_user_can_read_it(journal: Journal) -> None:
    journal.save(SCAN, {})
    assert journal.path.stat().st_mode & 0o077 == 0
    assert journal.path.parent.stat().st_mode & 0o077 == 0


def test_a_damaged_file_is_kept_and_a_new_one_begun(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    journal.path.parent.mkdir()
    journal.path.write_bytes(b"no database" * 1000)
    journal.save(SCAN, {"question": "new"})
    assert journal.load(SCAN) is not None
    (aside,) = journal.path.parent.glob("journal.broken-*[0-9]")
    assert aside.read_bytes().startswith(b"no database")
    assert "damaged" in caplog.text


def test_a_newer_file_is_left_alone(journal: Journal) -> None:
    journal.save(SCAN, {})
    journal.close()
    with sqlite3.connect(journal.path) as base:
        base.execute("PRAGMA user_version = 7")
    base.close()
    with pytest.raises(JournalError, match=r"newer version \(format 7\)"):
        journal.load(SCAN)


def test_a_folder_in_its_place_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "journal.sqlite").mkdir()
    with pytest.raises(JournalError, match=r"journal\.sqlite cannot be used"):
        Journal(tmp_path / "journal.sqlite").save(SCAN, {})


def test_a_clock_that_was_set_back_loses_nothing(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [2_000_000_000.0]
    monkeypatch.setattr(time, "time", lambda: now[0])
    for _ in range(KEPT):
        Journal(journal.path).save(SCAN, {"question": "before"})
    Journal(journal.path).save(OTHER, {})
    now[0] = 1_000_000_000.0
    journal.save(SCAN, {"question": "after"})
    page = journal.load(SCAN)
    assert page is not None
    assert page.body == {"question": "after"}
    assert [page.scan for page in journal.pages()] == [SCAN, OTHER]


def test_damage_within_the_file_is_told_and_a_new_one_is_begun(journal: Journal) -> None:
    told: list[str] = []
    journal.on_damage = told.append
    journal.save(SCAN, {"question": "x" * 100_000})
    journal.close()
    content = bytearray(journal.path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    journal.path.write_bytes(content)
    journal.save(SCAN, {"question": "new"})
    page = journal.load(SCAN)
    assert page is not None
    assert page.body == {"question": "new"}
    assert len(told) == 1
    assert "journal.broken-" in told[0]
    assert list(journal.path.parent.glob("journal.broken-*"))
    journal.delete(SCAN)
    assert not list(journal.path.parent.glob("journal.broken-*"))


def test_a_window_follows_when_another_one_moved_the_file_aside(journal: Journal) -> None:
    other = Journal(journal.path)
    other.save(SCAN, {"question": "old"})
    journal.save(OTHER, {"question": "old"})
    journal.path.replace(journal.path.with_name("elsewhere"))
    journal.save(OTHER, {"question": "new"})
    other.save(SCAN, {"question": "newer"})
    assert [page.scan for page in Journal(journal.path).pages()] == [SCAN, OTHER]


def test_a_file_of_format_1_is_upgraded(journal: Journal) -> None:
    journal.path.parent.mkdir()
    with sqlite3.connect(journal.path) as base:
        base.execute(
            "CREATE TABLE pages (scan TEXT NOT NULL, session TEXT NOT NULL, updated REAL NOT NULL, "
            "body TEXT NOT NULL, PRIMARY KEY (scan, session)) WITHOUT ROWID"
        )
        for session, updated in (("a", 3.0), ("b", 5.0), ("c", 4.0)):
            body = f'{{"question": "{session}"}}'
            base.execute("INSERT INTO pages VALUES (?, ?, ?, ?)", (SCAN, session, updated, body))
        base.execute("PRAGMA user_version = 1")
    base.close()
    page = journal.load(SCAN)
    assert page is not None
    assert page.body == {"question": "b"}
    journal.save(OTHER, {"question": "new"})
    assert [page.scan for page in journal.pages()] == [OTHER, SCAN]


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")
def test_its_files_are_private_from_the_first_byte(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes = []
    connect = sqlite3.connect

    def look(path: Path, **options: Any) -> sqlite3.Connection:
        modes.append(path.stat().st_mode & 0o777)
        return connect(path, **options)

    monkeypatch.setattr(sqlite3, "connect", look)
    old = os.umask(0)
    try:
        journal.save(SCAN, {"question": "text"})
    finally:
        os.umask(old)
    assert modes == [0o600]
    assert journal.path.parent.stat().st_mode & 0o777 == 0o700
    files = list(journal.path.parent.iterdir())
    assert len(files) > 1
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
