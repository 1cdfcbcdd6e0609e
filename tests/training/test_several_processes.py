"""Two processes with a batch of one have the losses of one process with a batch of two.

So they have under FSDP, which splits the weights between them; and what they leave when they are
killed, one process continues.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from napari_ct_assistant.model import VolumeLanguageModel
from napari_ct_assistant.model.encoders import load_encoder
from tests.training.several_stages import run_all, train, write_table
from tests.training.toy import Toy, losses

# Seconds on an idle machine; three processes that share a busy core take their time.
pytestmark = pytest.mark.timeout(900)

STAGES = ("mae", "align", "instruct", "ground")
SHARDED = ("mae", "instruct", "instruct_muon")


@pytest.fixture(scope="module")
def outputs(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """Run the stages once here and once under torchrun: one folder each, and what it printed."""
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    write_table(toy, one)
    write_table(toy, two)
    run_all(toy, one, 2)
    train(toy, "instruct_muon", one, one / "instruct_muon", 2)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [*launch, "-m", "tests.training.several_stages", str(toy.folder), str(two), "1"]
    # One thread each: several threads on one core are slow.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    root = Path(__file__).parents[2]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(root), os.getenv("PYTHONPATH")]))
    done = subprocess.run(
        command, env=environment, cwd=two, capture_output=True, text=True, timeout=850, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return one, two, done.stdout


@pytest.mark.parametrize("stage", STAGES)
def test_losses_are_those_of_one_process(outputs: tuple[Path, Path, str], stage: str) -> None:
    one, two, _ = outputs
    expected = losses(one / stage)
    assert len(expected) == 3
    assert losses(two / stage) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("stage", SHARDED)
def test_losses_under_fsdp_are_those_of_one_process(
    outputs: tuple[Path, Path, str], stage: str
) -> None:
    one, two, _ = outputs
    assert losses(two / "fsdp" / stage) == pytest.approx(losses(one / stage), rel=1e-4)


@pytest.mark.parametrize("stage", SHARDED)
def test_models_written_under_fsdp_are_whole(outputs: tuple[Path, Path, str], stage: str) -> None:
    one, two, _ = outputs
    load: Any = load_encoder if stage == "mae" else VolumeLanguageModel.from_pretrained
    assert {path.name for path in (two / "fsdp" / stage).iterdir()} == {
        path.name for path in (one / stage).iterdir()
    }
    expected, found = (load(f).state_dict() for f in (one / stage, two / "fsdp" / stage))
    assert expected.keys() == found.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-3, atol=1e-4, msg=name)


def test_one_process_continues_what_two_have_begun(
    outputs: tuple[Path, Path, str], toy: Toy
) -> None:
    """The weights of the killed run were split; its steps keep their two samples."""
    one, two, _ = outputs
    folder = two / "killed" / "instruct"
    last = folder / "checkpoints" / "checkpoint-2"
    assert {path.name for path in last.iterdir()} == {
        *("trained.safetensors", "optimizer.safetensors", "schedule.json", "trainer_state.json"),
        *("rng_state_0.pth", "rng_state_1.pth"),
    }
    # One that was being written when the power went.
    (folder / "checkpoints" / "checkpoint-3").mkdir()
    train(toy, "instruct", two, folder, 1, "training.save_minutes=1e-9")
    assert losses(folder) == pytest.approx(losses(one / "instruct"), rel=1e-4)


@pytest.mark.parametrize("stage", ["mae", "align", "instruct"])
def test_validation_losses_are_those_of_one_process(
    outputs: tuple[Path, Path, str], stage: str
) -> None:
    """One scan measures them: the second process repeats it, and it counts once."""
    one, two = (json.loads((f / stage / "validation.json").read_text()) for f in outputs[:2])
    assert one["kept_step"] == two["kept_step"]
    expected = [row["loss"] for row in one["losses"]]
    assert len(expected) == 3
    assert [row["loss"] for row in two["losses"]] == pytest.approx(expected, rel=1e-4)


def test_weights_are_those_of_one_process(outputs: tuple[Path, Path, str]) -> None:
    kinds = {"mae": load_encoder, "instruct": VolumeLanguageModel.from_pretrained}
    for stage, load in kinds.items():
        one, two = (load(f / stage).state_dict() for f in outputs[:2])
        for name, tensor in one.items():
            torch.testing.assert_close(two[name], tensor, rtol=1e-3, atol=1e-4, msg=name)


def test_rank_0_alone_writes_and_prints(outputs: tuple[Path, Path, str]) -> None:
    _, two, printed = outputs
    for stage in ("mae", "align", "instruct"):
        assert printed.count(f"{two / stage}: finished in") == 1
        assert (two / stage / "done").is_file()
        assert not (two / stage / "checkpoints").exists()
    assert printed.count("volumes: 3 of 3") == 7
    assert len(list((two / "store").rglob("*.b2nd"))) == 3
