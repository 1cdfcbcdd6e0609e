"""The prediction for many GPUs: its parts by hand, the page against the command."""

from __future__ import annotations

import json
import math
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from napari_ct_assistant.cli import app
from napari_ct_assistant.training.config.encoders import encoder_config
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.load import load_recipe
from napari_ct_assistant.training.config.recipe import Recipe
from napari_ct_assistant.training.monitoring.measured_step import measure_step
from napari_ct_assistant.training.monitoring.run_cost import (
    Assumptions,
    StepCost,
    checkpoint_interval,
    count_flops,
    expected_seconds,
    predict,
    step_cost,
)
from napari_ct_assistant.training.run import run_stage
from napari_ct_assistant.training.stages.trainer import StageTrainer
from tests.training.toy import Toy

PAGE = Path(__file__).parents[3] / "docs" / "scaling.md"
MAE = "mae={decoder_embed_dim: 24, decoder_depth: 1, decoder_num_heads: 2}"


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["recipes", "cost", *arguments])


def toy_recipe(toy: Toy, *more: str) -> Recipe:
    return load_recipe("e3d_gpt/mae", [toy.encoder, MAE, *more])


def test_the_page_has_what_the_command_prints() -> None:
    text = PAGE.read_text(encoding="utf-8")
    command = re.search(r"^ct-assistant recipes cost (.*)$", text, re.MULTILINE)
    assert command is not None
    done = run(*shlex.split(command.group(1)))
    assert done.exit_code == 0, done.output
    table = done.stdout.strip()
    assert len(table.splitlines()) == 14
    assert table in text
    assert "prediction, not a measurement" in done.stderr


def test_flops_are_those_of_the_matrix_products(toy: Toy) -> None:
    """Linear layers and attention, a third of them forward; the image needs no gradient."""
    recipe = toy_recipe(toy)
    config = encoder_config(recipe)
    tokens = math.prod(config.grid)
    patch = math.prod(config.patch_size)
    width, decoder = config.hidden_size, recipe.mae.decoder_embed_dim
    kept = int(tokens * 0.25)

    def block(length: int, size: int) -> int:
        return 24 * length * size**2 + 4 * length**2 * size

    embed = 2 * kept * patch * width
    forward = embed + block(kept, width)
    forward += 2 * kept * width * decoder + block(tokens, decoder) + 2 * tokens * decoder * patch
    assert count_flops(recipe) == 3 * forward - embed


def test_a_step_is_the_slowest_of_its_parts(toy: Toy) -> None:
    recipe = toy_recipe(toy, "training.batch_size=2", "training.accumulate=3")
    assumed = Assumptions(gpu="A100", utilization=0.5)
    step = step_cost(recipe, assumed)
    assert step.volumes == 6
    assert step.seconds == pytest.approx(6 * count_flops(recipe) / 156e12)
    step = step_cost(recipe, assumed, 0.5)
    one, many = predict(recipe, step, 6000, [1, 100], assumed)
    assert (one.steps, one.batch, one.limit) == (1000, 6, "compute")
    assert one.hours == pytest.approx(500 / 3600, rel=1e-3)
    assert many.steps == 10
    assert many.volumes_per_second == pytest.approx(1200)
    assert many.bytes_per_second == pytest.approx(1200 * 4.53e6)
    slow = Assumptions(read_speed=4.53e6 * 600)
    (read,) = predict(recipe, step, 6000, [100], slow)
    assert (read.limit, read.step_seconds) == ("reading", pytest.approx(1.0))
    fast = StepCost(1e-12, 6, None, "")
    (network,) = predict(recipe, fast, 6000, [100], assumed)
    assert network.limit == "network"
    parameters = network.checkpoint_bytes / 12
    assert network.step_seconds == pytest.approx(2 * 0.99 * 4 * parameters / 50e9)


def test_restarts_are_those_that_llama_3_reports(toy: Toy) -> None:
    """54 days on 16,384 GPUs; the prediction's own lost time is left out."""
    step = StepCost(54 * 86400.0, 1, None, "")
    (found,) = predict(toy_recipe(toy), step, 16384, [16384], Assumptions())
    assert found.restarts / found.hours * 54 * 24 == pytest.approx(419)


