"""Each paper's recipe trains a model at toy size from the command line.

The demonstration model's recipes do so in `test_stages`.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from napari_ct_assistant import load_assistant
from napari_ct_assistant.assistant.models.upload import plan_upload
from napari_ct_assistant.cli import app
from napari_ct_assistant.model import VolumeLanguageModel
from napari_ct_assistant.model.conversion.importing import import_model
from napari_ct_assistant.model.encoders import load_encoder
from napari_ct_assistant.model.processor import VolumeLanguageProcessor
from napari_ct_assistant.volume import CTVolume, write_nifti
from tests.model.conversion.m3d_reference import ViT
from tests.model.conversion.radfm_reference import build as build_radfm
from tests.training.data.datasets.layouts import write_amos_mm, write_ct_rate
from tests.training.stages.language_models import FAMILIES, write_language_model
from tests.training.toy import Toy, losses

TOY = ["training.samples=2", "training.batch_size=1", "training.log_steps=1", "training.workers=0"]


def train(stage: str, recipe: str, root: Path, *more: str) -> str:
    done = CliRunner().invoke(app, ["train", stage, recipe, f"root={root}", *TOY, *more])
    assert done.exit_code == 0, (done.stderr[-2000:], done.exception)
    return done.stdout


def test_e3d_gpt_from_masked_autoencoder_to_report(
    toy: Toy, tmp_path: Path, small_volume: CTVolume
) -> None:
    """Precision, schedule and prompt are those of the recipes."""
    llm = write_language_model(tmp_path / "llm", FAMILIES["llama"])
    data = toy.data(reports="false")
    printed = train(
        "mae",
        "e3d_gpt/mae",
        tmp_path,
        data,
        toy.encoder,
        "mae={decoder_embed_dim: 24, decoder_depth: 1, decoder_num_heads: 2}",
    )
    assert "mae: finished in" in printed
    assert "mae: stage mae\n  scans     2 of 2 patients; no validation loss\n" in printed
    assert "1.0 samples for each scan, 2 samples, 2 steps of 1" in printed
    train("align", "e3d_gpt/align", tmp_path, toy.data(), f"model={llm}")
    train("instruct", "e3d_gpt/instruct", tmp_path, toy.data())
    mae = load_encoder(tmp_path / "mae").state_dict()
    align = VolumeLanguageModel.from_pretrained(tmp_path / "align").state_dict()
    instruct = VolumeLanguageModel.from_pretrained(tmp_path / "instruct").state_dict()
    changed = {k for k, v in instruct.items() if not torch.equal(v, align[k])}
    # What each stage of the paper trains, and nothing else.
    assert all(torch.equal(v, instruct[f"vision_tower.{k}"]) for k, v in mae.items())
    assert {k.split(".")[0] for k in changed} == {"projector", "language_model"}
    assert all("_proj" in k for k in changed if k.startswith("language_model"))
    reading = load_assistant(tmp_path / "instruct", device="cpu").read(small_volume)
    assert isinstance(reading.draft_report().text, str)
    # The draft says where the model comes from, and its folder can be published.
    assert str(reading.draft_report()).endswith(
        "[Trained on the scans of a table; not evaluated clinically. Not for clinical use.]"
    )
    plan = plan_upload(tmp_path / "instruct", "owner/name")
    assert {"README.md", "config.json", "model.safetensors"} <= set(plan.files)
    assert "run.yaml" in plan.left_out
    card = (tmp_path / "instruct" / "README.md").read_text()
    assert "**Trained on the scans of a table" in card
    assert "| licence of the scans of a table | for you to state" in card
    # A draft asks what was trained.
    processor = VolumeLanguageProcessor.from_pretrained(tmp_path / "instruct")
    assert processor.report_questions == {"report": "Write the radiology report of this CT scan."}


@pytest.fixture
def m3d_clip(tmp_path: Path) -> Path:
    """Return an encoder as `models import` makes it of a small M3D-CLIP: 8x32x32 voxels."""
    torch.manual_seed(0)
    vit = ViT(1, (8, 32, 32), (2, 8, 8), 24, 48, 1, 12).state_dict()
    source = tmp_path / "released"
    source.mkdir()
    config = {"model_type": "m3d_clip", "img_size": [8, 32, 32], "patch_size": [2, 8, 8]}
    (source / "config.json").write_text(json.dumps(config))
    clip = {f"vision_encoder.{k}": v.clone() for k, v in vit.items()}
    save_file(clip, source / "model.safetensors")
    return import_model(source, tmp_path / "m3d_clip").folder


def test_vit3d_llama3_from_m3d_clip(m3d_clip: Path, tmp_path: Path) -> None:
    """The encoder is trained too, on AMOS-MM's files, scaled by their own range."""
    llm = write_language_model(tmp_path / "llm", FAMILIES["smollm2"])
    amos = write_amos_mm(tmp_path / "AMOS-MM")
    recipe = "vit3d_llama3/mrg"
    train("instruct", recipe, tmp_path, f"data.root={amos}", f"model={llm}")
    before = load_encoder(m3d_clip).state_dict()
    model = VolumeLanguageModel.from_pretrained(tmp_path / "mrg")
    after = model.vision_tower.state_dict()
    still = {k for k, v in before.items() if torch.equal(v, after[k])}
    assert not still, "parts of the encoder did not learn"
    assert model.config.perceiver == "spatial_pooling"
    assistant = load_assistant(tmp_path / "mrg", device="cpu")
    assert assistant.processor.preparation == "minmax"
    # A draft has a section for each region that training asked for, in the words of training.
    assert assistant.processor.report_questions == {
        region: f"please provide a detailed caption outlining the findings in {region} of this "
        "image."
        for region in ("abdomen", "pelvis")
    }
    assert all(loss > 0 for loss in losses(tmp_path / "mrg"))
    # Tokens of an encoder that is trained must not be cached.
    assert not list(tmp_path.rglob("tokens.npy"))


