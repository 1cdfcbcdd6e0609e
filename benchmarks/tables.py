"""The Markdown table of what was measured."""

from __future__ import annotations

from typing import Any

from benchmarks.rows import Row, Target

HEAD = (
    "| Step | Compared with | Here | There | Ratio | Processor time | Busy | Asked |",
    "| --- | --- | --- | --- | --- | --- | --- | --- |",
)


def table(results: dict[str, Any]) -> list[str]:
    """Return the lines of the table: one for each row, and one for what was left out."""
    lines = list(HEAD)
    for name, group in results["groups"].items():
        quiet, busy = group.get("quiet", {}), group.get("busy", {})
        beside = {value["step"]: Row.from_json(value) for value in busy.get("rows", [])}
        for value in quiet.get("rows", []):
            row = Row.from_json(value)
            lines.append(line(row, beside.get(row.step)))
        if missing := quiet.get("missing"):
            lines.append(f"| {name} | not measured: {missing} |  |  |  |  |  |  |")
    return lines


def line(row: Row, busy: Row | None) -> str:
    """Return one row as a line of the table."""
    cells = [
        row.step,
        row.peer,
        seconds(row.ours.seconds),
        "" if row.theirs is None else seconds(row.theirs.seconds),
        times(row.ratio),
        times(row.processor_ratio),
        "" if busy is None else times(busy.ratio) or seconds(busy.ours.seconds),
        "; ".join(asked(row, target) for target in row.targets),
    ]
    return f"| {' | '.join(cells)} |"


def asked(row: Row, target: Target) -> str:
    """Return a target and whether the row reaches it."""
    bound, share = target.bound, row.memory_share
    text = {
        "ratio": f"{bound:g}x",
        "seconds": f"< {bound:g} s",
        "share": f"<= {bound:g} of the time",
        "memory": f"memory <= {bound:g}" + ("" if share is None else f" ({share:.2f})"),
    }.get(target.quantity)
    if text is None:
        value = row.measured.get(target.quantity)
        text = f"{target.quantity} >= {bound:g}" + ("" if value is None else f" ({value:.2g})")
    return f"{text}: {({True: 'yes', False: 'no', None: 'not measured'})[row.reached(target)]}"


def seconds(value: float) -> str:
    """Return a time in the unit in which it reads best."""
    return f"{value * 1000:.3g} ms" if value < 1 else f"{value:.3g} s"


def times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.3g}x"