def test_the_expected_time_is_that_of_simulated_failures() -> None:
    work, write, restart, mtbf = 100_000.0, 60.0, 300.0, 5_000.0
    interval = 1_000.0
    rng = np.random.default_rng(0)

    def simulated() -> float:
        time = 0.0
        for _ in range(int(work / interval)):
            while (failure := rng.exponential(mtbf)) < interval + write:
                time += failure
                while (again := rng.exponential(mtbf)) < restart:
                    time += again
                time += restart
            time += interval + write
        return time

    mean = np.mean([simulated() for _ in range(300)])
    assert expected_seconds(work, interval, write, restart, mtbf) == pytest.approx(mean, rel=0.02)


def test_no_other_interval_is_better() -> None:
    for write, mtbf in ((4.4, 4e5), (60.0, 5e3), (600.0, 4e3)):
        best = checkpoint_interval(write, mtbf)
        times = [expected_seconds(1e6, best * f, write, 300, mtbf) for f in np.geomspace(0.2, 5)]
        assert expected_seconds(1e6, best, write, 300, mtbf) <= min(times) * 1.002
    assert checkpoint_interval(1.0, 1e6) == pytest.approx(math.sqrt(2e6), rel=0.01)  # Young


class Killed(BaseException):
    """Simulates a power cut."""


def test_a_checkpoint_has_the_predicted_bytes(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = StageTrainer.training_step

    def training_step(self: StageTrainer, *args: Any, **kwargs: Any) -> Any:
        if self.state.global_step == 2:
            raise Killed
        return step(self, *args, **kwargs)

    monkeypatch.setattr(StageTrainer, "training_step", training_step)
    options = [*toy.options(tmp_path / "mae", 3, save_minutes=1e-9), toy.encoder, MAE]
    with pytest.raises(Killed):
        run_stage("mae", "e3d_gpt/mae", options)
    folder = tmp_path / "mae" / "checkpoints" / "checkpoint-2"
    written = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    recipe = load_recipe("e3d_gpt/mae", options)
    (found,) = predict(recipe, StepCost(1.0, 1, None, ""), 3, [1], Assumptions())
    # Names and the trainer's state are 30 kB, which is much only here.
    assert 0 <= written - found.checkpoint_bytes < 60_000
    assert found.checkpoint_bytes > 400_000


def test_a_step_is_measured_on_this_machine(toy: Toy) -> None:
    seconds, where = measure_step(toy_recipe(toy))
    assert seconds > 0
    assert where


def test_json_and_plot(toy: Toy, tmp_path: Path) -> None:
    file = tmp_path / "cost.svg"
    more = [toy.encoder, MAE, "--gpus", "1,2", "--step-seconds", "0.5"]
    done = run("e3d_gpt/mae", *more, "--plot", str(file), "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["prediction"] is True
    assert [r["gpus"] for r in found["runs"]] == [1, 2]
    assert found["step"]["source"] == "measured on one GPU"
    assert "Prediction, not measured" in re.sub(r"<!-- (.*?) -->", r"\1", file.read_text())


def test_wrong_numbers_get_one_line(toy: Toy) -> None:
    for more, text in {
        ("--gpus", "8,x"): "--gpus 8,x: give numbers",
        ("--gpu", "P40"): "GPU P40: its peak is not known",
        ("--utilization", "40"): "utilization: 40; give a share",
        ("--step-seconds", "0"): "step seconds: 0; give a positive",
        ("--plot", "cost.pdf"): "cost.pdf: a plot is written as .svg or .png",
    }.items():
        done = run("e3d_gpt/mae", toy.encoder, MAE, *more)
        assert done.exit_code == 1
        assert text in done.stderr
        assert done.stderr.count("\n") == 1
    with pytest.raises(RecipeError, match=r"stage ground: the step depends on the texts"):
        count_flops(load_recipe("e3d_gpt/ground", [toy.encoder]))
