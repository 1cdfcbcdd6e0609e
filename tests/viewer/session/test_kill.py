"""Killed at any moment, typing and streaming, the journal has all but the last second.

The default run kills 6 readers, the slow one 50.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from napari_ct_assistant.assistant.journal.store import FILE, Journal
from tests.viewer.session.kill_victim import Said, scan

AT_ONCE = 5
LOST_SECONDS = 1.0
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the readers are forked")


@pytest.fixture
def victims() -> Iterator[dict[Path, int]]:
    """Hold the readers that live, by their folders; none outlives a test that fails."""
    living: dict[Path, int] = {}
    yield living
    for number in living.values():
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)


@pytest.fixture(scope="module")
def zygote() -> Iterator[subprocess.Popen[str]]:
    """Start the process that forks the readers."""
    environment = os.environ | {"QT_QPA_PLATFORM": "offscreen", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.viewer.session.kill_victim"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=Path(__file__).parents[3],
        env=environment,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield process
    assert process.stdin is not None
    process.stdin.close()
    process.wait(30)
    process.stdout.close()


def witnessed(folder: Path) -> list[Said]:
    path = folder / "witness"
    if not path.exists():
        return []
    lines = path.read_text().split("\n")[:-1]  # the last may be half written
    return [Said(kind, float(at), int(n)) for kind, at, n in (line.split() for line in lines)]


@pytest.mark.parametrize("kills", [6, pytest.param(50, marks=pytest.mark.slow)])
def test_kill_loses_at_most_the_last_second(
    zygote: subprocess.Popen[str], victims: dict[Path, int], tmp_path: Path, kills: int
) -> None:
    assert zygote.stdin is not None
    assert zygote.stdout is not None
    chance = random.Random(7)
    losses: dict[str, list[float]] = {"typed": [], "streamed": []}
    key = scan().fingerprint
    for first in range(0, kills, AT_ONCE):
        folders = [tmp_path / str(n) for n in range(first, min(first + AT_ONCE, kills))]
        for folder in folders:
            folder.mkdir()
            zygote.stdin.write(f"{folder}\n")
            zygote.stdin.flush()
            victims[folder] = int(zygote.stdout.readline())
        # Each dies at its own moment, more than a second after it began to type and to stream.
        ends = {folder: 1.2 + chance.random() for folder in folders}
        begun: dict[Path, float] = {}
        limit = time.monotonic() + 120
        while victims:
            assert time.monotonic() < limit, "the readers never began"
            for folder in list(victims):
                if folder not in begun:
                    kinds = {said.kind for said in witnessed(folder)}
                    if kinds == {"typed", "streamed"}:
                        begun[folder] = time.monotonic()
                elif time.monotonic() - begun[folder] > ends[folder]:
                    os.kill(victims.pop(folder), signal.SIGKILL)
                    killed = time.time()
                    for kind, lost in lost_seconds(folder, key, killed).items():
                        losses[kind].append(lost)
            time.sleep(0.01)
    for kind, lost in losses.items():
        assert len(lost) == kills
        print(
            f"{kind}: {kills} kills, lost at most {max(lost):.2f} s, mean {sum(lost) / kills:.2f}"
        )
        assert max(lost) <= LOST_SECONDS, kind


def lost_seconds(folder: Path, key: str, killed: float) -> dict[str, float]:
    """Return how long before the kill the oldest text was written that the journal lacks."""
    journal = Journal(folder / FILE)
    page = journal.load(key)
    journal.close()
    assert page is not None, "nothing was kept"
    typed = max((word_count(text) for text in lines_of(page.body)), default=0)
    messages = page.body["transcript"]
    streamed = len(messages[-1]["text"].split()) if messages else 0
    assert json.dumps(page.body)
    kept = {"typed": typed, "streamed": streamed}
    found = {}
    for kind, length in kept.items():
        missing = [s.at for s in witnessed(folder) if s.kind == kind and s.length > length]
        found[kind] = killed - missing[0] if missing else 0.0
    return found


def lines_of(body: dict[str, object]) -> Iterator[str]:
    report = body["report"]
    assert isinstance(report, dict)
    for section in report["sections"]:
        for line in section["lines"]:
            yield line["text"]


def word_count(text: str) -> int:
    """Return how many of the typed words k0, k1, ... stand in a line, all of them in order."""
    words = [word for word in text.split() if word.startswith("k")]
    assert words == [f"k{n}" for n in range(len(words))]
    return len(words)
