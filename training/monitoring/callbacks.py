"""What happens between the steps of a run: checkpoints, lines about the loss, validation."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from napari_ct_assistant.support.errors import CTAssistantError
from napari_ct_assistant.training.config.recipe import Recipe, ValidationSettings
from napari_ct_assistant.training.distributed import agree, process_state
from napari_ct_assistant.training.monitoring.loss_curves import draw

# Several processes agree only every so many steps on whether a checkpoint is due.
STEPS_TO_AGREE = 10


class NonFiniteLossError(CTAssistantError, RuntimeError):
    """The loss became NaN or infinite; the last checkpoint is still valid."""


def not_finite(name: str, value: float, step: int, where: str) -> NonFiniteLossError:
    """Return the error for a loss or gradient that is not finite."""
    return NonFiniteLossError(
        f"{name} is {value} at step {step}{where}: check that data or lower "
        "training.learning_rate; the same command continues from the last checkpoint"
    )


class Checkpoints(TrainerCallback):
    """Saves a checkpoint every few minutes, and stops at a loss or gradient that is not finite."""

    def __init__(self, minutes: float):
        self.seconds = minutes * 60
        self.saved = time.monotonic()

    def on_step_end(self, _: Any, state: Any, control: Any, **__: Any) -> None:
        """Ask for a checkpoint when it is due; every process must ask for the same one."""
        # A validation decides by itself whether it saves; then the next step is early enough.
        if state.global_step >= state.max_steps or control.should_evaluate:
            return
        if process_state().num_processes > 1 and state.global_step % STEPS_TO_AGREE:
            return
        if agree(time.monotonic() - self.saved > self.seconds):
            self.saved = time.monotonic()
            control.should_save = True

    def on_log(self, _: Any, state: Any, __: Any, logs: Any = None, **___: Any) -> None:
        """Stop when the loss or the gradient is not finite."""
        for name in ("loss", "grad_norm"):
            value = (logs or {}).get(name)
            if value is not None and not math.isfinite(float(value)):
                raise not_finite(name, float(value), state.global_step, "")


class Validation(TrainerCallback):
    """Measures the validation loss some times in a run, and ends a run that no longer improves."""

    def __init__(self, settings: ValidationSettings):
        self.settings = settings

    def on_step_end(self, _: Any, state: Any, control: Any, **__: Any) -> None:
        """Ask for a measurement at evenly spaced steps, the last one included."""
        times = min(self.settings.times, state.max_steps)
        before = (state.global_step - 1) * times // state.max_steps
        if state.global_step * times // state.max_steps > before:
            control.should_evaluate = True

    def on_log(self, _: Any, state: Any, control: Any, logs: Any = None, **__: Any) -> None:
        """End the run after `patience` measurements without a lower loss."""
        if self.settings.patience is None or "eval_loss" not in (logs or {}):
            return
        losses = [row["eval_loss"] for row in state.log_history if "eval_loss" in row]
        if len(losses) - 1 - losses.index(min(losses)) >= self.settings.patience:
            control.should_training_stop = True


class Curves(TrainerCallback):
    """Draws the losses so far after each validation, in the main process."""

    def __init__(self, recipe: Recipe):
        self.recipe = recipe

    def on_log(self, _: Any, state: Any, __: Any, logs: Any = None, **___: Any) -> None:
        """Draw them."""
        if "eval_loss" in (logs or {}) and process_state().is_main_process:
            draw(state.log_history, self.recipe.folder.name, self.recipe.folder, None)


class LossLines(TrainerCallback):
    """Prints a line for each logged loss, from the main process."""

    def __init__(self, name: str):
        self.name = name
        self.start = time.monotonic()
        self.first = 0

    def on_train_begin(self, _: Any, state: Any, __: Any, **___: Any) -> None:
        """Note where the run begins, or continues."""
        self.start, self.first = time.monotonic(), state.global_step

    def on_log(self, _: Any, state: Any, __: Any, logs: Any = None, **___: Any) -> None:
        """Print the step, its loss and the time that is left."""
        if not process_state().is_main_process:
            return
        logs, step = logs or {}, state.global_step
        at = f"{self.name}: step {step:,} of {state.max_steps:,}"
        if "eval_loss" in logs:
            before = [row["eval_loss"] for row in state.log_history if "eval_loss" in row][:-1]
            best = not before or logs["eval_loss"] < min(before)
            print(
                f"{at}, validation loss {logs['eval_loss']:.4f}{', the lowest' if best else ''}",
                flush=True,
            )
        elif "loss" in logs:
            left = (time.monotonic() - self.start) / max(step - self.first, 1)
            left *= state.max_steps - step
            rate = logs.get("learning_rate", math.nan)
            print(
                f"{at}, loss {logs['loss']:.4f}, learning rate {rate:.2e}, {clock(left)} left",
                flush=True,
            )


def clock(seconds: float) -> str:
    """Return a duration in the largest unit that suits it: "40 s", "12 min", "3.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def tensorboard(folder: Path, last_checkpoint: str | None) -> TrainerCallback:
    """Return the callback for TensorBoard; steps after the last checkpoint are written again."""
    from torch.utils.tensorboard import SummaryWriter
    from transformers.integrations import TensorBoardCallback

    step = int(last_checkpoint.rsplit("-", 1)[1]) + 1 if last_checkpoint else None
    writer: Any = SummaryWriter(str(folder), purge_step=step)
    return TensorBoardCallback(writer)
