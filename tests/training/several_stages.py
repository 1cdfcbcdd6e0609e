"""Run by each process of `test_several_processes`: stages by the command line, and ground.

torchrun --nproc-per-node 2 -m tests.training.several_stages TOY OUTPUT BATCH_SIZE
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

from torch.distributed.tensor import DTensor

from napari_ct_assistant.cli import app
from napari_ct_assistant.training.config.load import load_recipe
from napari_ct_assistant.training.monitoring import callbacks
from napari_ct_assistant.training.stages import ground
from napari_ct_assistant.training.stages.job import run_job
from napari_ct_assistant.training.stages.trainer import StageTrainer
from tests.training.balls import Balls
from tests.training.toy import REPORTS, Toy

# Steps of two: the last one has a single sample, so that one of two processes has none.
SAMPLES = 5
MORE = {
    "mae": ["mae={decoder_embed_dim: 24, decoder_depth: 1, decoder_num_heads: 2}"],
    "align": [],
    "instruct": ["lora={r: 2, alpha: 4, dropout: 0}", "train_encoder=true"],
    "instruct_muon": ["lora=null", "training.optimizer=muon"],
}
# What `accelerate launch --config_file fsdp2.yaml` tells its processes.
FSDP = {
    "ACCELERATE_USE_FSDP": "true",
    "FSDP_VERSION": "2",
    "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
    "FSDP_RESHARD_AFTER_FORWARD": "true",
    "FSDP_CPU_RAM_EFFICIENT_LOADING": "false",
}


def write_table(toy: Toy, output: Path) -> None:
    """Write the toy data's table with a third patient, who measures the validation loss."""
    shutil.copy(toy.folder / "1.nii.gz", output / "2.nii.gz")
    rows = [f"{toy.folder / f'{n}.nii.gz'},{text},train" for n, text in enumerate(REPORTS)]
    rows.append(f"{output / '2.nii.gz'},The liver is large.,validation")
    (output / "scans.csv").write_text("\n".join(["image,report,split", *rows]) + "\n")


def train(toy: Toy, stage: str, data: Path, output: Path, batch_size: int, *more: str) -> None:
    """Run a stage by the command line on the table in the folder `data`."""
    start = {"mae": [toy.encoder], "align": toy.align}.get(stage, toy.instruct)
    table, store = str(data / "scans.csv"), str(data / "store")
    command, name = stage.partition("_")[0], f"e3d_gpt/{stage.partition('_')[0]}"
    options = [
        *toy.options(output, SAMPLES, batch_size=batch_size, timed_steps=2),
        toy.data(table=table, split="train", store=store),
        "validation.times=3",
        *start,
        *MORE[stage],
    ]
    app(["train", command, name, *options, *more], standalone_mode=False)


def run_all(toy: Toy, output: Path, batch_size: int) -> None:
    """Run stages on the toy data, each into its own folder."""
    for stage in ("mae", "align", "instruct"):
        train(toy, stage, output, output / stage, batch_size)
    start = [f"encoder={{start: {toy.folder / 'encoder'}}}", "ground={}", "data={kind: phantoms}"]
    options = toy.options(output / "ground", 6, batch_size=batch_size)
    recipe = load_recipe("demo/ground", [*options, *start])
    run_job(recipe, ground.job(recipe, Balls(output)))


class Killed(BaseException):
    """Simulates a power cut: nothing in the run catches it."""


def run_sharded(toy: Toy, output: Path, batch_size: int) -> None:
    """Run stages under FSDP, and begin one that is killed after two of its three steps."""
    os.environ.update(FSDP)
    for stage in ("mae", "instruct", "instruct_muon"):
        train(toy, stage, output, output / "fsdp" / stage, batch_size)
    whole = StageTrainer.training_step

    def training_step(self: StageTrainer, *args: Any, **kwargs: Any) -> Any:
        assert all(isinstance(p, DTensor) for p in self.optimizer.param_groups[0]["params"])
        if self.state.global_step == 2:
            raise Killed
        return whole(self, *args, **kwargs)

    StageTrainer.training_step = training_step  # type: ignore[method-assign]
    callbacks.STEPS_TO_AGREE = 1
    folder = output / "killed" / "instruct"
    try:
        train(toy, "instruct", output, folder, batch_size, "training.save_minutes=1e-9")
    except Killed:
        return
    raise AssertionError("the run was not killed")


if __name__ == "__main__":
    toy_, output_, size = Toy(Path(sys.argv[1])), Path(sys.argv[2]), int(sys.argv[3])
    run_all(toy_, output_, size)
    run_sharded(toy_, output_, size)
