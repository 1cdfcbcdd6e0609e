"""A run whose process is killed goes on with another number of processes, as if nothing happened.

Two processes under FSDP, of which one is killed; then one process, which is killed too; then three.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from napari_ct_assistant.cli import app
from napari_ct_assistant.model import VolumeLanguageModel
from napari_ct_assistant.model.encoders import load_encoder
from napari_ct_assistant.training.run import run_stage
from tests.training.several_stages import FSDP, MORE
from tests.training.toy import Toy, losses

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

# Steps of six; the last has four samples, so that one of three processes has half a batch.
STEPS, SAMPLES = 28, 27 * 6 + 4


class Launch:
    """Processes of a run without a launcher that would end the others when one is killed."""

    def __init__(self, count: int, log: Path, arguments: Sequence[str]):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        root = Path(__file__).parents[3]
        common = {**os.environ, **(FSDP if count > 1 else {}), "CUDA_VISIBLE_DEVICES": ""}
        common |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)}
        common |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(count)}
        self.processes = []
        for rank in range(count):
            mine = common | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
            if count == 1:
                mine = {k: v for k, v in mine.items() if k not in ("LOCAL_RANK", "WORLD_SIZE")}
            command = [sys.executable, "-m", "tests.training.parallel.recorded", str(log)]
            with (log.parent / f"stderr.{rank}").open("w") as errors:
                self.processes.append(
                    subprocess.Popen(
                        [*command, *arguments],
                        env=mine,
                        stdout=subprocess.PIPE,
                        stderr=errors,
                        text=True,
                    )
                )
        self.log = log

    def kill(self, rank: int, at: str) -> None:
        """Kill a process when the main one prints `at`."""
        main = self.processes[0].stdout
        assert main is not None
        for line in main:
            if at in line:
                self.processes[rank].send_signal(signal.SIGKILL)
                return
        raise AssertionError(f"{at!r} was not printed: {self.errors(0)}")

    def codes(self) -> list[int]:
        """Return how each process ended."""
        for process in self.processes:
            process.communicate(timeout=300)
        return [process.returncode for process in self.processes]

    def errors(self, rank: int) -> str:
        """Return what a process wrote to stderr."""
        return (self.log.parent / f"stderr.{rank}").read_text()


def samples(log: Path, first: int, end: int) -> list[float]:
    """Return the samples of steps `first` to `end` - 1 in a launch's log."""
    rows = [
        json.loads(line)
        for file in log.parent.glob(f"{log.name}.*")
        for line in file.read_text().splitlines()
    ]
    return [value for step, values in rows if first <= step < end for value in values]


@pytest.mark.parametrize("stage", ["mae", "instruct"])
def test_two_then_one_then_three_processes(toy: Toy, tmp_path: Path, stage: str) -> None:
    def options(output: Path, batch_size: int) -> list[str]:
        start = [toy.encoder] if stage == "mae" else toy.instruct
        return [
            *toy.options(output, SAMPLES, batch_size=batch_size, save_minutes=1e-9),
            *(*start, *MORE[stage], "validation.share=0", "training.learning_rate=1e-3"),
        ]

    whole, folder = tmp_path / "whole", tmp_path / "killed"
    run_stage(stage, f"e3d_gpt/{stage}", options(whole, 6))
    arguments = [stage, f"e3d_gpt/{stage}", *options(folder, 3)]

    two = Launch(2, tmp_path / "two", arguments)
    two.kill(1, f"step 13 of {STEPS}")
    assert two.codes() == [1, -signal.SIGKILL]
    said = two.errors(0).splitlines()
    assert said[-1].endswith(
        "process 0 of 2: another process has ended or hangs; the same command continues from the "
        "last checkpoint, with any number of processes that divides the step's samples"
    )
    assert "Traceback" not in two.errors(0)
    assert max(folder.glob("checkpoints/*")).name == "checkpoint-10"

    one = Launch(1, tmp_path / "one", arguments)
    one.kill(0, f"step 17 of {STEPS}")
    assert one.codes() == [-signal.SIGKILL]
    # The newest may be one that was being written.
    whole_ones = [f for f in folder.glob("checkpoints/*") if (f / "trainer_state.json").is_file()]
    begun = max(int(path.name.rpartition("-")[2]) for path in whole_ones)
    assert begun >= 16

    five = Launch(5, tmp_path / "five", arguments)
    assert set(five.codes()) == {1}
    assert "5 processes cannot divide a step of 6 samples" in five.errors(0)

    three = Launch(3, tmp_path / "three", arguments)
    assert three.codes() == [0, 0, 0], three.errors(0)
    found, expected = losses(folder), losses(whole)
    assert len(found) == STEPS
    assert found == pytest.approx(expected, rel=1e-3)
    if stage == "mae":
        drawn = samples(tmp_path / "two", 0, 10)
        drawn += samples(tmp_path / "one", 10, begun)
        drawn += samples(tmp_path / "three", begun, STEPS)
        first = [np.random.default_rng([0, k, 2]).random(dtype=np.float32) for k in range(SAMPLES)]
        assert sorted(drawn) == sorted(map(float, first))
    load = load_encoder if stage == "mae" else VolumeLanguageModel.from_pretrained
    weights, others = load(whole).state_dict(), load(folder).state_dict()
    assert weights.keys() == others.keys()
    for name, tensor in weights.items():
        torch.testing.assert_close(others[name], tensor, rtol=1e-2, atol=1e-3, msg=name)
    if stage == "instruct":
        done = CliRunner().invoke(
            app, ["report", str(toy.folder / "0.nii.gz"), "--model", str(folder), "--json"]
        )
        # 3: a model this small does not end its text.
        assert done.exit_code in (0, 3), done.stderr
        assert json.loads(done.stdout)["report"]
