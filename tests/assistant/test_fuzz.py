"""Some damaged templates and journals on every run; `python -m tests.assistant.fuzz` does 4,000."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.assistant.fuzz import prepare
from tests.fuzzing import run_here, run_in_workers


def test_damaged_templates_and_journals(tmp_path: Path) -> None:
    outcomes = run_here(prepare(tmp_path, seed=1), range(160), tmp_path / "work")
    assert [f"{n} {o.kind}: {o.failure}" for n, o in enumerate(outcomes) if o.failure] == []
    assert {"opened", "TemplateError"} <= {outcome.ending for outcome in outcomes}


@pytest.mark.slow
def test_many_damaged_templates_and_journals_in_worker_processes() -> None:
    outcomes = run_in_workers(prepare, 4000, seed=2)
    assert [f"{n} {o.kind}: {o.failure}" for n, o in enumerate(outcomes) if o.failure] == []
