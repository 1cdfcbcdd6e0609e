"""The launcher's configurations mean what their pages say, to accelerate and to transformers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils import FullyShardedDataParallelPlugin
from accelerate.utils.deepspeed import HfDeepSpeedConfig
from accelerate.utils.launch import prepare_multi_gpu_env
from torch.distributed.fsdp.wrap import transformer_auto_wrap_policy
from transformers import TrainingArguments
from transformers.integrations.deepspeed import HfTrainerDeepSpeedConfig
from typer.testing import CliRunner

from napari_ct_assistant.cli import app
from napari_ct_assistant.model.mae import MaskedAutoencoder3D
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.launchers import FOLDER, LAUNCHERS, copy_launcher
from napari_ct_assistant.training.parallel.sharding import fsdp_plugin
from tests.documentation import ROOT
from tests.tiny_model import tiny_model

TRAIN = ["-m", "napari_ct_assistant", "train", "mae", "e3d_gpt/mae"]


def launched(*options: str) -> tuple[Any, dict[str, str]]:
    """Return what `accelerate launch` reads, and the environment of its processes."""
    args, _, _ = _validate_launch_command(launch_command_parser().parse_args([*options, *TRAIN]))
    return args, prepare_multi_gpu_env(args)


@pytest.fixture
def kept_environment() -> Iterator[None]:
    """Undo what the libraries write into the environment."""
    environment = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(environment)


# transformers' rules for filling in a configuration, without DeepSpeed, which it asks for first.
_rules = {name: rule for name, rule in vars(HfTrainerDeepSpeedConfig).items() if name[:2] != "__"}
DeepSpeedConfig: Any = type("DeepSpeedConfig", (HfDeepSpeedConfig,), _rules)


def test_every_file_is_listed() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {file for file, *_ in LAUNCHERS.values()}


def test_fsdp2_splits_the_layers_that_a_model_names(
    monkeypatch: pytest.MonkeyPatch, kept_environment: None
) -> None:
    args, environment = launched("--config_file", str(FOLDER / "fsdp2.yaml"))
    assert args.use_fsdp
    assert args.num_processes == 4
    assert args.mixed_precision == "no"
    for name, value in environment.items():
        if name.startswith(("FSDP_", "ACCELERATE_USE_FSDP")):
            monkeypatch.setenv(name, value)
    plugin = fsdp_plugin()
    assert isinstance(plugin, FullyShardedDataParallelPlugin)
    assert plugin.fsdp_version == 2
    assert plugin.reshard_after_forward is True
    assert plugin.auto_wrap_policy is transformer_auto_wrap_policy
    assert plugin.transformer_cls_names_to_wrap is None
    assert not plugin.cpu_ram_efficient_loading
    model, _ = tiny_model()
    assert set(model._no_split_modules) == {"Block", "LlamaDecoderLayer"}
    assert MaskedAutoencoder3D._no_split_modules == ["Block"]


def test_several_machines_are_options_of_the_command(kept_environment: None) -> None:
    several = ["--num_machines", "2", "--num_processes", "8", "--machine_rank", "1"]
    several += ["--main_process_ip", "node1", "--main_process_port", "29500"]
    args, environment = launched("--config_file", str(FOLDER / "fsdp2.yaml"), *several)
    assert args.use_fsdp
    # Of torchrun: processes on this machine, machines, and where they meet.
    assert (args.nproc_per_node, args.nnodes, args.node_rank) == ("4", "2", 1)
    assert args.rdzv_endpoint == "node1:29500"
    assert environment["ACCELERATE_USE_FSDP"] == "true"


def test_the_older_fsdp_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    monkeypatch.setenv("FSDP_VERSION", "1")
    with pytest.raises(RecipeError) as error:
        fsdp_plugin()
    assert str(error.value) == (
        "fsdp_version: 1 is not supported; set fsdp_version: 2 in accelerate's configuration"
    )


@pytest.mark.parametrize("stage", [2, 3])
@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_deepspeed_takes_everything_else_from_the_recipe(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kept_environment: None,
    stage: int,
    precision: str,
) -> None:
    """transformers fills in what says auto, and refuses what differs from the recipe."""
    file = FOLDER / f"deepspeed_zero{stage}.json"
    arguments = TrainingArguments(
        output_dir=str(tmp_path),
        per_device_train_batch_size=3,
        gradient_accumulation_steps=2,
        max_grad_norm=0.5,
        bf16=precision == "bf16",
        use_cpu=True,
    )
    config = DeepSpeedConfig(str(file))
    config.mismatches = []
    config.trainer_config_process(arguments)
    # A masked autoencoder has no hidden size of its own that buckets could be derived from.
    config.trainer_config_finalize(arguments, object(), num_training_steps=10)
    text = json.dumps(config.config)
    assert '"auto"' not in text
    assert config.get_value("zero_optimization.stage") == stage
    assert config.get_value("train_micro_batch_size_per_gpu") == 3
    assert config.get_value("gradient_accumulation_steps") == 2
    assert config.get_value("gradient_clipping") == 0.5
    assert config.get_value("bf16.enabled") is (precision == "bf16")


def test_a_configuration_is_copied_once(tmp_path: Path) -> None:
    listed = CliRunner().invoke(app, ["recipes", "launcher", "--json"])
    assert [row["name"] for row in json.loads(listed.stdout)] == list(LAUNCHERS)
    file = tmp_path / "zero3.json"
    done = CliRunner().invoke(app, ["recipes", "launcher", "deepspeed_zero3", str(file)])
    assert done.exit_code == 0, done.stderr
    assert f"accelerate launch --use_deepspeed --deepspeed_config_file {file}" in done.stderr
    assert json.loads(file.read_text())["zero_optimization"]["stage"] == 3
    with pytest.raises(RecipeError, match="is there already"):
        copy_launcher("deepspeed_zero3", file)
    with pytest.raises(RecipeError, match="did you mean fsdp2"):
        copy_launcher("fsdp", tmp_path / "other")


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_the_job_script_of_the_page_is_a_script() -> None:
    page = (ROOT / "docs" / "many-machines.md").read_text(encoding="utf-8")
    script = page.partition("```bash\n#!/bin/bash\n")[2].partition("```")[0]
    assert "#SBATCH --requeue" in script
    # The script, and what it runs on each machine.
    inner = script.partition("bash -c '")[2].partition("'")[0]
    assert "--machine_rank" in inner
    for text in (script, inner):
        done = subprocess.run(["bash", "-n", "-c", text], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
