"""`ct-assistant train`, which also writes down the samples of each step.

python -m tests.training.parallel.recorded LOG STAGE RECIPE OPTIONS..., in each process
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from napari_ct_assistant.cli import app
from napari_ct_assistant.training.parallel.batches import SHARE
from napari_ct_assistant.training.stages.trainer import StageTrainer


def main(log: Path, arguments: list[str]) -> None:
    """Train; the first random number of a volume's mask tells the samples of stage mae apart."""
    whole = StageTrainer.training_step
    with log.with_suffix(f".{os.environ.get('RANK', '0')}").open("a") as file:

        def training_step(self: StageTrainer, model: Any, inputs: Any, *more: Any) -> Any:
            if "noise" in inputs and float(inputs.get(SHARE, 1)):
                row = [self.state.global_step, inputs["noise"][:, 0].tolist()]
                print(json.dumps(row), file=file, flush=True)
            return whole(self, model, inputs, *more)

        StageTrainer.training_step = training_step  # type: ignore[method-assign]
        app(["train", *arguments])


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
