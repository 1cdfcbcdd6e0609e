"""What the benchmarks count: passes and tokens, which are alike on every machine."""

from __future__ import annotations

import json

from benchmarks import suite


def test_no_step_computes_more_than_it_did() -> None:
    """A change that encodes a scan twice, or runs a prompt again, shows here.

    After a change that is meant, `python -m benchmarks.assistant --counts` writes the file anew.
    """
    before = json.loads(suite.BASELINE.read_text())
    found = suite.quick_counts()
    assert set(found) == set(before["quick_counts"])
    assert suite.compare_counts(found, before, "quick_counts") == []
