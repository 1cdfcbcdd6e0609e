"""The rows of the benchmarks: what is compared, what is asked, and what counts as a regression."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
from benchmarks import prediction, suite, tables
from benchmarks.rows import Cost, Curve, Row, Settings, Target, faster, peak_memory, race
from benchmarks.trend import fit


def _row(**given: object) -> Row:
    values = {
        "step": "loading",
        "peer": "another 1.0",
        "ours": Cost(0.5, 0.4, 100),
        "theirs": Cost(2.0, 1.0, 400),
        "targets": (faster(5), Target("memory", 0.5), Target("acceptance", 0.3)),
        "counts": {"files": 3},
        "measured": {"acceptance": 0.31},
    }
    return Row(**{**values, **given})  # type: ignore[arg-type]


def test_targets_are_judged_by_their_quantity() -> None:
    row = _row()
    assert (row.ratio, row.processor_ratio, row.memory_share) == (4.0, 2.5, 0.25)
    assert [row.reached(target) for target in row.targets] == [False, True, True]
    assert row.reached(Target("seconds", 0.5)) is True
    assert row.reached(Target("share", 0.2)) is False
    assert row.reached(Target("bandwidth", 0.6)) is None
    alone = _row(theirs=None)
    assert alone.ratio is alone.memory_share is alone.reached(faster(2)) is None


def test_a_row_survives_json() -> None:
    curve = Curve("slices", (1.0, 2.0), (0.1, 0.2), (10.0, 20.0))
    for row in (_row(), _row(theirs=None, targets=(), counts={}, measured={}, curve=curve)):
        assert Row.from_json(json.loads(json.dumps(row.to_json()))) == row


def test_ways_take_turns_and_a_peer_may_stand_for_many() -> None:
    order: list[str] = []

    def theirs() -> None:
        order.append("theirs")
        time.sleep(0.002)

    ours_cost, theirs_cost = race(
        lambda: order.append("ours"), theirs, Settings(repeat=2), factor=1000
    )
    assert order == ["ours", "theirs"] * 3
    assert theirs_cost.seconds >= 2 > ours_cost.seconds
    assert ours_cost.memory is None


def test_the_peak_of_memory_is_that_of_the_run_alone() -> None:
    kept = np.ones(200_000_000, np.uint8)
    peak = peak_memory(lambda: np.ones(100_000_000, np.uint8))
    if peak is None:
        pytest.skip("needs Linux")
    # The kernel counts in batches of pages.
    assert 90_000_000 < peak < 150_000_000
    assert kept[-1]


def test_a_regression_is_a_halved_ratio_or_another_count() -> None:
    before = {"ratios": {"loading": 7.0}, "counts": {"loading": {"files": 3}}}

    def compare(row: Row) -> list[str]:
        results = {"groups": {"loading": {"quiet": {"rows": [row.to_json()]}}}}
        return suite.compare(results, ["loading"], before)

    assert compare(_row()) == []
    assert compare(_row(theirs=Cost(1.7, 1.0))) == ["loading: 3.40x, was 7x"]
    assert compare(_row(counts={"files": 4})) == ["loading: counts {'files': 4}, were {'files': 3}"]


def test_the_table_has_a_line_for_each_row_and_for_each_peer_that_is_missing() -> None:
    row, busy = _row(), _row(theirs=Cost(3.0, 1.0))
    groups = {
        "loading": {"quiet": {"rows": [row.to_json()]}, "busy": {"rows": [busy.to_json()]}},
        "opening": {"quiet": {"rows": [], "missing": "pip install it"}},
    }
    head, rule, first, second = tables.table({"groups": groups})
    assert {line.count("|") for line in (head, rule, first, second)} == {head.count("|")}
    assert "| 500 ms | 2 s | 4x | 2.5x | 6x | 5x: no; memory <= 0.5 (0.25): yes" in first
    assert "pip install it" in second


def test_a_trend_is_the_power_law_through_the_points() -> None:
    exact = fit([1, 2, 4, 8], [3, 12, 48, 192])
    assert exact.exponent == pytest.approx(2)
    assert (exact.low, exact.high) == (pytest.approx(2), pytest.approx(2))
    assert exact(16) == pytest.approx(768)
    # scipy.stats.linregress and Student's t of two degrees of freedom, 4.3027.
    rough = fit([1, 10, 100, 1000], [1, 20, 80, 2000])
    assert rough.exponent == pytest.approx(1.0505, abs=1e-4)
    assert rough.low < 1.05 < rough.high
    with pytest.raises(ValueError, match="three positive costs"):
        fit([1, 2, 3], [1, 0, 2])


def test_a_token_is_predicted_from_the_bytes_that_it_reads() -> None:
    """Vicuna-7B: 13.48 GB of weights, 0.5 MiB of cache for each of 500 tokens, 3.35 TB/s."""
    vicuna, h100 = prediction.MODELS[0], prediction.GPUS[0]
    short, long = prediction.per_token(vicuna, h100)
    ideal = (13.48e9 + 524_288 * 500) / 3.35e12
    assert short == pytest.approx(ideal / 0.85)
    assert long == pytest.approx(ideal / 0.60)


def test_only_what_stands_between_the_markers_is_rewritten(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    start = f"<!-- speed: written by `{tables.COMMAND}` -->"
    page.write_text(f"before\n\n{start}\n\nold\n\n<!-- end of speed -->\nafter\n")
    tables.between(page, "speed", ["| new |"])
    tables.between(page, "speed", ["| newer |"])
    assert page.read_text() == (f"before\n\n{start}\n\n| newer |\n\n<!-- end of speed -->\nafter\n")
    page.write_text("no markers\n")
    with pytest.raises(ValueError, match=r"page\.md has no lines"):
        tables.between(page, "speed", [])


def test_a_row_about_memory_alone_shows_its_peak() -> None:
    row = _row(theirs=None, targets=(), ours=Cost(1.8, 1.8, 1_230_000_000))
    assert tables.line(row, None).split(" | ")[2] == "1.23 GB"
