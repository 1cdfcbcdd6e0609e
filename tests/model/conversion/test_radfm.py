"""An imported RadFM gives the same features, logits and image tokens as its own code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from napari_ct_assistant import load_assistant
from napari_ct_assistant.cli import app
from napari_ct_assistant.model import VolumeLanguageModel
from napari_ct_assistant.model.conversion import radfm
from napari_ct_assistant.model.conversion.importing import import_model
from napari_ct_assistant.model.encoders import load_encoder, load_perceiver, make_encoder
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.model.presets import radfm_vision
from napari_ct_assistant.model.processor import VolumeLanguageProcessor
from napari_ct_assistant.volume import CTVolume
from tests.model.conversion.radfm_reference import RadFM, build, radfm_tokenizer, unused_tensors

SIZE = (32, 32, 32)  # D, H, W: 8 x 4 x 4 patches


def release(folder: Path, *, language: bool = True, **how: Any) -> tuple[RadFM, Any, Path]:
    """Write RadFM's release: one .bin file, and its folder of language files."""
    tokenizer = radfm_tokenizer()
    model, config = build(len(tokenizer), **how)
    folder.mkdir()
    torch.save(model.checkpoint(), folder / "pytorch_model.bin")
    if language:
        files = folder / "Language_files"
        tokenizer.save_pretrained(files)
        (files / "config.json").write_text(json.dumps(config))
    return model, tokenizer, folder


def reference_ids(tokenizer: Any, question: str, latents: int) -> torch.Tensor:
    """Make the ids the way RadFM's demonstration does: all image words are added."""
    words = [f"<image{i}>" for i in range(latents)]
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>", "</image>", *words]})
    return torch.tensor([tokenizer(f"<image>{''.join(words)}</image>{question}")["input_ids"]])


@pytest.mark.parametrize("how", [{}, {"latents": 5, "head_dim": 16}])
def test_logits_are_the_references(tmp_path: Path, how: dict[str, Any]) -> None:
    reference, tokenizer, folder = release(tmp_path / "released", **how)
    done = import_model(folder, tmp_path / "ours", shard_bytes=50_000)
    assert (done.kind, done.layout) == ("model", "radfm")
    assert sorted(done.skipped) == sorted(unused_tensors())
    model = VolumeLanguageModel.from_pretrained(tmp_path / "ours").eval()
    processor = VolumeLanguageProcessor.from_pretrained(tmp_path / "ours")
    count = how.get("latents", 32)
    assert processor.num_image_tokens == model.num_image_tokens == count
    assert processor.preparation == "minmax"
    torch.manual_seed(1)
    pixels = torch.rand(1, 1, *SIZE)
    with torch.no_grad():
        torch.testing.assert_close(
            model.get_image_features(pixels), reference.image(pixels), atol=1e-5, rtol=0
        )
    for question in (radfm.REPORT_QUESTION, "Is there a nodule?"):
        ids = reference_ids(tokenizer, question, count)
        ours = torch.tensor([processor.prefix_ids() + processor.question_ids(question)])
        # The same text; RadFM numbers the image tokens, ours are all of one id.
        image = ours == processor.image_token_id
        assert torch.equal(ids[~image], ours[~image])
        assert int(image.sum()) == count
        with torch.no_grad():
            logits = model(input_ids=ours, pixel_values=pixels).logits
        vocabulary = reference.vocabulary
        torch.testing.assert_close(
            logits[..., :vocabulary], reference.logits(ids, pixels), atol=1e-4, rtol=0
        )


def test_it_drafts_without_a_place_for_its_sentences(
    tmp_path: Path, small_volume: CTVolume
) -> None:
    _, _, folder = release(tmp_path / "released")
    import_model(folder, tmp_path / "ours")
    draft = load_assistant(tmp_path / "ours", device="cpu").read(small_volume).draft_report()
    assert draft.sentences
    assert all(heat is None for heat in draft.heat), "latents stand for no place in the scan"
    assert all(sentence.slice is None for sentence in draft.sentences)


