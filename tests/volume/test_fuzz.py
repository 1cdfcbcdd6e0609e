"""A few hundred damaged scans on every run; `python -m tests.volume.fuzz` does 20,000."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from napari_ct_assistant.volume import CTVolume, open_ct
from tests.fuzzing import Outcome, judge, run_here, run_in_workers
from tests.volume.fuzz import Run, differing, prepare, sound_files
from tests.volume.samples import ramp, save_series

COUNT = 420


def test_sound_files_are_read(tmp_path: Path) -> None:
    for file in sound_files(tmp_path):
        assert open_ct(tmp_path / file.name).hu.size >= 96 * 80


@pytest.mark.parametrize("part", range(3))
def test_damaged_scans_end_in_a_volume_or_a_read_error(tmp_path: Path, part: int) -> None:
    cases = range(part * COUNT // 3, (part + 1) * COUNT // 3)
    outcomes = run_here(prepare(tmp_path, seed=1), cases, tmp_path / "work")
    assert [f"{o.kind}: {o.failure}" for o in outcomes if o.failure] == []
    # Neither ending may be rare, or the damage tests nothing.
    endings = [outcome.ending for outcome in outcomes]
    assert endings.count("opened") > len(cases) // 20
    assert endings.count("CTReadError") > len(cases) // 20


@pytest.mark.slow
def test_many_damaged_scans_in_worker_processes() -> None:
    outcomes = run_in_workers(prepare, 20_000, seed=2)
    assert [f"{o.kind}: {o.failure}" for o in outcomes if o.failure] == []


def test_an_untouched_slice_with_other_values_is_found(tmp_path: Path) -> None:
    folder = save_series(tmp_path, [(0, 0, 2.0 * k) for k in range(6)], shape=(24, 20))
    volume = open_ct(folder)
    truth = {k: ramp(k, (24, 20)) for k in range(6)}
    assert differing(volume, truth) == ""
    hu = volume.hu.copy()
    hu[2, 3, 4] += 1
    other = CTVolume(hu, volume.affine)
    assert differing(other, truth) == "slice 3 was not damaged and has other values"


def deadly(_folder: Path, _seed: int) -> Run:
    def run(case: int, _place: Path) -> Outcome:
        if case == 3:
            os._exit(9)
        return judge("number", lambda: "odd" if case == 4 else "", ValueError, memory=1 << 40)

    return run


def test_what_a_dead_worker_found_is_not_lost() -> None:
    outcomes = run_in_workers(deadly, 7, seed=0)
    assert [o.failure for o in outcomes] == ["", "", "", "the worker died (exit 9)", "odd", "", ""]


def test_other_errors_and_too_much_memory_are_failures() -> None:
    def fail() -> str:
        raise KeyError("x")

    kept: list[np.ndarray] = []

    def take() -> str:
        kept.append(np.ones(8 << 20))
        return ""

    assert judge("a", fail, ValueError, memory=1 << 40).failure == "KeyError: 'x'"
    assert "took 6" in judge("b", take, ValueError, memory=1 << 20).failure
