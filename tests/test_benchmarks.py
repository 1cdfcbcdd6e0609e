"""What the benchmark of a reading counts: passes and tokens, which are alike on every machine."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.rows import Settings
from benchmarks.suite import groups, rows_of
from benchmarks.tables import line

COUNTS = Path(__file__).parents[1] / "benchmarks" / "counts.json"


def test_no_step_computes_more_than_it_did() -> None:
    """A change that encodes a scan twice, or runs a prompt again, shows here.

    A change that is meant: `python -m benchmarks.assistant --quick > FILE`, and copy it.
    """
    quick = Settings(repeat=1, quick=True)
    rows = [row for name in groups() for row in rows_of(name, quick)]
    assert {row.step: dict(row.counts) for row in rows} == json.loads(COUNTS.read_text())
    assert len({row.step for row in rows}) == len(rows)
    assert all(line(row, row).count("|") == 9 for row in rows)
