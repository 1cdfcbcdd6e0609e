"""Astra keeps the promises of a backend; its folder comes from the published layout."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from napari_ct_assistant import CTVolume, load_assistant
from napari_ct_assistant.backends.astra.prompts import QUESTIONS, REGIONS, split_report
from napari_ct_assistant.backends.importing import import_model
from napari_ct_assistant.model.errors import ModelLoadError
from tests.backends.astra.tiny_astra import SETTINGS, astra_tensors, save_base
from tests.backends.conformance import BackendConformance


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_base(tmp_path_factory.mktemp("base") / "qwen")


@pytest.fixture(scope="module")
def made(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("astra")
    torch.save({"model": astra_tensors()}, place / "converted_weights.pth")
    done = import_model(
        place / "converted_weights.pth", place / "tiny-astra", base=base, settings=SETTINGS
    )
    assert (done.kind, done.layout) == ("model", "astra")
    assert done.skipped == ("embed_tokens.weight",)
    return done.folder


class TestAstra(BackendConformance):
    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, made: Path) -> Path:
        return made


def test_each_region_has_the_question_of_the_release(made: Path, small_volume: CTVolume) -> None:
    assistant = load_assistant(made, device="cpu")
    for region in REGIONS:
        context = assistant.read(small_volume, region=region).context
        assert context.report_question("Report", {}) == (QUESTIONS[region], False)
        ids = context.loaded.processor.prefix_ids()  # type: ignore[attr-defined]
        text = context.loaded.processor.tokenizer.decode(ids)  # type: ignore[attr-defined]
        assert text.endswith("<|vision_start|>" + "<|image_pad|>" * 8)
    with pytest.raises(ValueError, match="region is 'head'"):
        assistant.read(small_volume, region="head")


def test_both_spellings_of_the_language_model(made: Path, base: Path, tmp_path: Path) -> None:
    torch.save(astra_tensors(newer_names=True), tmp_path / "astra.pth")
    other = import_model(tmp_path / "astra.pth", tmp_path / "o", base=base, settings=SETTINGS)
    assert (other.folder / "model.safetensors").read_bytes() == (
        made / "model.safetensors"
    ).read_bytes()


def test_adapters_are_merged(made: Path, base: Path, tmp_path: Path) -> None:
    """A checkpoint before merging: LoRA of rank 2, alpha 64."""
    tensors = astra_tensors()
    key = "language_model.model.layers.0.self_attn.q_proj"
    a, b = torch.randn(2, 32), torch.randn(32, 2)
    wrapped = {
        (f"language_model.base_model.model.{k.removeprefix('language_model.')}"
         if k.startswith("language_model.") else k): t
        for k, t in tensors.items()
    }  # fmt: skip
    inner = f"language_model.base_model.model.{key.removeprefix('language_model.')}"
    wrapped[f"{inner}.base_layer.weight"] = wrapped.pop(f"{inner}.weight")
    wrapped[f"{inner}.base_layer.bias"] = wrapped.pop(f"{inner}.bias")
    wrapped |= {f"{inner}.lora_A.default.weight": a, f"{inner}.lora_B.default.weight": b}
    torch.save({"model": wrapped}, tmp_path / "lora.pth")
    done = import_model(tmp_path / "lora.pth", tmp_path / "o", base=base, settings=SETTINGS)
    weight = load_assistant(done.folder, device="cpu").model.state_dict()[f"{key}.weight"]
    torch.testing.assert_close(weight, tensors[f"{key}.weight"] + 32 * b @ a)


def test_what_is_missing_is_said(base: Path, tmp_path: Path) -> None:
    torch.save(astra_tensors(), tmp_path / "astra.pth")
    with pytest.raises(ModelLoadError, match=r"^astra\.pth: needs the tokenizer .* --base"):
        import_model(tmp_path / "astra.pth", tmp_path / "o", settings=SETTINGS)
    with pytest.raises(ModelLoadError, match=r"7 perceiver_heads do not divide 48"):
        import_model(
            tmp_path / "astra.pth",
            tmp_path / "o",
            base=base,
            settings={**SETTINGS, "perceiver_heads": 7},
        )
    blind = {k: t for k, t in astra_tensors().items() if not k.startswith("visual_encoder.")}
    torch.save(blind, tmp_path / "blind.pth")
    with pytest.raises(ModelLoadError, match="not its image encoder; give that with --encoder"):
        import_model(tmp_path / "blind.pth", tmp_path / "o", base=base, settings=SETTINGS)


def test_a_report_is_split_by_region() -> None:
    text = "abdomen: normal. bone: Old rib fracture. Lung: A nodule.\nheart: normal."
    assert split_report(text, "chest") == {
        "Abdomen": "normal.",
        "Bone": "Old rib fracture.",
        "Lung": "A nodule.",
        "Heart": "normal.",
    }
    assert split_report("Clear lungs.", "chest") == {"Report": "Clear lungs."}
