"""Parameter counts of the published networks, worked out by hand."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from napari_ct_assistant.cli import app
from napari_ct_assistant.model.modeling import VolumeLanguageModel
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.recipe import LoraSettings
from napari_ct_assistant.training.parameters import count_parameters
from napari_ct_assistant.training.stages.lora import add_lora
from tests.tiny_model import tiny_model

run = CliRunner().invoke


def counted(what: str, **options: str) -> dict[str, int]:
    return {line.part: line.parameters for line in count_parameters(what, **options)}


def llama(vocabulary: int, inner: int, key_value: int, layers: int = 32, width: int = 4096) -> int:
    """Untied embeddings and head, and in each layer q, o, k, v, the MLP and two norms."""
    layer = 2 * width * width + 2 * width * key_value + 3 * width * inner + 2 * width
    return 2 * vocabulary * width + layers * layer + width


def lora(inner: int, key_value: int, r: int = 16, layers: int = 32, width: int = 4096) -> int:
    """r (inputs + outputs) for q and o, k and v, gate and up and down."""
    return layers * r * (4 * width + 2 * (width + key_value) + 3 * (width + inner))


def test_vit3d_llama3_has_its_true_sizes() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = counted("vit3d_llama3")
    assert found["encoder"] == 87_389_184
    # Linear(768, 4096), GELU, Linear(4096, 4096); the paper's 59 M is three times this.
    assert found["perceiver"] == 19_931_136 == 768 * 4096 + 4096 + 4096**2 + 4096
    assert found["language model"] == llama(128256, 14336, 1024) == 8_030_261_248
    assert found["LoRA"] == lora(14336, 1024) == 41_943_040
    assert found["trained"] == 87_389_184 + 19_931_136 + 41_943_040
    # kB on Linux: 16 GB of weights would show.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1_000_000


def test_m3d_on_llama_2() -> None:
    found = counted("m3d_llama2")
    assert found["language model"] == llama(32000, 11008, 4096) == 6_738_415_616
    assert found["whole network"] == 6_738_415_616 + 87_389_184 + 19_931_136
    assert found["LoRA"] == lora(11008, 4096)


def test_e3d_gpt_has_its_sizes() -> None:
    found = counted("e3d_gpt")
    encoder = 12 * (12 * 1536**2 + 13 * 1536) + 2048 * 1536 + 1536 + 2 * 1536
    assert found["encoder"] == encoder == 343_128_576
    assert found["perceiver"] == 1536 * 4096 * 8 + 4096
    # The MAE code's decoder: 8 blocks of width 512, a patch of 2048 voxels, the mask token.
    decoder = 8 * (12 * 512**2 + 13 * 512) + 1536 * 512 + 512 + 512 + 2 * 512 + 512 * 2048 + 2048
    assert found["MAE decoder"] == decoder
    assert found["trained"] == found["perceiver"] + found["LoRA"]
    assert counted("e3d_gpt/mae")["trained"] == encoder + decoder


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("average_pooling", 1536 * 4096 + 4096),
        ("max_pooling", 1536 * 4096 + 4096),
        ("spatial_pooling", 1536 * 4096 + 4096 + 4096**2 + 4096),
    ],
)
def test_other_perceivers(name: str, size: int) -> None:
    assert counted("e3d_gpt", perceiver=name)["perceiver"] == size


def test_recipes_without_their_predecessors() -> None:
    stages = {name: counted(f"e3d_gpt/{name}") for name in ("mae", "align")}
    assert stages["align"]["trained"] == stages["align"]["perceiver"]
    assert stages["mae"]["encoder"] == stages["align"]["encoder"]
    found = counted("vit3d_llama3/mrg")
    assert found["trained"] == 87_389_184 + 19_931_136 + 41_943_040


def test_counts_are_those_of_a_real_model() -> None:
    model, _ = tiny_model()
    real = sum(p.numel() for p in model.parameters())
    adapted = add_lora(model, LoraSettings(r=2))
    with_adapters = sum(p.numel() for n, p in adapted.named_parameters() if ".lora_" in n)
    from napari_ct_assistant.training.parameters import count_network

    meta, _ = tiny_model()
    found = {
        line.part: line.parameters for line in count_network(meta.config, lora=LoraSettings(r=2))
    }
    assert found["whole network"] == real
    assert found["LoRA"] == with_adapters


def test_a_model_of_this_machine(tiny_model_folder: Path) -> None:
    done = run(app, ["parameters", str(tiny_model_folder), "--json"])
    assert done.exit_code == 0, done.output
    lines = {line["part"]: line["parameters"] for line in json.loads(done.stdout)["parameters"]}
    model = VolumeLanguageModel.from_pretrained(tiny_model_folder, dtype=torch.float32)
    assert lines["whole network"] == sum(p.numel() for p in model.parameters())
    assert "trained" not in lines


def test_unknown_names_get_one_line() -> None:
    with pytest.raises(RecipeError, match="neither a preset"):
        count_parameters("nothing")
    with pytest.raises(RecipeError, match="perceiver cubist: choose one of"):
        count_parameters("e3d_gpt", perceiver="cubist")
    done = run(app, ["parameters", "e3d_gpt/align", "model=nobody/nothing"])
    assert done.exit_code == 1
    assert "model nobody/nothing: no such folder, and no model of known size" in done.stderr
