"""Files that should be slices and hold nothing are counted and named."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from napari_ct_assistant.volume import CTReadError, list_series, open_ct
from tests.volume.samples import save_series

LINE = [(0, 0, 3.0 * k) for k in range(8)]


def empty(path: Path) -> None:
    path.write_bytes(b"")


def zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def broken_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("../annex/absent")


LOST: dict[str, tuple[Callable[[Path], None], str]] = {
    "empty": (empty, "empty"),
    "zeros": (zeros, "filled with zeros"),
    "link": (broken_link, "broken links"),
}


@pytest.mark.parametrize("kind", LOST)
@pytest.mark.parametrize("where", [(0, 7), (3, 4), (7,)])
def test_lost_slices_are_named(tmp_path: Path, kind: str, where: tuple[int, ...]) -> None:
    lose, words = LOST[kind]
    folder = save_series(tmp_path / "s", LINE)
    files = sorted(folder.iterdir(), key=lambda path: path.name.split("_")[1])
    lost = [files[k] for k in where]
    for path in lost:
        lose(path)
    warnings = open_ct(folder).warnings
    (told,) = [w for w in warnings if words.rstrip("s") in w]
    assert all(path.name in told for path in lost)
    # A slice that was given stands for its series, and tells the same.
    assert told in open_ct(files[5]).warnings


@pytest.mark.parametrize("kind", LOST)
def test_nothing_but_lost_files(tmp_path: Path, kind: str) -> None:
    lose, words = LOST[kind]
    folder = save_series(tmp_path / "s", LINE[:2])
    for path in list(folder.iterdir()):
        lose(path)
    with pytest.raises(CTReadError, match=f"2 files are {words}"):
        open_ct(folder)


def test_a_folder_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save_series(tmp_path / "s", LINE)
    save_series(folder / "closed", [(0, 0, 24.0)])
    really = os.scandir

    def refuse(path: Any) -> Any:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return really(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert "1 folder cannot be read (closed)" in open_ct(folder).warnings


def test_linked_folders_are_followed_once(tmp_path: Path) -> None:
    save_series(tmp_path / "real" / "deep", LINE)
    study = tmp_path / "study"
    study.mkdir()
    (study / "series").symlink_to("../real/deep")
    (study / "again").symlink_to(".")
    (study / "copy").symlink_to("../real/deep")
    assert [info.n_slices for info in list_series(study)] == [8]
    assert open_ct(study).warnings == ()
