"""Folders and scans that cannot be used: one line, with the way out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from napari_ct_assistant import CTVolume, load_assistant
from napari_ct_assistant.assistant import GenerationSettings, ModelLoadError
from napari_ct_assistant.backends.slice_model.backend import TooManySlicesError
from napari_ct_assistant.backends.slices import SliceRange
from tests.backends.slice_model.tiny_models import save_tiny_model


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("bad") / "tiny", "gemma3")


@pytest.fixture
def folder(tiny: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny, tmp_path / "my-model")


def change(folder: Path, file: str, **said: Any) -> None:
    content = json.loads((folder / file).read_text()) | said
    (folder / file).write_text(json.dumps(content))


def refusal(folder: Path) -> str:
    with pytest.raises(ModelLoadError) as error:
        load_assistant(folder, device="cpu")
    line = str(error.value)
    assert "\n" not in line
    assert line.startswith("my-model: ")
    return line


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"model_type": "llama", "architectures": ["LlamaForCausalLM"]}, "a text-only model"),
        (
            {"model_type": "gemma3_text", "architectures": ["Gemma3ForCausalLM"]},
            "a text-only model (gemma3_text)",
        ),
        (
            {"model_type": "video_llava", "vision_config": {}, "text_config": {}},
            "a video model (video_llava)",
        ),
        (
            {"model_type": "vl_next", "architectures": ["LlavaNextVideoForConditionalGeneration"]},
            "a video model",
        ),
        (
            {"model_type": "hulumed_qwen2", "auto_map": {"AutoModel": "modeling_hulumed.Hulu"}},
            "own code (auto_map)",
        ),
        (
            {"model_type": "llava", "vision_config": {}, "text_config": {}},
            "another architecture (llava)",
        ),
    ],
)
def test_another_kind_of_model(folder: Path, config: dict[str, Any], said: str) -> None:
    (folder / "config.json").write_text(json.dumps(config))
    line = refusal(folder)
    assert said in line
    assert "use an image-text model of transformers (gemma3, gemma4, qwen2_5_vl, qwen3_vl)" in line


def test_a_known_architecture_with_code_of_its_own(folder: Path) -> None:
    change(folder, "config.json", auto_map={"AutoModel": "modeling.Mine"})
    assert "asks to run its own code (auto_map modeling.Mine)" in refusal(folder)


def test_a_processor_that_asks_for_code(folder: Path) -> None:
    change(folder, "preprocessor_config.json", auto_map={"AutoImageProcessor": "p.Mine"})
    assert "preprocessor_config.json asks to run its own code" in refusal(folder)


def test_a_processor_that_needs_torchvision(folder: Path) -> None:
    change(folder, "preprocessor_config.json", image_processor_type="Llama4ImageProcessorFast")
    line = refusal(folder)
    assert "needs torchvision: pip install torchvision" in line


def test_an_unknown_image_processor(folder: Path) -> None:
    change(folder, "preprocessor_config.json", image_processor_type="MyImageProcessor")
    assert "its image processor MyImageProcessor is not one of transformers'" in refusal(folder)


def test_an_image_token_that_the_tokenizer_lacks(folder: Path) -> None:
    change(folder, "config.json", image_token_index=100_000)
    assert "image_token_id 100000, and the tokenizer has no such token" in refusal(folder)


def test_an_image_token_that_is_a_word(folder: Path) -> None:
    content = json.loads((folder / "tokenizer.json").read_text())
    content["added_tokens"] = [
        token for token in content["added_tokens"] if token["content"] != "<image_soft_token>"
    ]
    (folder / "tokenizer.json").write_text(json.dumps(content))
    assert "the tokenizer has no such token" in refusal(folder)


def test_no_chat_template(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()
    assert "no chat template in the folder; download chat_template.jinja" in refusal(folder)


def test_an_image_processor_without_bounds(folder: Path) -> None:
    change(folder, "preprocessor_config.json", size={"height": 100_000, "width": 100_000})
    assert "10,000,000,000 pixels of one slice; refused" in refusal(folder)


def test_a_part_that_is_missing(folder: Path) -> None:
    (folder / "preprocessor_config.json").unlink()
    assert "no preprocessor_config.json or processor_config.json" in refusal(folder)


def test_a_broken_preset_beside_the_model(folder: Path) -> None:
    (folder / "slice_preset.yaml").write_text(
        "name: ours\nslices: many\nwindows: [[0, 80]]\nreport_question: Report.\n"
    )
    assert "slice_preset.yaml line 2: slices" in refusal(folder)


def test_too_many_slices_for_the_context(folder: Path, small_volume: CTVolume) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["max_position_embeddings"] = 700
    (folder / "config.json").write_text(json.dumps(config))
    assistant = load_assistant(folder, device="cpu")
    with pytest.raises(TooManySlicesError, match="context holds 700") as error:
        assistant.read(small_volume)
    line = str(error.value)
    fit = int(line.partition("--slice-count ")[2].partition(",")[0])
    assert "my-model: 40 slices are" in line
    assert 0 < fit < 40
    reading = assistant.read(small_volume, slices=SliceRange(count=fit))
    answer = reading.ask("Why?", settings=GenerationSettings(max_new_tokens=3), evidence=False)
    assert answer.tokens <= 3


def test_a_volume_model_has_no_slices(tiny_model_folder: Path, small_volume: CTVolume) -> None:
    assistant = load_assistant(tiny_model_folder, device="cpu")
    with pytest.raises(ValueError, match="leave out the range of slices"):
        assistant.read(small_volume, slices=SliceRange(1, 4))
    with pytest.raises(ModelLoadError, match="leave out the preset of slices"):
        load_assistant(tiny_model_folder, device="cpu", preset="medgemma-1.5")


def test_wrong_choices_of_the_reader(tiny: Path, small_volume: CTVolume) -> None:
    with pytest.raises(ModelLoadError, match="tiny: no slice preset 'mine'"):
        load_assistant(tiny, device="cpu", preset="mine")
    assistant = load_assistant(tiny, device="cpu", preset="generic-vl+jpeg")
    assert assistant.processor.preset.encoding == "jpeg"
    with pytest.raises(ValueError, match="images 1 to 40"):
        assistant.read(small_volume, slices=SliceRange(30, 60))
    with pytest.raises(ValueError, match="region is 'knee'; give one of chest, abdomen"):
        assistant.read(small_volume, region="knee")
    with pytest.raises(ValueError, match="leave out the crop"):
        assistant.read(small_volume, centre=(0.0, 0.0, 0.0))