def test_encoder_and_perceiver_alone(tmp_path: Path) -> None:
    reference, _, folder = release(tmp_path / "released", language=False)
    command = ["models", "import", str(folder), str(tmp_path / "ours"), "--vision-only", "--json"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["kind"] == "encoder"
    encoder = load_encoder(tmp_path / "ours").eval()
    pixels = torch.rand(2, 1, *SIZE)
    video = pixels.permute(0, 1, 3, 4, 2).repeat(1, 3, 1, 1, 1)
    with torch.no_grad():
        wanted = reference.embedding_layer.vision_encoder(video)
        # RadFM's tokens run along the slices first, ours along the columns.
        wanted = wanted.reshape(2, 4, 4, 8, -1).permute(0, 3, 1, 2, 4).flatten(1, 3)
        torch.testing.assert_close(encoder(pixels), wanted, atol=1e-5, rtol=0)
    perceiver = load_perceiver(tmp_path / "ours")
    own = reference.embedding_layer
    assert torch.equal(perceiver["latents"], own.perceiver.latents)
    assert torch.equal(perceiver["projection.weight"], own.fc.weight)
    with pytest.raises(ModelLoadError, match="tokenizer"):
        import_model(folder, tmp_path / "whole")


def test_a_smaller_volume_takes_every_second_position(tmp_path: Path) -> None:
    reference, _, folder = release(tmp_path / "released", language=False)
    (folder / "config.json").write_text(json.dumps({"image_size": [16, 16, 32]}))
    import_model(folder, tmp_path / "ours", vision_only=True)
    pixels = torch.rand(1, 1, 16, 16, 32)
    with torch.no_grad():
        wanted = reference.embedding_layer.vision_encoder(
            pixels.permute(0, 1, 3, 4, 2).repeat(1, 3, 1, 1, 1)
        )
        wanted = wanted.reshape(1, 2, 4, 4, -1).permute(0, 3, 1, 2, 4).flatten(1, 3)
        torch.testing.assert_close(
            load_encoder(tmp_path / "ours").eval()(pixels), wanted, atol=1e-5, rtol=0
        )


def test_the_published_sizes() -> None:
    """vis_dim 768, depth 12, 8 heads of 64, mlp 2048, patches of 32 x 32 x 4 in three channels."""
    with torch.device("meta"):
        encoder = make_encoder(radfm_vision())
    assert encoder.config.grid == (16, 8, 8)
    values = 3 * 32 * 32 * 4
    block = 768 * 3 * 512 + 512 * 768 + 768 + 768 * 2048 + 2048 + 2048 * 768 + 768 + 4 * 768
    patches = 2 * values + values * 768 + 768 + 2 * 768
    total = sum(p.numel() for n, p in encoder.named_parameters() if n != "pos_embed")
    assert total == 12 * block + patches


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"embedding_layer.perceiver.layers.0.0.to_q.weight": None}, "1 tensor(s) missing"),
        ({"embedding_layer.perceiver.strange": torch.ones(2)}, "unknown tensor"),
        ({"embedding_layer.fc.weight": torch.ones(3, 48)}, "fc|projection"),
        ({"embedding_layer.weight": None}, "give --vision-only"),
    ],
)
def test_a_damaged_release_is_refused(
    tmp_path: Path, change: dict[str, torch.Tensor | None], said: str
) -> None:
    _, _, folder = release(tmp_path / "released")
    state = torch.load(folder / "pytorch_model.bin", weights_only=True) | change
    torch.save({k: v for k, v in state.items() if v is not None}, folder / "pytorch_model.bin")
    with pytest.raises(ModelLoadError) as error:
        import_model(folder, tmp_path / "ours")
    assert any(part in str(error.value) for part in said.split("|"))
    assert not (tmp_path / "ours").exists()
