"""The size of a run in one block, before its first step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from napari_ct_assistant.backends.loading.memory import free_bytes
from napari_ct_assistant.training.config.recipe import Recipe
from napari_ct_assistant.training.data.volume_store import VolumeStore
from napari_ct_assistant.training.distributed import process_state
from napari_ct_assistant.training.monitoring.callbacks import clock
from napari_ct_assistant.training.monitoring.timed_steps import TimedSteps
from napari_ct_assistant.training.monitoring.turn_counts import Kind, TurnCounts

_KINDS = {
    "yes_no": "yes/no question",
    "free": "free question",
    "short": "short question",
    "multiple_choice": "multiple-choice question",
    "region": "region's report",
    "report": "report",
    "findings": "findings turn",
    "impression": "impression turn",
}


@dataclass(frozen=True)
class RunSize:
    """What a run will do, need and take.

    Parameters
    ----------
    recipe, model, store
        As the run has them; some stages have no store.
    samples, validation : int
        Samples of the run, and those of a validation.
    steps, done : int
        Optimizer steps of the run, and those that an interrupted run has done.
    counts : TurnCounts, optional
        Of stages that learn questions.
    timed : TimedSteps, optional
    device : torch.device
    sharded : bool
        Whether several processes share one copy of the model.
    """

    recipe: Recipe
    model: nn.Module
    store: VolumeStore | None
    samples: int
    validation: int
    steps: int
    done: int
    counts: TurnCounts | None
    timed: TimedSteps | None
    device: torch.device
    sharded: bool = False

    def block(self) -> str:
        """Return the lines."""
        lines = {
            "scans": self._scans(),
            "turns": self._turns(),
            "length": self._length(),
            "too long": self._too_long(),
            "device": self._device(),
            "memory": self._memory(),
            "time": self._time(),
        }
        shown = [f"  {name:<9} {text}" for name, text in lines.items() if text]
        return "\n".join([f"{self.recipe.output}: stage {self.recipe.stage}", *shown])

    def _scans(self) -> str:
        if self.store is None:
            return ""
        trained, held = self.store.training, self.store.validation
        text = f"{len(trained):,} of {_count(self.store.patients(trained), 'patient')}"
        if not held:
            return f"{text}; no validation loss"
        unit = "turn" if self.counts is not None else "scan"
        return (
            f"{text}; validation loss on {_count(self.validation, unit)} of "
            f"{_count(self.store.patients(held), 'other patient')}"
        )

    def _turns(self) -> str:
        counts = self.counts
        if counts is None:
            return ""
        exact = counts.exact or self.recipe.training.epochs is not None
        parts = [
            f"{name}: " + ", ".join(_count(n, _KINDS.get(kind, kind)) for kind, n in kinds.items())
            for name, kinds in _by_data_set(counts).items()
        ]
        about = "" if exact else f" (estimated from {counts.looked_at:,} samples)"
        return f"{'; '.join(parts)}{about}"

    def _length(self) -> str:
        t = self.recipe.training
        each = t.batch_size * t.accumulate * process_state().num_processes
        passes = f"{_count(t.epochs, 'epoch')}, " if t.epochs is not None else ""
        if t.epochs is None and self.store is not None and len(self.store.training):
            passes = f"{self.samples / len(self.store.training):,.1f} samples for each scan, "
        before = f", {self.done:,} of them done" if self.done else ""
        return f"{passes}{self.samples:,} samples, {self.steps:,} steps of {each}{before}"

    def _too_long(self) -> str:
        counts = self.counts
        if counts is None:
            return ""
        asked = self.recipe.conversation
        if not (counts.shortened or counts.left_out):
            return f"no answer, at {asked.max_length} tokens"
        looked = "" if counts.exact else f", in {counts.looked_at:,} samples that were looked at"
        what = {"findings": "their findings are shortened", "end": "they are cut off"}
        parts = []
        if counts.shortened:
            parts.append(f"{_kinds(counts.shortened)}: {what.get(asked.cut, '')}")
        if counts.left_out:
            parts.append(f"{_kinds(counts.left_out)}: no room in their sequence")
        return f"at {asked.max_length} tokens (conversation.max_length, .cut){looked}: " + (
            "; ".join(parts)
        )

    def _device(self) -> str:
        t = self.recipe.training
        count = process_state().num_processes
        name = "CPU"
        if self.device.type == "cuda":
            name = torch.cuda.get_device_name(self.device)
        processes = f", {count} processes" if count > 1 else ""
        return f"{name}{processes}, {t.precision}, {t.workers} reading processes"

    def _memory(self) -> str:
        parts = memory_parts(self.model, self.timed)
        if self.sharded:
            count = process_state().num_processes
            parts = {name: size // count for name, size in parts.items()}
        need = sum(parts.values())
        free = free_bytes(self.device)
        listed = ", ".join(f"{name} {_size(size)}" for name, size in parts.items())
        if free is None:
            return f"about {_size(need)}: {listed}"
        there = free + parts["weights"]  # they are loaded
        text = f"about {_size(need)} of {_size(there)}: {listed}"
        if need > there:
            text += (
                "; more than there is: lower training.batch_size, or set "
                "training.gradient_checkpointing=true"
            )
        return text

    def _time(self) -> str:
        if self.timed is None:
            return "" if self.sharded else "not measured"
        left = (self.steps - self.done) * self.timed.seconds
        t = self.recipe.training
        if self.validation:
            # Without a backward pass, a sample takes about a third of the time.
            times = self.recipe.validation.times * (self.steps - self.done) / max(self.steps, 1)
            each = t.batch_size * t.accumulate * process_state().num_processes
            left += times * self.validation / each * self.timed.seconds / 3
        return f"about {clock(left)}: {self.timed.seconds:.2g} s a step ({self.timed.count} timed)"


def memory_parts(model: nn.Module, timed: TimedSteps | None) -> dict[str, int]:
    """Return the bytes that training a model needs, by what they are for.

    The optimizers keep two values in float32 for each trained parameter.
    """
    weights = {p.untyped_storage().data_ptr(): p for p in model.parameters()}.values()
    learned = [p for p in weights if p.requires_grad]
    parts = {
        "weights": sum(p.numel() * p.element_size() for p in weights),
        "gradients": sum(p.numel() * p.element_size() for p in learned),
        "optimizer": sum(p.numel() * 8 for p in learned),
    }
    if timed is not None:
        parts["activations"] = timed.activations
    return parts


def _by_data_set(counts: TurnCounts) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for (name, kind), count in sorted(counts.turns.items(), key=lambda item: -item[1]):
        found.setdefault(name, {})[kind] = count
    return found


def _kinds(counts: dict[Kind, int]) -> str:
    return ", ".join(
        f"{_count(count, _KINDS.get(kind, kind))} of {name}"
        for (name, kind), count in counts.items()
    )


def _count(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e7 else f"{count / 1e6:.2f} MB"
