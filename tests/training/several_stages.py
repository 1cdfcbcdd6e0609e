"""Run by each process of `test_several_processes`: three stages by the command line, and ground.

torchrun --nproc-per-node 2 -m tests.training.several_stages TOY OUTPUT BATCH_SIZE
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from napari_ct_assistant.cli import app
from napari_ct_assistant.training.config.load import load_recipe
from napari_ct_assistant.training.stages import ground
from napari_ct_assistant.training.stages.job import run_job
from tests.training.balls import Balls
from tests.training.toy import REPORTS, Toy

SAMPLES = 6


def write_table(toy: Toy, output: Path) -> None:
    """Write the toy data's table with a third patient, who measures the validation loss."""
    shutil.copy(toy.folder / "1.nii.gz", output / "2.nii.gz")
    rows = [f"{toy.folder / f'{n}.nii.gz'},{text},train" for n, text in enumerate(REPORTS)]
    rows.append(f"{output / '2.nii.gz'},The liver is large.,validation")
    (output / "scans.csv").write_text("\n".join(["image,report,split", *rows]) + "\n")


def run_all(toy: Toy, output: Path, batch_size: int) -> None:
    """Run four stages on the toy data, each into its own folder."""
    stages = {
        "mae": [toy.encoder, "mae={decoder_embed_dim: 24, decoder_depth: 1, decoder_num_heads: 2}"],
        "align": toy.align,
        "instruct": [*toy.instruct, "lora={r: 2, alpha: 4, dropout: 0}", "train_encoder=true"],
    }
    data = toy.data(table=str(output / "scans.csv"), split="train", store=str(output / "store"))
    for stage, more in stages.items():
        options = toy.options(output / stage, SAMPLES, batch_size=batch_size, timed_steps=2)
        recipe = f"e3d_gpt/{stage}"
        app(
            ["train", stage, recipe, *options, data, "validation.times=3", *more],
            standalone_mode=False,
        )
    start = [f"encoder={{start: {toy.folder / 'encoder'}}}", "ground={}", "data={kind: phantoms}"]
    options = toy.options(output / "ground", SAMPLES, batch_size=batch_size)
    recipe = load_recipe("demo/ground", [*options, *start])
    run_job(recipe, ground.job(recipe, Balls(output)))


if __name__ == "__main__":
    run_all(Toy(Path(sys.argv[1])), Path(sys.argv[2]), int(sys.argv[3]))
