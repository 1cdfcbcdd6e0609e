"""The Markdown tables of what was measured, and where readers see them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks import prediction
from benchmarks.rows import Row, Target
from benchmarks.trend import fit

ROOT: Final = Path(__file__).parents[1]
README: Final = ROOT / "README.md"
PAGE: Final = ROOT / "docs" / "speed.md"
PLOT: Final = ROOT / "docs" / "images" / "speed.svg"
COMMAND: Final = "python -m benchmarks.assistant --publish"

HEAD = (
    "| Step | Compared with | Here | There | Ratio | Processor time | Busy | Asked |",
    "| --- | --- | --- | --- | --- | --- | --- | --- |",
)


def table(results: dict[str, Any]) -> list[str]:
    """Return the lines of the table: one for each row, and one for what was left out.

    Rows that hold a curve are in `growth`.
    """
    lines = list(HEAD)
    for name, group in results["groups"].items():
        quiet, busy = group.get("quiet", {}), group.get("busy", {})
        beside = {value["step"]: Row.from_json(value) for value in busy.get("rows", [])}
        for value in quiet.get("rows", []):
            row = Row.from_json(value)
            if row.curve is None:
                lines.append(line(row, beside.get(row.step)))
        if missing := quiet.get("missing"):
            lines.append(f"| {name} | not measured: {missing} |  |  |  |  |  |  |")
    return lines


def line(row: Row, busy: Row | None) -> str:
    """Return one row as a line of the table."""
    cells = [
        row.step,
        row.peer,
        cost(row),
        "" if row.theirs is None else seconds(row.theirs.seconds),
        times(row.ratio),
        times(row.processor_ratio),
        "" if busy is None else times(busy.ratio) or cost(busy),
        "; ".join(asked(row, target) for target in row.targets),
    ]
    return f"| {' | '.join(cells)} |"


def cost(row: Row) -> str:
    """Return what a row takes: seconds, or the peak of memory where it is about that."""
    # What has a peak of memory and no peer is about memory.
    peak = row.ours.memory if row.theirs is None else None
    return seconds(row.ours.seconds) if peak is None else f"{peak / 1e9:.2f} GB"


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
        text = f"{target.quantity} >= {bound:g}" + ("" if value is None else f" ({value:.3g})")
    return f"{text}: {({True: 'yes', False: 'no', None: 'not measured'})[row.reached(target)]}"


def seconds(value: float) -> str:
    """Return a time in the unit in which it reads best."""
    return f"{value * 1000:.3g} ms" if value < 1 else f"{value:.3g} s"


def times(ratio: float | None) -> str:
    if ratio is None:
        return ""
    return f"{ratio:.0f}x" if ratio >= 100 else f"{ratio:.3g}x"


def rows(results: dict[str, Any], way: str = "quiet") -> Iterator[Row]:
    """Yield all rows that were measured so."""
    for group in results["groups"].values():
        for value in group.get(way, {}).get("rows", []):
            yield Row.from_json(value)


def growth(results: dict[str, Any]) -> list[str]:
    """Return a table of the curves: their ends, and the power law through all points."""
    lines = [
        "| Step | Grows with | From | To | Seconds grow as | Memory grows as |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows(results):
        curve = row.curve
        if curve is None:
            continue
        first, last = curve.sizes[0], curve.sizes[-1]
        lines.append(
            f"| {row.step.rpartition(f', {last:,.0f}')[0]} | {curve.over} "
            f"| {first:,.0f}: {seconds(curve.seconds[0])} "
            f"| {last:,.0f}: {seconds(curve.seconds[-1])} "
            f"| {power(curve.sizes, curve.seconds)} "
            f"| {power(curve.sizes, curve.memory) if curve.memory else 'not measured'} |"
        )
    return lines


def power(sizes: Sequence[float], costs: Sequence[float]) -> str:
    """Return the exponent of the power law, with its interval."""
    if min(costs) <= 0:
        return "too little to measure"
    law = fit(sizes, costs)
    return f"n^{law.exponent:.2f} ({law.low:.2f} to {law.high:.2f})"


def provenance(results: dict[str, Any]) -> str:
    """Return what the figures belong to: machine, versions, command."""
    versions = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    loads = [way["load"] for group in results["groups"].values()
             for name, way in group.items() if name == "quiet"]  # fmt: skip
    load = f"; load average before the quiet runs {min(loads)} to {max(loads)}" if loads else ""
    return f"{results['machine']}{load}; {versions}."


def publish(results: dict[str, Any]) -> None:
    """Write the table and the plot where readers see them."""
    from benchmarks.plot import plot

    plot(results, PLOT)
    between(README, "speed", [*table(results), "", *wrapped(provenance(results))])
    between(PAGE, "growth", growth(results))
    between(PAGE, "prediction", prediction.table())


def wrapped(text: str) -> list[str]:
    """Return a text in lines of the length that the documentation has."""
    import textwrap

    return textwrap.wrap(text, 120, break_long_words=False, break_on_hyphens=False)


def between(file: Path, name: str, lines: list[str]) -> None:
    """Replace what stands between the two markers of a file.

    Raises
    ------
    ValueError
        If the file has no such markers.
    """
    start, end = f"<!-- {name}: written by `{COMMAND}` -->", f"<!-- end of {name} -->"
    text = file.read_text(encoding="utf-8")
    head, found, rest = text.partition(start)
    _, closed, tail = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{file.name} has no lines {start} and {end}; add them")
    body = "\n".join(lines)
    file.write_text(f"{head}{start}\n\n{body}\n\n{end}{tail}", encoding="utf-8")
