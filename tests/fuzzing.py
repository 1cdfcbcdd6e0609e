"""Run many damaged inputs in worker processes, and judge how each was taken.

A worker writes each outcome to a file before it takes the next case, so what it found is not
lost when it dies; the case in which it died or hung is a failure, and the next worker goes on
behind it.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

# A worker that ends no case for so long hangs.
HANGS_SECONDS = 90.0
BATCH = 2000


@dataclass(frozen=True)
class Outcome:
    """How one case was taken; `failure` is "" where it was taken well.

    kind: what was damaged. ending: "opened", or the name of the error. memory: bytes by which
    the worker's peak rose.
    """

    kind: str
    ending: str
    failure: str
    seconds: float
    memory: int


# Takes a case's number, and a folder of its own for it.
Run = Callable[[int, Path], Outcome]
# Makes the sound inputs in a folder; returns what damages them and takes a case.
Prepare = Callable[[Path, int], Run]


def judge(
    kind: str,
    action: Callable[[], str],
    expected: type[Exception],
    *,
    begins: str = "",
    seconds: float = 10.0,
    memory: int,
) -> Outcome:
    """Do what opens a damaged input and measure it.

    Parameters
    ----------
    kind
        What was damaged.
    action
        Opens it; returns what is wrong with the result, "" if nothing is.
    expected
        The error that it may end in, with one line.
    begins
        How that line begins.
    seconds, memory
        What it may take.
    """
    before = _reset_peak()
    start = time.perf_counter()
    ending = "opened"
    try:
        failure = action()
    except expected as error:
        ending, failure = type(error).__name__, ""
        if "\n" in str(error) or not str(error).startswith(begins) or len(str(error)) > 2000:
            failure = f"unclear message: {str(error)[:300]}"
    except Exception as error:  # noqa: BLE001 - any other exception is what is looked for
        ending = failure = f"{type(error).__name__}: {str(error)[:300]}"
    taken = time.perf_counter() - start
    risen = max(0, _peak() - before)
    for _ in range(2):
        if risen <= memory:
            break
        # Other threads of a test process take memory, too; what the input takes, it takes again.
        before = _reset_peak()
        with suppress(Exception):
            action()
        risen = min(risen, max(0, _peak() - before))
    if not failure and taken > seconds:
        failure = f"took {taken:.1f} s"
    if not failure and risen > memory:
        failure = f"took {risen / 1e6:.1f} MB of memory, {memory / 1e6:.1f} allowed"
    return Outcome(kind, ending, failure, taken, risen)


def run_here(run: Run, cases: Sequence[int], folder: Path) -> list[Outcome]:
    """Take cases in this process."""
    outcomes = []
    for case in cases:
        place = folder / str(case)
        place.mkdir(parents=True)
        outcomes.append(run(case, place))
        _remove(place)
    return outcomes


def main(prepare: Prepare, what: str, count: int, arguments: Sequence[str] | None = None) -> int:
    """Take `--count` cases of `--seed` in worker processes and print the figures."""
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("--count", type=int, default=count)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    start = time.perf_counter()
    outcomes = run_in_workers(prepare, options.count, options.seed)
    failures = [(n, o) for n, o in enumerate(outcomes) if o.failure]
    for n, outcome in failures[:50]:
        print(f"case {n} ({outcome.kind}): {outcome.failure}")
    endings = Counter("failed" if o.failure else o.ending for o in outcomes)
    slowest = max(outcomes, key=lambda outcome: outcome.seconds)
    most = max(outcomes, key=lambda outcome: outcome.memory)
    print(
        f"{len(outcomes)} {what}, seed {options.seed}: "
        + ", ".join(f"{n} {ending}" for ending, n in endings.most_common())
        + f"; {len(failures)} failures; slowest {slowest.seconds:.2f} s ({slowest.kind}), most "
        f"memory {most.memory / 1e6:.1f} MB ({most.kind}), "
        f"{time.perf_counter() - start:.0f} s in all"
    )
    return 1 if failures else 0


def run_in_workers(prepare: Prepare, count: int, seed: int, batch: int = BATCH) -> list[Outcome]:
    """Take cases 0 to `count` in worker processes, one after another; return all outcomes."""
    context = multiprocessing.get_context("spawn")
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        while (first := len(outcomes)) < count:
            log = place / f"{first}.log"
            stop = min(first + batch, count)
            work = place / f"{first}"
            worker = context.Process(target=_work, args=(prepare, seed, first, stop, work, log))
            worker.start()
            hung = _wait(worker, log)
            done = log.read_text().splitlines() if log.exists() else []
            outcomes += [Outcome(**json.loads(line)) for line in done if line.endswith("}")]
            if len(outcomes) < stop:
                how = "hung" if hung else f"died (exit {worker.exitcode})"
                failure = f"the worker {how}"
                outcomes.append(Outcome("", failure, failure, HANGS_SECONDS if hung else 0.0, 0))
            _remove(work)
            print(
                f"{len(outcomes)} done, {sum(bool(o.failure) for o in outcomes)} failures",
                file=sys.stderr,
                flush=True,
            )
    return outcomes


def _work(prepare: Prepare, seed: int, first: int, stop: int, work: Path, log: Path) -> None:
    warnings.simplefilter("error")
    work.mkdir()
    run = prepare(work, seed)
    with log.open("a", buffering=1) as written:
        for case in range(first, stop):
            for outcome in run_here(run, [case], work / "case"):
                written.write(json.dumps(asdict(outcome)) + "\n")


def _wait(worker: multiprocessing.process.BaseProcess, log: Path) -> bool:
    """Wait for a worker's end; kill it, and return True, if it ends no case for long."""
    size, since = -1, time.monotonic()
    while worker.is_alive():
        worker.join(0.2)
        now = log.stat().st_size if log.exists() else 0
        if now != size:
            size, since = now, time.monotonic()
        elif time.monotonic() - since > HANGS_SECONDS:
            worker.kill()
            worker.join()
            return True
    return False


def _remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


def _reset_peak() -> int:
    """Start measuring peak memory; return what is resident now, 0 where unknown."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return 0
    return _peak()


def _peak() -> int:
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    return int(status.split("VmHWM:")[1].split()[0]) * 1024
