"""Time drawing a phantom beside the renderer of an earlier commit, which git has.

Each renderer runs in a process of its own, and they take turns. Both must draw the same phantom:
the same findings, report, questions and masks, and HU that differ by rounding only.
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

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import named, only_cores, usable_cores
from benchmarks.rows import Cost, Groups, MissingPeerError, Row, Settings, faster

ROOT: Final = Path(__file__).parents[1]
BEFORE: Final = "013736a"
SEEDS: Final = range(100, 106)
# HU may differ by this much in this share of the voxels: sums are rounded in another order.
MOST_HU: Final = 1
MOST_VOXELS: Final = 0.001
# Reads a seed and a file name a line, writes the HU, and answers with seconds, processor seconds
# and a digest of everything else.
WORKER: Final = """
import hashlib, json, sys, time
import numpy as np
from napari_ct_assistant.phantoms import make_phantom
make_phantom(0)
for line in sys.stdin:
    seed, path = json.loads(line)
    wall, work = time.perf_counter(), time.process_time()
    phantom = make_phantom(seed)
    taken = time.perf_counter() - wall, time.process_time() - work
    np.save(path, phantom.volume.hu)
    digest = hashlib.sha256(json.dumps(phantom.to_json(), sort_keys=True).encode())
    for name, mask in sorted(phantom.masks.items()):
        digest.update(name.encode() + mask.tobytes())
    print(json.dumps([*taken, digest.hexdigest()]), flush=True)
"""


def phantom(settings: Settings) -> Iterator[Row]:
    """Draw phantoms, beside the renderer of an earlier commit; one core and two."""
    if settings.quick:
        return
    with tempfile.TemporaryDirectory() as folder:
        unpack(BEFORE, Path(folder))
        for cores in usable_cores():
            with only_cores(cores):
                ours, theirs, differing = race(ROOT / "src", Path(folder) / "src", settings)
            yield Row(
                f"one phantom, {named(cores)}",
                f"commit {BEFORE}",
                ours,
                theirs,
                (faster(2),),
                note=f"the same phantom; {differing:.4f} % of its voxels differ, by {MOST_HU} HU",
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


def race(ours: Path, theirs: Path, settings: Settings) -> tuple[Cost, Cost, float]:
    """Draw every seed with both renderers in turn.

    Returns the medians, and the percentage of voxels that differ in the phantom with most of them.
    """
    workers = [worker(source) for source in (ours, theirs)]
    taken: tuple[list[tuple[float, float]], ...] = ([], [])
    most = 0.0
    try:
        with tempfile.TemporaryDirectory() as folder:
            files = [Path(folder) / name for name in ("ours.npy", "theirs.npy")]
            for seed in [*SEEDS][: max(1, settings.repeat + 1)]:
                answers = [ask(*each, seed) for each in zip(workers, files, strict=True)]
                if answers[0][2] != answers[1][2]:
                    raise SystemExit(f"seed {seed}: the two renderers draw different phantoms")
                most = max(most, differing_voxels(seed, np.load(files[0]), np.load(files[1])))
                for times, answer in zip(taken, answers, strict=True):
                    times.append((answer[0], answer[1]))
    finally:
        for each in workers:
            each.kill()
            each.communicate()
    first, second = (
        Cost(*(statistics.median(part) for part in zip(*times, strict=True))) for times in taken
    )
    return first, second, 100 * most


def differing_voxels(seed: int, ours: NDArray[Any], theirs: NDArray[Any]) -> float:
    """Return the share of voxels that differ.

    Raises
    ------
    SystemExit
        If they differ by more than rounding.
    """
    off = np.abs(ours.astype(int) - theirs)
    share = float((off > 0).mean())
    if off.max() > MOST_HU or share > MOST_VOXELS:
        raise SystemExit(
            f"seed {seed}: {100 * share:.3g} % of the voxels differ, by up to {off.max()} HU; "
            f"{100 * MOST_VOXELS:g} % may, by {MOST_HU} HU"
        )
    return share


def worker(source: Path) -> subprocess.Popen[str]:
    """Start a process that draws with the sources of a folder."""
    return subprocess.Popen(
        [sys.executable, "-c", WORKER],
        env={**os.environ, "PYTHONPATH": str(source)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def ask(process: subprocess.Popen[str], file: Path, seed: int) -> Any:
    """Let a worker draw one phantom and write its HU into a file."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps([seed, str(file)]) + "\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())
