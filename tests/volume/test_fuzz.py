"""A few hundred damaged files on every run; `python -m tests.volume.fuzz` does 20,000."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.volume.fuzz import run_cases, sound_files

COUNT = 420


def test_sound_files_are_read(tmp_path: Path) -> None:
    from napari_ct_assistant.volume import open_ct

    for file in sound_files(tmp_path):
        assert open_ct(tmp_path / file.name).hu.size >= 96 * 80


@pytest.mark.parametrize("part", range(3))
def test_damaged_files_end_in_a_volume_or_a_read_error(tmp_path: Path, part: int) -> None:
    files = sound_files(tmp_path)
    folder = tmp_path / "work"
    folder.mkdir()
    cases = range(part * COUNT // 3, (part + 1) * COUNT // 3)
    outcomes = run_cases(files, cases, seed=1, folder=folder)
    assert [o.failure for o in outcomes if o.failure] == []
    # Neither ending may be rare, or the damage tests nothing.
    endings = [o.ending for o in outcomes]
    assert endings.count("volume") > len(cases) // 20
    assert endings.count("CTReadError") > len(cases) // 20
