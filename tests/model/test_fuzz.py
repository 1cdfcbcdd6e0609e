"""Some damaged model folders on every run; `python -m tests.model.fuzz` does 2,000."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzzing import run_here, run_in_workers
from tests.model.fuzz import prepare


def test_damaged_model_folders_end_in_a_model_or_an_error(tmp_path: Path) -> None:
    outcomes = run_here(prepare(tmp_path, seed=4), range(24), tmp_path / "work")
    assert [f"{n} {o.kind}: {o.failure}" for n, o in enumerate(outcomes) if o.failure] == []
    assert {outcome.ending for outcome in outcomes} == {"opened", "ModelLoadError"}


@pytest.mark.slow
def test_many_damaged_model_folders_in_worker_processes() -> None:
    outcomes = run_in_workers(prepare, 2000, seed=5)
    assert [f"{n} {o.kind}: {o.failure}" for n, o in enumerate(outcomes) if o.failure] == []
