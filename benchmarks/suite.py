"""Run the groups of rows of all modules, each in a process of its own, quiet and busy.

`benchmarks/rows.py` says how a module contributes; `python -m benchmarks.assistant` is the command.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final

from benchmarks import machine, tables
from benchmarks.rows import Groups, Measure, MissingPeerError, Row, Settings

MODULES: Final = (
    "benchmarks.questions",
    "benchmarks.encoders",
    "benchmarks.decoding",
    "benchmarks.volumes",
    "benchmarks.first_slice",
    "benchmarks.start",
    "benchmarks.phantoms",
    "benchmarks.growth",
)
RESULTS: Final = Path(__file__).parent / "results.json"
BASELINE: Final = Path(__file__).parent / "baseline.json"
# A ratio that falls under this share of the committed one is a regression; noise stays above it.
TOLERANCE: Final = 0.5
Results = dict[str, Any]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.assistant",
        description="Measure each step beside what a reader would use instead.",
    )
    parser.add_argument("--only", nargs="+", metavar="GROUP", help="measure these; keep the others")
    parser.add_argument("--list", action="store_true", help="name the groups")
    parser.add_argument("--repeat", type=int, default=5, help="rounds that count (default 5)")
    parser.add_argument("--quick", action="store_true", help="counts only, on the smallest inputs")
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument("--quiet", action="store_true", help="leave out the busy runs")
    ways.add_argument("--add-busy", action="store_true", help="only these; keep the quiet ones")
    parser.add_argument("--json", type=Path, default=RESULTS, help=f"default {RESULTS.name}")
    parser.add_argument("--compare", type=Path, metavar="BASELINE", help="fail on a regression")
    parser.add_argument("--baseline", action="store_true", help=f"write {BASELINE.name} anew")
    parser.add_argument("--counts", action="store_true", help="write only its quick counts anew")
    parser.add_argument("--publish", action="store_true", help="rewrite README, docs and plot")
    parser.add_argument("--group", help=argparse.SUPPRESS)
    parser.add_argument("--busy", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    settings = Settings(1 if options.quick else options.repeat, options.quick, options.busy)
    if options.group:
        return _print_rows(options.group, settings)
    if options.list:
        print("\n".join(f"{name:16} {_about(measure)}" for name, measure in groups().items()))
        return 0
    if options.counts:
        known = _baseline(BASELINE) if BASELINE.exists() else {"ratios": {}, "counts": {}}
        BASELINE.write_text(json.dumps({**known, "quick_counts": quick_counts()}, indent=1) + "\n")
        return 0
    names = options.only or list(groups())
    if unknown := [name for name in names if name not in groups()]:
        parser.error(f"no group {unknown[0]!r}; there are {', '.join(groups())}")
    if options.quick:
        found = {row.step: dict(row.counts) for name in names for row in rows_of(name, settings)}
        print(json.dumps(found, indent=2))
        return _report(compare_counts(found, _baseline(options.compare), "quick_counts"))
    results = load(options.json)
    chosen = ("quiet",) if options.quiet else ("busy",) if options.add_busy else ("quiet", "busy")
    for name in names:
        for way in chosen:
            results["groups"].setdefault(name, {})[way] = measure_apart(name, settings, way)
            options.json.write_text(json.dumps(results, indent=1) + "\n")
    order = list(groups())
    results["groups"] = dict(sorted(results["groups"].items(), key=lambda kv: order.index(kv[0])))
    options.json.write_text(json.dumps(results, indent=1) + "\n")
    print("\n".join([*tables.table(results), "", *tables.growth(results)]))
    if options.publish:
        tables.publish(results)
    if options.baseline:
        BASELINE.write_text(json.dumps(baseline(results), indent=1) + "\n")
    return _report(compare(results, names, _baseline(options.compare)))


def groups() -> Groups:
    """Return the groups of all modules, by name."""
    found: dict[str, Measure] = {}
    for module in MODULES:
        for name, measure in importlib.import_module(module).GROUPS.items():
            if name in found:
                raise ValueError(f"two groups of rows are named {name!r}")
            found[name] = measure
    return found


def rows_of(name: str, settings: Settings) -> Iterator[Row]:
    """Measure one group in this process."""
    yield from groups()[name](settings)


def measure_apart(name: str, settings: Settings, way: str) -> dict[str, Any]:
    """Measure one group in a process of its own; return its rows as JSON and the load before."""
    command = [sys.executable, "-m", "benchmarks.suite", "--group", name]
    command += ["--repeat", str(settings.repeat)]
    if way == "busy":
        command.append("--busy")
    result: dict[str, Any] = {"load": round(os.getloadavg()[0], 1), "rows": []}
    with busy() if way == "busy" else nullcontext():
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    for line in done.stdout.splitlines():
        # Libraries print too.
        if line.startswith('{"step"'):
            result["rows"].append(json.loads(line))
        elif line.startswith('{"missing"'):
            result.update(json.loads(line))
    if done.returncode:
        result["failed"] = done.returncode
        print(f"{name} ({way}) ended with {done.returncode}", file=sys.stderr)
    return result


@contextmanager
def busy() -> Iterator[None]:
    """Keep one core working meanwhile."""
    # It ends with this process, however this one ends.
    spin = "import os\nparent = os.getppid()\nwhile os.getppid() == parent: pass"
    worker = subprocess.Popen([sys.executable, "-c", spin])
    try:
        yield
    finally:
        worker.kill()
        worker.wait()


def load(path: Path) -> Results:
    """Return what was measured before, if on this machine, else an empty result."""
    here: Results = {"machine": machine.describe(), "versions": machine.versions(), "groups": {}}
    if path.exists():
        before = json.loads(path.read_text())
        if before.get("machine") == here["machine"]:
            here["groups"] = {k: v for k, v in before["groups"].items() if k in groups()}
    return here


def baseline(results: Results) -> dict[str, Any]:
    """Return what later runs are compared with: ratios, counts, and the counts of `--quick`."""
    rows = [Row.from_json(row) for group in results["groups"].values()
            for row in group.get("quiet", {}).get("rows", [])]  # fmt: skip
    return {
        "ratios": {r.step: round(r.ratio, 2) for r in rows if r.ratio is not None},
        "counts": {r.step: dict(r.counts) for r in rows if r.counts},
        "quick_counts": quick_counts(),
    }


def quick_counts() -> dict[str, dict[str, int]]:
    """Return the counts of every group on its smallest input, in seconds."""
    import torch

    quick, threads = Settings(1, quick=True), torch.get_num_threads()
    # Steps of a millisecond: several threads would wait for each other where a core is busy.
    torch.set_num_threads(1)
    try:
        return {row.step: dict(row.counts) for name in groups() for row in rows_of(name, quick)}
    finally:
        torch.set_num_threads(threads)


def compare(results: Results, names: list[str], before: dict[str, Any]) -> list[str]:
    """Return a line for each regression of the groups that were measured."""
    lines = []
    counts = {}
    for name in names:
        for value in results["groups"][name].get("quiet", {}).get("rows", []):
            row = Row.from_json(value)
            counts[row.step] = dict(row.counts)
            known = before.get("ratios", {}).get(row.step)
            if known and row.ratio is not None and row.ratio < TOLERANCE * known:
                lines.append(f"{row.step}: {row.ratio:.2f}x, was {known:g}x")
    return lines + compare_counts(counts, before, "counts")


def compare_counts(
    found: dict[str, dict[str, int]], before: dict[str, Any], kind: str
) -> list[str]:
    """Return a line for each step whose counts differ from the committed ones."""
    known = before.get(kind, {})
    return [
        f"{step}: counts {found[step]}, were {known[step]}"
        for step in found
        if step in known and found[step] != known[step]
    ]


def _print_rows(name: str, settings: Settings) -> int:
    try:
        for row in rows_of(name, settings):
            print(json.dumps(row.to_json()), flush=True)
            print(f"measured: {row.step}", file=sys.stderr)
    except MissingPeerError as error:
        print(json.dumps({"missing": str(error)}))
        print(f"left out: {name}: {error}", file=sys.stderr)
    return 0


def _baseline(path: Path | None) -> dict[str, Any]:
    return {} if path is None else json.loads(path.read_text())


def _report(lines: list[str]) -> int:
    for line in lines:
        print(f"regression: {line}", file=sys.stderr)
    return 1 if lines else 0


def _about(measure: Measure) -> str:
    return (measure.__doc__ or "").strip().splitlines()[0]


if __name__ == "__main__":
    raise SystemExit(main())
