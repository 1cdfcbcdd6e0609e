"""Checkpoints that any number of processes can continue from, split by FSDP or not.

A checkpoint has the same files whatever launched the run: whole tensors of what is trained
(`trained.safetensors`, with the names of the model's parameters), the optimizer's values for them,
the schedule, the state of the random generators and the Trainer's state, which is written last.
DeepSpeed writes its own, for the same number of processes.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import broadcast_object_list
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import Trainer
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.distributed import process_state, wait_for_all
from napari_ct_assistant.training.parallel.sharding import gathered, reshard, split_like

WEIGHTS, OPTIMIZER, SETTINGS = "trained.safetensors", "optimizer.safetensors", "schedule.json"
# The Trainer's name; it is written when all other files of a checkpoint are there.
STATE = "trainer_state.json"


def last_checkpoint(folder: Path) -> Path | None:
    """Return the last whole checkpoint in a folder; one that was being written is removed.

    Every process must call it, and gets what the main process has found.
    """
    found: list[Any] = [None]
    if process_state().is_main_process and folder.is_dir():
        steps = {int(path.name.rpartition("-")[2]): path for path in _folders(folder)}
        for step in sorted(steps, reverse=True):
            if _is_whole(steps[step]):
                found[0] = found[0] or step
            else:
                shutil.rmtree(steps[step])
    step = broadcast_object_list(found)[0]
    return None if step is None else folder / f"{PREFIX_CHECKPOINT_DIR}-{step}"


def _folders(folder: Path) -> Iterator[Path]:
    for path in folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*"):
        if path.is_dir() and path.name.rpartition("-")[2].isdigit():
            yield path


def _is_whole(checkpoint: Path) -> bool:
    try:
        json.loads((checkpoint / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True


def trained_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Return what training changes in a model by name: trained parameters, and buffers."""
    reshard(model)
    found = {name: p for name, p in model.named_parameters() if p.requires_grad}
    kept = model.state_dict(keep_vars=True)
    return found | {name: b for name, b in model.named_buffers() if name in kept}


class PortableCheckpoints(Trainer):
    """The transformers Trainer with checkpoints for any number of processes."""

    optimizer: Any
    lr_scheduler: Any

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Write what is trained into a checkpoint."""
        if self.is_deepspeed_enabled:
            super().save_model(output_dir, _internal_call)
            return
        assert self.model is not None  # noqa: S101  the trainer was made with one
        weights = gathered(trained_tensors(self.model), keep=self.args.should_save)
        if self.args.should_save:
            folder = Path(output_dir or str(self.args.output_dir))
            folder.mkdir(parents=True, exist_ok=True)
            save_file(weights, folder / WEIGHTS)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if self.is_deepspeed_enabled:
            super()._save_optimizer_and_scheduler(output_dir)
            return
        state, main = self.optimizer.state_dict(), self.args.should_save
        values = {
            f"{index}.{name}": value
            for index, of_parameter in state["state"].items()
            for name, value in of_parameter.items()
        }
        tensors = gathered(values, keep=main)
        if main:
            folder = Path(output_dir)
            save_file(tensors, folder / OPTIMIZER)
            settings = {"groups": state["param_groups"], "schedule": self.lr_scheduler.state_dict()}
            (folder / SETTINGS).write_text(json.dumps(settings), encoding="utf-8")

    def _save_rng_state(self, output_dir: str) -> None:
        super()._save_rng_state(output_dir)
        # The main process writes the Trainer's state next, by which a checkpoint counts as whole.
        wait_for_all()

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        if self.is_deepspeed_enabled:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            return
        file = Path(resume_from_checkpoint) / WEIGHTS
        if not file.is_file():
            raise RecipeError(
                f"{resume_from_checkpoint}: was written by DeepSpeed or an earlier version; "
                "continue with the same launcher and version, or train again with --restart"
            )
        target = self.model if model is None else model
        trained = trained_tensors(target)
        with safe_open(file, framework="pt") as kept, torch.no_grad():
            if set(kept.keys()) != set(trained):
                raise RecipeError(
                    f"{resume_from_checkpoint}: holds other weights than this run trains; train "
                    "again with --restart"
                )
            for name, tensor in trained.items():
                tensor.copy_(split_like(kept.get_tensor(name), tensor))

    def _load_best_model(self) -> None:
        if self.is_deepspeed_enabled:
            super()._load_best_model()
        else:
            self._load_from_checkpoint(str(self.state.best_model_checkpoint))

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None or self.is_deepspeed_enabled:
            super()._load_optimizer_and_scheduler(checkpoint)
            return
        folder = Path(checkpoint)
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        state: dict[int, dict[str, Tensor]] = {}
        with safe_open(folder / OPTIMIZER, framework="pt") as kept:
            for key in sorted(kept.keys()):
                number, _, name = key.partition(".")
                value, parameter = kept.get_tensor(key), parameters[int(number)]
                if value.ndim and value.shape == parameter.shape:
                    value = split_like(value, parameter)
                state.setdefault(int(number), {})[name] = value
        settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        self.optimizer.load_state_dict({"state": state, "param_groups": settings["groups"]})
        self.lr_scheduler.load_state_dict(settings["schedule"])

    def _load_rng_state(self, checkpoint: str | None) -> None:
        if checkpoint is None:
            return
        rank, count = self.args.process_index, self.args.world_size
        mine = "rng_state.pth" if count <= 1 else f"rng_state_{rank}.pth"
        beyond = Path(checkpoint) / f"rng_state_{count}.pth"
        if (Path(checkpoint) / mine).is_file() and not beyond.is_file():
            super()._load_rng_state(checkpoint)
            return
        # Another number of processes has written it: fresh random numbers (LoRA's dropout), the
        # same ones whenever it continues from here with this number.
        drawn = hash((self.args.seed, self.state.global_step, rank, count))
        torch.manual_seed(drawn % 2**63)
