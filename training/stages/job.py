"""A stage's training from its size to its result."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, default_collate
from transformers import PrinterCallback, TrainerCallback, TrainingArguments

from napari_ct_assistant.model.vit import set_grad_checkpointing
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.recipe import Recipe
from napari_ct_assistant.training.data.volume_store import VolumeStore
from napari_ct_assistant.training.distributed import process_state, wait_for_all
from napari_ct_assistant.training.monitoring.callbacks import (
    Checkpoints,
    Curves,
    LossLines,
    Validation,
    tensorboard,
)
from napari_ct_assistant.training.monitoring.losses import write_losses
from napari_ct_assistant.training.monitoring.preflight import RunSize
from napari_ct_assistant.training.monitoring.timed_steps import time_steps
from napari_ct_assistant.training.monitoring.turn_counts import count_turns
from napari_ct_assistant.training.parallel.batches import divide
from napari_ct_assistant.training.parallel.checkpoints import last_checkpoint
from napari_ct_assistant.training.release.stage_card import RECORD, write_stage_card
from napari_ct_assistant.training.run_record import recorded_processes
from napari_ct_assistant.training.sequences.conversation_dataset import ConversationDataset
from napari_ct_assistant.training.stages.trainer import StageTrainer


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
    collate : callable
        Makes a batch of samples.
    validation : Dataset, optional
        Samples of patients that are not in `dataset`, for the validation loss.
    store : VolumeStore, optional
        The volumes that `dataset` draws from.
    """

    model: nn.Module
    dataset: Dataset[Any]
    save: Callable[[StageTrainer], None]
    collate: Callable[[list[Any]], dict[str, Tensor]] = default_collate
    validation: Dataset[Any] | None = None
    store: VolumeStore | None = None


def validation_samples(recipe: Recipe, items: int) -> int:
    """Return on how many of the held-out volumes or pairs the validation loss is measured."""
    return min(items, recipe.validation.samples)


def run_job(
    recipe: Recipe, job: Job, record: Callable[[], None] = lambda: None, *, check: bool = False
) -> None:
    """Print the size of a run, train from its last checkpoint if there is one, write the result.

    Checkpoints are in `<output>/checkpoints`.

    Parameters
    ----------
    recipe
    job
    record
        Called before the first step, in every process, to write down what is trained.
    check
        Train and write nothing.
    """
    folder = recipe.folder / "checkpoints"
    found = last_checkpoint(folder)
    last = None if found is None else str(found)
    recipe = _continued(recipe, last)
    with tempfile.TemporaryDirectory() as nowhere:
        trainer = make_trainer(recipe, job, last, Path(nowhere) if check else folder)
    done = int(last.rsplit("-", 1)[1]) if last else 0
    counts = count_turns(job.dataset) if isinstance(job.dataset, ConversationDataset) else None
    timed = None
    sharded = trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled
    if recipe.training.timed_steps and not sharded and done < trainer.steps:
        number = min(recipe.training.timed_steps, trainer.steps - done)
        timed = time_steps(trainer, job.dataset, job.collate, number)
    if process_state().is_main_process:
        size = RunSize(
            recipe,
            job.model,
            job.store,
            samples=len(job.dataset),
            validation=0 if job.validation is None else len(job.validation),
            steps=trainer.steps,
            done=done,
            counts=counts,
            timed=timed,
            device=trainer.args.device,
            sharded=sharded,
        )
        print(size.block(), flush=True)
    if check:
        return
    record()
    if counts is not None and process_state().is_main_process:
        counts.write(recipe.folder)
    trainer.train(resume_from_checkpoint=last)
    job.save(trainer)
    if process_state().is_main_process:
        write_losses(recipe, trainer.state.log_history, trainer.kept_step)
        if (recipe.folder / RECORD).is_file():
            write_stage_card(recipe, steps=trainer.state.global_step)
        shutil.rmtree(folder, ignore_errors=True)
    wait_for_all()


def _continued(recipe: Recipe, last: str | None) -> Recipe:
    """Return the recipe for this number of processes; a step keeps its number of samples."""
    t, begun_by = recipe.training, recorded_processes(recipe)
    if last is None or begun_by is None:
        return recipe
    plan = divide(t, process_state().num_processes, t.batch_size * t.accumulate * begun_by)
    changed = t.model_copy(update={"batch_size": plan.size, "accumulate": plan.accumulate})
    return recipe.model_copy(update={"training": changed})


def make_trainer(recipe: Recipe, job: Job, last: str | None, folder: Path) -> StageTrainer:
    """Return the Trainer of a stage's run.

    Parameters
    ----------
    recipe
    job
    last
        The checkpoint that the run continues from.
    folder
        For checkpoints; it is made.
    """
    t, validation = recipe.training, recipe.validation
    if job.validation is None and validation.patience is not None:
        raise RecipeError(
            f"validation.patience: {validation.patience}, but nobody is held out for a validation "
            "loss; set validation.share"
        )
    gpu = torch.cuda.is_available()
    samples = len(job.dataset)
    plan = divide(t, process_state().num_processes)
    steps = math.ceil(samples / plan.whole)
    exponential = t.schedule == "exponential"
    best = job.validation is not None and validation.keep == "best"
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
        dataloader_num_workers=t.workers or 0,
        dataloader_pin_memory=gpu,
        remove_unused_columns=False,
        logging_steps=min(t.log_steps, max(steps // 20, 1)),
        logging_nan_inf_filter=False,
        # The callbacks decide when else a checkpoint is saved.
        save_strategy="best" if best else "no",
        load_best_model_at_end=best,
        metric_for_best_model="eval_loss" if best else None,
        greater_is_better=False if best else None,
        save_total_limit=t.keep_checkpoints,
        report_to=[],
        disable_tqdm=True,
        # A pass is complete before the next begins; the dataset's own order is shuffled.
        train_sampling_strategy="random" if t.epochs is None else "sequential",
        seed=recipe.seed,
        label_names=["labels"],
    )
    set_grad_checkpointing(job.model, t.gradient_checkpointing)
    callbacks: list[TrainerCallback] = [Checkpoints(t.save_minutes), LossLines(str(recipe.output))]
    if job.validation is not None:
        callbacks = [Validation(validation), *callbacks, Curves(recipe)]
    if t.tensorboard and process_state().is_main_process:
        callbacks.append(tensorboard(recipe.folder / "tensorboard", last))
    trainer = StageTrainer(
        model=job.model,
        args=arguments,
        train_dataset=job.dataset,
        eval_dataset=job.validation,
        data_collator=job.collate,
        callbacks=callbacks,
    )
    trainer.remove_callback(PrinterCallback)
    trainer.steps, trainer.batches = steps, plan
    begun_by = recorded_processes(recipe)
    if last and trainer.is_deepspeed_enabled and begun_by not in (None, plan.processes):
        raise RecipeError(
            f"{recipe.output}: DeepSpeed continues with as many processes as began the run, "
            f"{begun_by}, not {plan.processes}; start again with --restart"
        )
    # E3D-GPT states "exponential decay" without a rate; our choice is down to 1 % over the run.
    trainer.exponential_to = 0.01 if exponential else None
    trainer.muon = t.optimizer == "muon"
    return trainer
