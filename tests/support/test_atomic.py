"""A file is replaced whole or stays as it was."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from napari_ct_assistant.support import atomic
from tests.support.full_disk import full_disk


def test_a_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    atomic.write_text(path, "old")
    atomic.write_text(path, "new\nè")
    assert path.read_bytes() == "new\nè".encode()
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_a_failure_keeps_the_old_file_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    path.write_text("old")

    def interrupted() -> None:
        with atomic.replacing(path) as part:
            assert part.parent == path.parent
            assert part.suffix == ".npz"
            part.write_text("ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.npz"]


def test_a_block_that_writes_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic.replacing(tmp_path / "a.txt"):
        pass
    assert not list(tmp_path.iterdir())


def test_an_error_names_the_file_that_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "no folder" / "a.txt"
    with pytest.raises(FileNotFoundError) as caught:
        atomic.write_text(path, "")
    assert caught.value.filename == str(path)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_it_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    atomic.write_bytes(tmp_path / "ours", b"")
    usual, ours = ((tmp_path / name).stat().st_mode for name in ("usual", "ours"))
    assert stat.S_IMODE(ours) == stat.S_IMODE(usual)


@pytest.mark.skipif(sys.platform == "win32", reason="files are not locked there")
def test_a_file_that_is_being_written_is_no_leftover(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync, seen = os.fsync, []

    def look(number: int) -> None:
        if not seen:
            atomic.remove_leftovers(tmp_path, ".txt")
            seen.extend(file.name for file in tmp_path.iterdir())
        sync(number)

    monkeypatch.setattr(os, "fsync", look)
    atomic.write_bytes(tmp_path / "a.txt", b"whole")
    assert len(seen) == 1
    assert seen[0].endswith(".part.txt")
    assert (tmp_path / "a.txt").read_bytes() == b"whole"


@pytest.mark.skipif(sys.platform == "win32", reason="the size of files cannot be limited there")
@pytest.mark.parametrize("private", [False, True])
def test_a_full_disk_names_the_file_and_leaves_what_was_there(
    tmp_path: Path, private: bool
) -> None:
    path = tmp_path / "report.txt"
    path.write_text("before")
    with pytest.raises(OSError, match=r"report\.txt") as error, full_disk():
        atomic.write_bytes(path, bytes(100_000), private=private)
    assert error.value.filename == str(path)
    with pytest.raises(OSError, match=r"report\.txt"), full_disk(), atomic.replacing(path) as part:
        part.write_bytes(bytes(100_000))
    assert path.read_text() == "before"
    assert [file.name for file in tmp_path.iterdir()] == ["report.txt"]
