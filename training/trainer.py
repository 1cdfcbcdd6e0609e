"""What every stage shares: the transformers Trainer, set up from a recipe."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from napari_ct_assistant.training.recipe import Recipe


class NonFiniteLossError(RuntimeError):
    """The loss became NaN or infinite; the last checkpoint is still good."""


class _Watch(TrainerCallback):
    """Save every few minutes of wall time, and stop at the first loss that is no number."""

    def __init__(self, minutes: float):
        self.seconds = minutes * 60
        self.saved = time.monotonic()

    def on_step_end(self, _: Any, state: Any, control: Any, **__: Any) -> None:
        """Ask for a checkpoint when it is time."""
        if time.monotonic() - self.saved > self.seconds and state.global_step < state.max_steps:
            self.saved = time.monotonic()
            control.should_save = True

    def on_log(self, _: Any, state: Any, __: Any, logs: Any = None, **___: Any) -> None:
        """Stop where training has broken down."""
        for name in ("loss", "grad_norm"):
            value = (logs or {}).get(name)
            if value is not None and not math.isfinite(float(value)):
                raise NonFiniteLossError(
                    f"{name} is {value} at step {state.global_step}: lower training.learning_rate, "
                    f"then run the same command again to go on from the last checkpoint"
                )


class StageTrainer(Trainer):
    """The transformers Trainer with weighted answers.

    With `loss_weights` in a batch, the loss is the weighted mean over tokens of the
    cross-entropy instead of the plain one.
    """

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Return the loss, and the outputs when asked."""
        weights = inputs.pop("loss_weights", None)
        if weights is None:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        labels = inputs.pop("labels")
        outputs = model(**inputs)
        loss = weighted_cross_entropy(outputs.logits, labels, weights)
        return (loss, outputs) if return_outputs else loss


def weighted_cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Next-token cross-entropy, each target with its weight.

    logits: [B, T, V], labels: [B, T] (-100 is ignored), weights: [B, T] -> []
    """
    targets, weight = labels[:, 1:], weights[:, 1:]
    taken = targets != -100
    loss = nn.functional.cross_entropy(
        logits[:, :-1][taken].float(), targets[taken], reduction="none"
    )
    weight = weight[taken]
    return (loss * weight).sum() / weight.sum().clamp_min(1e-8)


def train(
    recipe: Recipe, model: nn.Module, dataset: Dataset[Any], collate: Any = None
) -> StageTrainer:
    """Run the training of a stage, from its last checkpoint if there is one.

    Returns the trainer, whose `model` is trained. Checkpoints lie in `<output>/checkpoints`.
    """
    t = recipe.training
    gpu = torch.cuda.is_available()
    steps = math.ceil(t.samples / (t.batch_size * t.accumulate))
    schedule: dict[str, Any] = {"lr_scheduler_type": t.schedule}
    if t.schedule == "exponential":
        schedule = {"lr_scheduler_type": "constant"}
    folder = recipe.folder / "checkpoints"
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=1,
        per_device_train_batch_size=t.batch_size,
        gradient_accumulation_steps=t.accumulate,
        learning_rate=t.learning_rate,
        warmup_steps=int(t.warmup * steps),
        weight_decay=t.weight_decay,
        adam_beta1=t.betas[0],
        adam_beta2=t.betas[1],
        max_grad_norm=t.max_grad_norm,
        bf16=t.precision == "bf16",
        fp16=t.precision == "fp16",
        use_cpu=not gpu,
        dataloader_num_workers=t.workers,
        dataloader_pin_memory=gpu,
        remove_unused_columns=False,
        logging_steps=t.log_steps,
        logging_nan_inf_filter=False,
        save_strategy="no",
        save_total_limit=2,
        report_to=[],
        disable_tqdm=True,
        seed=recipe.seed,
        label_names=["labels"],
        **schedule,
    )
    trainer = StageTrainer(
        model=model,
        args=arguments,
        train_dataset=dataset,
        data_collator=collate or torch.utils.data.default_collate,
        callbacks=[_Watch(t.save_minutes)],
    )
    if t.schedule == "exponential":
        trainer.create_optimizer()
        # E3D-GPT: "exponential decay", rate not stated; here to 1 % over the run.
        trainer.lr_scheduler = torch.optim.lr_scheduler.ExponentialLR(
            trainer.optimizer, gamma=0.01 ** (1 / max(steps, 1))
        )
    last = get_last_checkpoint(str(folder)) if folder.is_dir() else None
    trainer.train(resume_from_checkpoint=last)
    return trainer


def finish(recipe: Recipe, trainer: StageTrainer) -> None:
    """Write the loss curve beside the result, then remove the checkpoints."""
    import json
    import shutil

    history = [row for row in trainer.state.log_history if "loss" in row]
    (recipe.folder / "losses.json").write_text(json.dumps(history, indent=1) + "\n")
    shutil.rmtree(Path(trainer.args.output_dir), ignore_errors=True)
