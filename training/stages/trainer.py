"""The transformers Trainer, set up from a recipe; every stage uses it.

Several GPUs or machines are an option of the launcher (`torchrun`, `accelerate launch`), not of the
recipe. N processes with a batch of b have the losses of one process with a batch of N * b.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from napari_ct_assistant.model.vit import VisionTransformer3D, set_grad_checkpointing
from napari_ct_assistant.support.errors import CTAssistantError
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.recipe import Recipe
from napari_ct_assistant.training.distributed import agree, process_state
from napari_ct_assistant.training.stages.optimizers import MuonWithAdamW, NoLinearLayerError

# Several processes agree only every so many steps on whether a checkpoint is due.
STEPS_TO_AGREE = 10


class NonFiniteLossError(CTAssistantError, RuntimeError):
    """The loss became NaN or infinite; the last checkpoint is still valid."""


class _Watch(TrainerCallback):
    """Saves a checkpoint every few minutes, and stops at a loss or gradient that is not finite."""

    def __init__(self, minutes: float):
        self.seconds = minutes * 60
        self.saved = time.monotonic()

    def on_step_end(self, _: Any, state: Any, control: Any, **__: Any) -> None:
        """Ask for a checkpoint when it is due; every process must ask for the same one."""
        if state.global_step >= state.max_steps:
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
                raise _not_finite(name, float(value), state.global_step, "")


def _not_finite(name: str, value: float, step: int, where: str) -> NonFiniteLossError:
    return NonFiniteLossError(
        f"{name} is {value} at step {step}{where}: check that data or lower "
        "training.learning_rate; the same command continues from the last checkpoint"
    )


class StageTrainer(Trainer):
    """The transformers Trainer with weighted tokens, Muon and an exponential schedule.

    If a batch has `loss_weights`, the loss is the weighted mean of the tokens' cross-entropy, over
    all tokens of the step in all its processes and accumulated batches.
    """

    exponential_to: float | None = None
    muon = False
    optimizer: Any
    lr_scheduler: Any

    def create_optimizer(self, model: Any = None) -> Any:
        """Make the optimizer."""
        if not self.muon:
            return super().create_optimizer(model)
        if self.optimizer is None:
            if self.is_fsdp_enabled or self.is_deepspeed_enabled:
                raise RecipeError(
                    "training.optimizer: muon needs whole matrices, but FSDP and DeepSpeed split "
                    "them; use adamw"
                )
            network = self.model if model is None else model
            try:
                self.optimizer = MuonWithAdamW(
                    network,
                    learning_rate=self.args.learning_rate,
                    betas=(self.args.adam_beta1, self.args.adam_beta2),
                    weight_decay=self.args.weight_decay,
                    decayed=self.get_decay_parameter_names(network),
                )
            except NoLinearLayerError:
                raise RecipeError(
                    "training.optimizer: muon is for linear layers, and this stage trains none; "
                    "use adamw"
                ) from None
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """Make the learning rate's schedule."""
        if self.exponential_to is None:
            return super().create_scheduler(num_training_steps, optimizer)
        if self.lr_scheduler is None:
            gamma = self.exponential_to ** (1 / max(num_training_steps, 1))
            self.lr_scheduler = torch.optim.lr_scheduler.ExponentialLR(
                optimizer or self.optimizer, gamma=gamma
            )
        return self.lr_scheduler

    def get_batch_samples(
        self, epoch_iterator: Any, num_batches: int, device: torch.device
    ) -> tuple[list[Any], Any]:
        """Return the batches of one step and the sum of their tokens' weights."""
        batches, count = super().get_batch_samples(epoch_iterator, num_batches, device)
        if len(batches) > 1 and "input_ids" in batches[0]:
            batches = by_length(batches, getattr(self.data_collator, "pad_id", 0))
        if batches and "loss_weights" in batches[0]:
            taken = [(b["labels"][:, 1:] != -100) * b["loss_weights"][:, 1:] for b in batches]
            count = torch.stack([weights.sum() for weights in taken]).sum().to(device)
            if self.args.world_size > 1:
                count = self.accelerator.gather(count).sum()
        return batches, count

    def training_step(
        self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None
    ) -> Tensor:
        """Run one batch forward and backward.

        Raises
        ------
        NonFiniteLossError
            If the loss is not finite, before the weights are changed; it names step and scans.
        """
        volumes = inputs.pop("volume", None)
        loss: Tensor = super().training_step(model, inputs, num_items_in_batch)
        if not torch.isfinite(loss):
            name = getattr(self.train_dataset, "name", None)
            known = [] if volumes is None or name is None else [name(int(v)) for v in volumes]
            where = f" on {', '.join(known)}" if known else ""
            raise _not_finite("loss", float(loss), self.state.global_step + 1, where)
        return loss

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Return the loss, and the outputs if asked."""
        weights = inputs.pop("loss_weights", None)
        if weights is None:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        labels = inputs.pop("labels")
        # Logits only where an answer is learned: most of a sequence is image tokens.
        learned = (labels[:, 1:] != -100).any(dim=0).nonzero()[:, 0]
        outputs = model(**inputs, logits_to_keep=learned)
        total = num_items_in_batch
        if total is not None:
            # The processes' gradients are averaged, so each process gives N times its share.
            total = total / self.accelerator.num_processes
        targets, weights = labels[:, learned + 1], weights[:, learned + 1]
        loss = weighted_cross_entropy(outputs.logits, targets, weights, total)
        return (loss, outputs) if return_outputs else loss


def by_length(batches: Sequence[dict[str, Tensor]], pad_id: int) -> list[dict[str, Tensor]]:
    """Regroup the rows of one step's batches by length, to save padding.

    The step's loss stays the same. Packed batches, whose attention mask is [B, 1, T, T], are
    returned as they are.
    """
    if any(batch["attention_mask"].ndim != 2 for batch in batches):
        return list(batches)
    width = max(batch["input_ids"].shape[1] for batch in batches)
    fill = {"input_ids": pad_id, "labels": -100}
    text = [n for n, rows in batches[0].items() if rows.shape == batches[0]["input_ids"].shape]
    whole = {}
    for name in batches[0]:
        rows = [batch[name] for batch in batches]
        if name in text:
            value = fill.get(name, 0)
            rows = [nn.functional.pad(r, (0, width - r.shape[1]), value=value) for r in rows]
        whole[name] = torch.cat(rows)
    # To the last token that counts: without its image, a text-only turn also begins with padding.
    places = torch.arange(1, width + 1, device=whole["attention_mask"].device)
    lengths = (whole["attention_mask"].ne(0) * places).amax(dim=1)
    regrouped = []
    for rows_of in lengths.argsort(stable=True).split(len(batches[0]["input_ids"])):
        longest = int(lengths[rows_of].max())
        regrouped.append(
            {n: v[rows_of][:, :longest] if n in text else v[rows_of] for n, v in whole.items()}
        )
    return regrouped


def weighted_cross_entropy(
    logits: Tensor, targets: Tensor, weights: Tensor, total: Tensor | None = None
) -> Tensor:
    """Return the weighted cross-entropy.

    logits: [B, T, V], targets: [B, T] (-100 is ignored), weights: [B, T] -> []

    The sum is divided by `total`, by default the sum of this batch's weights.
    """
    taken = targets != -100
    loss = nn.functional.cross_entropy(logits[taken].float(), targets[taken], reduction="none")
    weights = weights[taken]
    total = weights.sum() if total is None else total
    return (loss * weights).sum() / total.clamp_min(1e-8)


@dataclass(frozen=True)
class Job:
    """What a stage trains, on what, and how its result is written.

    Parameters
    ----------
    model : nn.Module
        It returns its loss.
    dataset : Dataset
        Its samples are those of the whole run, in order.
    save : callable
        Writes the result of the trained model; every process calls it.
    collate : callable, optional
        Makes a batch of samples.
    """

    model: nn.Module
    dataset: Dataset[Any]
    save: Callable[[StageTrainer], None]
    collate: Callable[[list[Any]], dict[str, Tensor]] | None = None


def run_job(recipe: Recipe, job: Job) -> None:
    """Train from the last checkpoint if there is one, and write the result.

    Checkpoints are in `<output>/checkpoints`.
    """
    trainer = train(recipe, job)
    job.save(trainer)
    finish(recipe, trainer)


def train(recipe: Recipe, job: Job) -> StageTrainer:
    """Run the training of a stage; returns the trainer with the trained model."""
    t = recipe.training
    gpu = torch.cuda.is_available()
    samples = len(job.dataset)
    steps = math.ceil(samples / (t.batch_size * t.accumulate * process_state().num_processes))
    exponential = t.schedule == "exponential"
    folder = recipe.folder / "checkpoints"
    last = get_last_checkpoint(str(folder)) if folder.is_dir() else None
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=1,
        per_device_train_batch_size=t.batch_size,
        gradient_accumulation_steps=t.accumulate,
        learning_rate=t.learning_rate,
        lr_scheduler_type="constant" if exponential else t.schedule,
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
        save_total_limit=t.keep_checkpoints,
        report_to=[],
        disable_tqdm=True,
        # A pass is complete before the next begins; the dataset's own order is shuffled.
        train_sampling_strategy="random" if t.epochs is None else "sequential",
        seed=recipe.seed,
        label_names=["labels"],
    )
    set_grad_checkpointing(job.model, t.gradient_checkpointing)
    callbacks: list[TrainerCallback] = [_Watch(t.save_minutes)]
    if t.tensorboard and process_state().is_main_process:
        callbacks.append(_tensorboard(recipe.folder / "tensorboard", last))
    trainer = StageTrainer(
        model=job.model,
        args=arguments,
        train_dataset=job.dataset,
        data_collator=job.collate or torch.utils.data.default_collate,
        callbacks=callbacks,
    )
    # E3D-GPT states "exponential decay" without a rate; our choice is down to 1 % over the run.
    trainer.exponential_to = 0.01 if exponential else None
    trainer.muon = t.optimizer == "muon"
    if process_state().is_main_process:
        print(_announcement(recipe, job.dataset, samples, steps), flush=True)
    trainer.train(resume_from_checkpoint=last)
    return trainer


def _announcement(recipe: Recipe, dataset: Dataset[Any], samples: int, steps: int) -> str:
    """Return a line about the length of a run."""
    t = recipe.training
    what = "pairs" if getattr(dataset, "places", None) is not None else "scans"
    items = getattr(dataset, "items", None)
    known = "" if items is None else f"{items:,} {what}, "
    passes = f"{t.epochs} pass(es), " if t.epochs is not None else ""
    each = t.batch_size * t.accumulate * process_state().num_processes
    return f"{recipe.output}: {known}{passes}{samples:,} samples, {steps:,} steps of {each}"


def _tensorboard(folder: Path, last_checkpoint: str | None) -> TrainerCallback:
    """Return the callback for TensorBoard; steps after the last checkpoint are written again."""
    from torch.utils.tensorboard import SummaryWriter
    from transformers.integrations import TensorBoardCallback

    step = int(last_checkpoint.rsplit("-", 1)[1]) + 1 if last_checkpoint else None
    writer: Any = SummaryWriter(str(folder), purge_step=step)
    return TensorBoardCallback(writer)


def whole_weights(trainer: StageTrainer) -> dict[str, Tensor] | None:
    """Return all weights of a model that FSDP or DeepSpeed has split; None if it is not split.

    Every process must call it; only the main process gets the weights, the others an empty dict.
    """
    if not (trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled):
        return None
    weights: dict[str, Tensor] = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    return weights if process_state().is_main_process else {}


def save_encoder(recipe: Recipe, encoder: VisionTransformer3D, trainer: StageTrainer) -> None:
    """Write a trained encoder from the main process; the trained model holds it as `encoder`."""
    weights = whole_weights(trainer)
    if weights is not None:
        weights = {
            k.removeprefix("encoder."): v for k, v in weights.items() if k.startswith("encoder.")
        }
    if process_state().is_main_process:
        encoder.requires_grad_(True)
        encoder.save_pretrained(recipe.folder, state_dict=weights)


def finish(recipe: Recipe, trainer: StageTrainer) -> None:
    """Write the loss curve beside the result and remove the checkpoints."""
    if process_state().is_main_process:
        history = [row for row in trainer.state.log_history if "loss" in row]
        (recipe.folder / "losses.json").write_text(json.dumps(history, indent=1) + "\n")
        shutil.rmtree(Path(trainer.args.output_dir), ignore_errors=True)
    process_state().wait_for_everyone()