def test_the_baselines_start_from_their_encoders(m3d_clip: Path, tmp_path: Path) -> None:
    """RadFM's resampler starts from its weights too; both encoders stay as they are."""
    llm = write_language_model(tmp_path / "llm", FAMILIES["llama"])
    data = write_ct_rate(tmp_path / "CT-RATE")
    (tmp_path / "released-radfm").mkdir()
    released = build_radfm(300)[0].checkpoint()
    torch.save(released, tmp_path / "released-radfm" / "pytorch_model.bin")
    radfm = import_model(tmp_path / "released-radfm", tmp_path / "radfm", vision_only=True).folder
    models = {}
    for paper, start in (("m3d", m3d_clip), ("radfm", radfm)):
        options = [f"data.root={data}", f"output={paper}-align"]
        train("align", f"{paper}/ct_rate/align", tmp_path, *options, f"model={llm}")
        before = load_encoder(start).state_dict()
        models[paper] = VolumeLanguageModel.from_pretrained(tmp_path / f"{paper}-align")
        after = models[paper].vision_tower.state_dict()
        assert all(torch.equal(value, after[key]) for key, value in before.items())
    latents = models["radfm"].projector.perceiver.latents.detach()
    moved = (latents - released["embedding_layer.perceiver.latents"]).abs().max()
    assert 0 < moved < 0.01
    # The second stage starts from the model of the first.
    options = [f"data.root={data}", "output=radfm-instruct", "model=radfm-align"]
    train("instruct", "radfm/ct_rate/instruct", tmp_path, *options)
    trained = load_assistant(tmp_path / "radfm-instruct", device="cpu")
    assert trained.info.trained_on == "CT-RATE"
    assert trained.info.untaught == ("finding",)


def test_a_model_of_questions_only_says_that_it_was_taught_no_report(
    m3d_clip: Path, tmp_path: Path, small_volume: CTVolume
) -> None:
    llm = write_language_model(tmp_path / "llm", FAMILIES["smollm2"])
    amos = write_amos_mm(tmp_path / "AMOS-MM")
    train("instruct", "vit3d_llama3/vqa", tmp_path, f"data.root={amos}", f"model={llm}")
    write_nifti(small_volume, tmp_path / "scan.nii.gz")
    assistant = load_assistant(tmp_path / "vqa", device="cpu")
    assert assistant.info.untaught == ("report", "finding", "question")
    reading = assistant.read(small_volume)
    told = "This model was not taught to write reports; disregard what it says here."
    assert told in reading.draft_report().warnings
    asked = "This model was not taught to answer open questions; disregard what it says here."
    assert asked in reading.ask("What is this?").warnings
    assert asked not in reading.ask("Which?", choices=["a", "b"]).warnings
    command = ["report", str(tmp_path / "scan.nii.gz"), "--model", str(tmp_path / "vqa")]
    done = CliRunner().invoke(app, command)
    told = (
        "warning: This model was not taught to write reports, to say whether a finding is present "
        "or to answer open questions."
    )
    assert done.stderr.splitlines().count(told) == 1


def test_align_can_train_the_encoder(toy: Toy, tmp_path: Path) -> None:
    options = [*toy.options(tmp_path / "out", 2), *toy.align, "train_encoder=true"]
    done = CliRunner().invoke(app, ["train", "align", "e3d_gpt/align", *options])
    assert done.exit_code == 0, done.stderr
    before = load_encoder(toy.folder / "encoder").state_dict()
    after = VolumeLanguageModel.from_pretrained(tmp_path / "out").state_dict()
    assert not torch.equal(
        before["blocks.0.mlp.fc1.weight"], after["vision_tower.blocks.0.mlp.fc1.weight"]
    )
    llm = VolumeLanguageModel.from_pretrained(tmp_path / "out").language_model.state_dict()
    from transformers import AutoModelForCausalLM

    start = AutoModelForCausalLM.from_pretrained(toy.folder / "llm").state_dict()
    assert all(torch.equal(v, llm[k]) for k, v in start.items())
