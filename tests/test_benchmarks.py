"""What the benchmark of a reading counts: passes and tokens, which are alike on every machine."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.assistant import counts, make_backend, measure, table

COUNTS = Path(__file__).parents[1] / "benchmarks" / "counts.json"


def test_no_step_computes_more_than_it_did() -> None:
    """A change that encodes a scan twice, or runs a prompt again, shows here.

    A change that is meant: `python -m benchmarks.assistant --size small --json FILE`, and copy its
    "counts" into the file.
    """
    rows = measure(make_backend("small"), repeat=1)
    assert counts(rows) == json.loads(COUNTS.read_text())
    lines = table(rows)
    assert len(lines) == len(rows) + 2
    assert all(line.count("|") == 7 for line in lines)
