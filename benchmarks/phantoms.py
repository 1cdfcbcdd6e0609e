"""Time drawing a phantom beside the renderer of an earlier commit, which git has.

Each renderer runs in a process of its own, and they take turns; both must draw the same voxels.
"""

from __future__ import annotations

import io
import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks.machine import named, only_cores, usable_cores
from benchmarks.rows import Cost, Groups, MissingPeerError, Row, Settings, faster

ROOT: Final = Path(__file__).parents[1]
BEFORE: Final = "013736a"
SEEDS: Final = range(100, 106)
# Reads a seed a line, and answers with seconds, processor seconds and a digest.
WORKER: Final = """
import hashlib, json, sys, time
from napari_ct_assistant.phantoms import make_phantom
make_phantom(0)
for line in sys.stdin:
    wall, work = time.perf_counter(), time.process_time()
    phantom = make_phantom(int(line))
    taken = time.perf_counter() - wall, time.process_time() - work
    digest = hashlib.sha256(phantom.volume.hu.tobytes()).hexdigest()
    print(json.dumps([*taken, digest]), flush=True)
"""


def phantom(settings: Settings) -> Iterator[Row]:
    """Draw phantoms, beside the renderer of an earlier commit; one core and two."""
    if settings.quick:
        return
    with tempfile.TemporaryDirectory() as folder:
        unpack(BEFORE, Path(folder))
        for cores in usable_cores():
            with only_cores(cores):
                ours, theirs = race(ROOT / "src", Path(folder) / "src", settings)
            yield Row(
                f"one phantom, {named(cores)}",
                f"commit {BEFORE}",
                ours,
                theirs,
                (faster(2),),
                note="the same voxels",
            )


GROUPS: Final[Groups] = {"phantom": phantom}


def unpack(commit: str, folder: Path) -> None:
    """Write the sources of a commit into a folder."""
    try:
        done = subprocess.run(
            ["git", "archive", commit, "src"], cwd=ROOT, capture_output=True, check=False
        )
    except FileNotFoundError:
        raise MissingPeerError("git is missing") from None
    if done.returncode:
        raise MissingPeerError(f"git has no commit {commit}: fetch the whole history")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")


def race(ours: Path, theirs: Path, settings: Settings) -> tuple[Cost, Cost]:
    """Draw every seed with both renderers in turn; return the medians."""
    workers = [worker(source) for source in (ours, theirs)]
    taken: tuple[list[tuple[float, float]], ...] = ([], [])
    try:
        for seed in [*SEEDS][: max(1, settings.repeat + 1)]:
            answers = [ask(each, seed) for each in workers]
            if answers[0][2] != answers[1][2]:
                raise SystemExit(f"seed {seed}: the two renderers draw different voxels")
            for times, answer in zip(taken, answers, strict=True):
                times.append((answer[0], answer[1]))
    finally:
        for each in workers:
            each.kill()
            each.communicate()
    first, second = (
        Cost(*(statistics.median(part) for part in zip(*times, strict=True))) for times in taken
    )
    return first, second


def worker(source: Path) -> subprocess.Popen[str]:
    """Start a process that draws with the sources of a folder."""
    return subprocess.Popen(
        [sys.executable, "-c", WORKER],
        env={**os.environ, "PYTHONPATH": str(source)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def ask(process: subprocess.Popen[str], seed: int) -> Any:
    """Let a worker draw one phantom."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{seed}\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())
