"""Each sample of a run is in one batch of one process, whatever their number."""

from __future__ import annotations

import pytest
import torch
from accelerate.data_loader import BatchSamplerShard
from torch.utils.data import BatchSampler, SequentialSampler

from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.recipe import TrainingSettings
from napari_ct_assistant.training.parallel.batches import SHARE, Batches, divide, weigh


def settings(batch_size: int, accumulate: int = 1) -> TrainingSettings:
    return TrainingSettings(
        samples=1, learning_rate=1.0, batch_size=batch_size, accumulate=accumulate
    )


def drawn(plan: Batches, samples: int) -> list[list[int]]:
    """Return the samples of each step that count, dealt as accelerate deals them."""
    order = BatchSampler(SequentialSampler(range(samples)), plan.size, drop_last=False)
    dealt = [list(BatchSamplerShard(order, plan.processes, rank)) for rank in range(plan.processes)]
    assert len({len(batches) for batches in dealt}) == 1, "every process has as many batches"
    steps = []
    for first in range(0, len(dealt[0]), plan.accumulate):
        step = len(steps)
        taken = []
        for rank, batches in enumerate(dealt):
            for number, batch in enumerate(batches[first : first + plan.accumulate]):
                taken += batch[: plan.real(step, number, rank, samples)]
        assert len(taken) == plan.real_in_step(step, samples)
        steps.append(sorted(taken))
    return steps


@pytest.mark.parametrize("samples", [1, 5, 12, 13, 17, 24, 31])
def test_a_step_has_the_same_samples_for_any_number_of_processes(samples: int) -> None:
    begun = settings(batch_size=6)
    expected = [list(range(k, min(k + 12, samples))) for k in range(0, samples, 12)]
    for processes in (1, 2, 3, 4, 6, 12):
        plan = divide(begun, processes, 12)
        assert plan.whole == 12
        assert plan.size <= 6, "no more at a time than the recipe says"
        assert drawn(plan, samples) == expected, plan


def test_the_recipe_divides_a_new_run() -> None:
    assert divide(settings(4, 2), 3) == Batches(4, 2, 3)
    assert divide(settings(4, 2), 3, 24) == Batches(4, 2, 3)
    # Continued by one process: as many samples at a time as the recipe allows.
    assert divide(settings(4, 2), 1, 24) == Batches(4, 6, 1)
    assert divide(settings(4), 8, 24) == Batches(3, 1, 8)


def test_processes_that_do_not_divide_a_step_are_refused() -> None:
    with pytest.raises(RecipeError) as error:
        divide(settings(2), 5, 12)
    assert str(error.value) == (
        "5 processes cannot divide a step of 12 samples, with which this run was begun; continue "
        "with 1, 2, 3, 4, 6 or 12"
    )


def test_a_step_that_is_not_full_has_the_mean_of_its_samples() -> None:
    """The mean over processes and batches, as the Trainer takes it, is that over the samples."""
    plan, samples = Batches(2, 2, 3), 9
    values = torch.arange(1.0, samples + 1)
    order = BatchSampler(SequentialSampler(range(samples)), plan.size, drop_last=False)
    losses = []
    for rank in range(plan.processes):
        dealt = list(BatchSamplerShard(order, plan.processes, rank))
        batches = [{"pixel_values": values[batch]} for batch in dealt]
        real = [plan.real(0, number, rank, samples) for number in range(len(batches))]
        weigh(batches, real, plan.real_in_step(0, samples), plan.processes)
        means = [batch["pixel_values"].mean() * batch.get(SHARE, 1) for batch in batches]
        losses.append(sum(means) / len(batches))
    assert float(sum(losses) / plan.processes) == pytest.approx(float(values.mean()))


def test_answers_that_fill_up_a_batch_have_no_weight() -> None:
    batch = {"labels": torch.ones(2, 3), "loss_weights": torch.ones(2, 3)}
    weigh([batch], [1], 5, 3)
    assert batch["loss_weights"].tolist() == [[1, 1, 1], [0, 0, 0]]
    assert SHARE not in batch
