"""Stages train from shards as from files, and an interrupted run goes on in the same samples."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate.data_loader import BatchSamplerShard, skip_first_batches
from torch.utils.data import BatchSampler, DataLoader, SequentialSampler

from napari_ct_assistant.cli import app
from napari_ct_assistant.training.config.load import load_recipe
from napari_ct_assistant.training.data.datasets.store import DatasetStore
from napari_ct_assistant.training.data.stores import fill_store, open_store
from napari_ct_assistant.training.data.volume_dataset import VolumeDataset
from napari_ct_assistant.training.run import run_stage
from napari_ct_assistant.training.stages.trainer import StageTrainer
from tests.training.data.datasets import layouts
from tests.training.data.shards.object_store import ObjectStore, serve
from tests.training.toy import Toy, losses

COUNT = 5
STAGES = {
    "mae": ["mae={decoder_embed_dim: 24, decoder_depth: 1, decoder_num_heads: 2}"],
    "align": ["conversation.cache_tokens=false"],
    "instruct": ["lora={r: 2, alpha: 4, dropout: 0}", "train_encoder=true"],
}


class Killed(BaseException):
    """Simulates a power cut: nothing in the run catches it."""


@pytest.fixture(scope="module")
def scans(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five scans, and their shards as the command writes them."""
    folder = tmp_path_factory.mktemp("scans")
    rows = []
    for number in range(COUNT):
        layouts.write_scan(folder / f"{number}.nii.gz", number)
        rows.append((f"{number}.nii.gz", f"Findings: The heart has {number} mm."))
    layouts.write_rows(folder / "scans.csv", ("image", "report"), rows)
    recipe = ["e3d_gpt/mae", *options(toy, folder, folder / "x", "mae")]
    size = ["--shard-size", "9kB", "--workers", "1"]
    app(["prepare", *recipe, "--shards", *size], standalone_mode=False)
    assert len(list((folder / "store" / "shards").glob("*.tar"))) > 1
    return folder


@pytest.fixture
def server(scans: Path) -> Iterator[ObjectStore]:
    with serve(scans / "store" / "shards") as server:
        yield server


def options(
    toy: Toy, scans: Path, output: Path, stage: str, shards: str = "", **training: Any
) -> list[str]:
    """The overrides of a run: from files, or from shards with an empty store."""
    data = f"kind: table, table: {scans / 'scans.csv'}, name: toy, split: all, spacing: [10, 6, 6]"
    more = [f"data={{{data}, store: {scans / 'store' if not shards else output / 'store'}}}"]
    more += [f"data.shards={shards}"] * bool(shards)
    start = {"mae": [toy.encoder], "align": toy.align, "instruct": toy.instruct}[stage]
    samples = training.pop("samples", 2 * COUNT)
    base = toy.options(output / "run", samples, **training)
    return [*base, *start, *STAGES[stage], *more, "training.learning_rate=1e-2"]


def without_scans(scans: Path, folder: Path) -> Path:
    """A folder with the table alone, as on a machine that has no scans."""
    folder.mkdir()
    shutil.copy(scans / "scans.csv", folder / "scans.csv")
    return folder


@pytest.mark.parametrize("stage", STAGES)
def test_losses_are_those_of_files(
    toy: Toy, scans: Path, server: ObjectStore, tmp_path: Path, stage: str
) -> None:
    short = {"samples": 3}
    run_stage(stage, f"e3d_gpt/{stage}", options(toy, scans, tmp_path / "a", stage, **short))
    alone = without_scans(scans, tmp_path / "alone")
    more = options(toy, alone, tmp_path / "b", stage, server.address, **short)
    run_stage(stage, f"e3d_gpt/{stage}", more)
    assert losses(tmp_path / "b" / "run") == losses(tmp_path / "a" / "run")
    assert len(losses(tmp_path / "a" / "run")) == 3
    assert not list((tmp_path / "b").rglob("*.b2nd"))


