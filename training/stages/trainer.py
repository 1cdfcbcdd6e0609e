"""The transformers Trainer, set up from a recipe; every stage uses it.

Several GPUs or machines are an option of the launcher (`torchrun`, `accelerate launch`), not of the
recipe. N processes with a batch of b have the losses of one process with a batch of N * b.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from napari_ct_assistant.model.vit import VisionTransformer3D
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.recipe import Recipe
from napari_ct_assistant.training.distributed import process_state
from napari_ct_assistant.training.monitoring.callbacks import not_finite
from napari_ct_assistant.training.monitoring.validation import validation_loss
from napari_ct_assistant.training.parallel.batches import SHARE, Batches, weigh
from napari_ct_assistant.training.parallel.checkpoints import PortableCheckpoints
from napari_ct_assistant.training.parallel.sharding import (
    fsdp_plugin,
    gathered,
    reshard,
    shard_on_cpu,
)
from napari_ct_assistant.training.stages.optimizers import MuonWithAdamW, NoLinearLayerError


class StageTrainer(PortableCheckpoints):
    """The transformers Trainer with weighted tokens, Muon and an exponential schedule.

    If a batch has `loss_weights`, the loss is the weighted mean of the tokens' cross-entropy, over
    all tokens of the step in all its processes and accumulated batches.
    """

    exponential_to: float | None = None
    muon = False
    steps: int
    batches: Batches
    is_fsdp_enabled: bool
    control: Any

    def create_accelerator_and_postprocess(self) -> None:
        """Make the accelerator; it splits the model if the launcher asks for FSDP."""
        plugin = fsdp_plugin()
        super().create_accelerator_and_postprocess()
        if plugin is not None and not self.is_fsdp_enabled and self.args.world_size > 1:
            shard_on_cpu(self.accelerator, plugin)
            self.is_fsdp_enabled = True

    def create_optimizer(self, model: Any = None) -> Any:
        """Make the optimizer."""
        if not self.muon:
            return super().create_optimizer(model)
        if self.optimizer is None:
            if self.is_deepspeed_enabled:
                raise RecipeError(
                    "training.optimizer: muon needs whole matrices, but DeepSpeed splits them; use "
                    "adamw, or FSDP"
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
        self._count_each_once(batches)
        if len(batches) > 1 and "input_ids" in batches[0]:
            batches = by_length(batches, getattr(self.data_collator, "pad_id", 0))
        if batches and "loss_weights" in batches[0]:
            taken = [(b["labels"][:, 1:] != -100) * b["loss_weights"][:, 1:] for b in batches]
            count = torch.stack([weights.sum() for weights in taken]).sum().to(device)
            if self.args.world_size > 1:
                count = self.accelerator.gather(count).sum()
        return batches, count

    def _count_each_once(self, batches: list[dict[str, Any]]) -> None:
        """Take out of a step's batches what only fills them up, at the end of the run."""
        plan, step, samples = self.batches, self.state.global_step, len(self.train_dataset)
        process = self.args.process_index
        real = [plan.real(step, number, process, samples) for number in range(len(batches))]
        weigh(batches, real, plan.real_in_step(step, samples), plan.processes)

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
            raise not_finite("loss", float(loss), self.state.global_step + 1, where)
        return loss

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Return the validation loss as `eval_loss`, and log it."""
        metrics = {"eval_loss": validation_loss(self, self.eval_dataset, self.data_collator)}
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    @property
    def kept_step(self) -> int | None:
        """The step whose weights the best validation loss has kept; None without a choice."""
        chosen = self.args.load_best_model_at_end and self.state.best_model_checkpoint
        return self.state.best_global_step if chosen else None

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Return the loss, and the outputs if asked."""
        weights, share = inputs.pop("loss_weights", None), inputs.pop(SHARE, None)
        if weights is None:
            loss, outputs = super().compute_loss(model, inputs, True, num_items_in_batch)
            loss = loss if share is None else loss * share
            return (loss, outputs) if return_outputs else loss
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


def whole_weights(trainer: StageTrainer) -> dict[str, Tensor] | None:
    """Return all weights of a model that FSDP or DeepSpeed has split; None if it is not split.

    Every process must call it; only the main process gets the weights, the others an empty dict.
    """
    if not (trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled):
        return None
    main = process_state().is_main_process
    if trainer.is_deepspeed_enabled:
        weights: dict[str, Tensor] = trainer.accelerator.get_state_dict(trainer.model_wrapped)
        return weights if main else {}
    reshard(trainer.model)
    return gathered(trainer.model.state_dict(), keep=main)


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