def test_a_run_killed_in_an_epoch_goes_on_from_elsewhere_with_other_workers(
    toy: Toy, scans: Path, server: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From files, then killed on a server's shards, then on with those of a folder."""
    seen: list[list[str]] = []
    kill = {"at": -1}
    whole_step = StageTrainer.training_step

    def training_step(self: StageTrainer, model: Any, inputs: Any, *args: Any) -> Any:
        if self.state.global_step == kill["at"]:
            raise Killed
        seen[-1] += [digest(x) for x in inputs["pixel_values"]]
        return whole_step(self, model, inputs, *args)

    monkeypatch.setattr(StageTrainer, "training_step", training_step)

    def run(output: Path, shards: str, **training: Any) -> None:
        seen.append([])
        where = scans if not shards else alone
        run_stage("mae", "e3d_gpt/mae", options(toy, where, output, "mae", shards, **training))

    alone = without_scans(scans, tmp_path / "alone")
    run(tmp_path / "whole", "")
    kill["at"] = 7  # in the middle of the second pass
    with pytest.raises(Killed):
        run(tmp_path / "killed", server.address, workers=1, save_minutes=1e-9)
    kill["at"] = -1
    run(tmp_path / "killed", str(scans / "store" / "shards"), workers=2)
    expected, first, rest = seen
    assert len(expected) == 2 * COUNT
    assert first + rest == expected
    assert losses(tmp_path / "killed" / "run") == pytest.approx(
        losses(tmp_path / "whole" / "run"), rel=1e-6
    )


@pytest.mark.parametrize("workers", [0, 1])
def test_a_shard_that_is_damaged_during_a_run_ends_it_with_one_line(
    toy: Toy, scans: Path, tmp_path: Path, workers: int, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = without_scans(scans, tmp_path / "alone")
    shards = Path(shutil.copytree(scans / "store" / "shards", tmp_path / "shards"))
    for file in shards.glob("*.tar"):
        content = bytearray(file.read_bytes())
        content[600] ^= 0xFF
        file.write_bytes(content)
    more = options(toy, alone, tmp_path, "mae", str(shards), workers=workers)
    assert app(["train", "mae", "e3d_gpt/mae", *more], standalone_mode=False) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert re.match(
        r"error: table toy \d\.nii\.gz: .*shards/\d{5}\.tar: damaged at byte 512 .*copy it", error
    )


@pytest.mark.parametrize(("processes", "workers"), [(1, 0), (2, 1), (3, 2), (6, 0)])
def test_any_number_of_processes_goes_on_with_the_same_samples(
    toy: Toy, scans: Path, server: ObjectStore, tmp_path: Path, processes: int, workers: int
) -> None:
    """Steps of 6 samples, resumed at step 2 of 5, as accelerate deals them to processes."""
    store = filled(options(toy, scans, tmp_path, "mae", server.address))
    files = filled(options(toy, scans, tmp_path, "mae"))
    dataset = VolumeDataset(store, 30, seed=3, noise=2)
    expected = [digest(VolumeDataset(files, 30, seed=3)[k]["pixel_values"]) for k in range(30)]
    steps: list[list[str]] = [[] for _ in range(3)]
    for process in range(processes):
        batches = BatchSampler(SequentialSampler(dataset), 6 // processes, drop_last=False)
        mine = BatchSamplerShard(batches, processes, process)
        loader = skip_first_batches(DataLoader(dataset, batch_sampler=mine, num_workers=workers), 2)
        for step, batch in zip(steps, loader, strict=True):
            step += [digest(x) for x in batch["pixel_values"]]
    assert [x for step in steps for x in step] == expected[12:]


def digest(values: torch.Tensor) -> str:
    return hashlib.sha256(np.ascontiguousarray(values.numpy()).tobytes()).hexdigest()


def filled(overrides: list[str]) -> DatasetStore:
    store = open_store(load_recipe("e3d_gpt/mae", overrides))
    assert isinstance(store, DatasetStore)
    fill_store(store)
    return store
