"""Folders that cannot be read with: one line each, and nothing of a folder runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from napari_ct_assistant import CTVolume, load_assistant
from napari_ct_assistant.assistant import ModelLoadError
from napari_ct_assistant.assistant.models.installed import describe_model
from napari_ct_assistant.backends.nv_reason_ct import checks
from tests.backends.nv_reason_ct.tiny_checkpoint import change, save_tiny_checkpoint, write


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_checkpoint(tmp_path_factory.mktemp("whole") / "tiny-nv")


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return shutil.copytree(whole, tmp_path / "model")


def refused(folder: Path, *words: str) -> None:
    """Check that a folder is refused with one line that has all these words."""
    with pytest.raises(ModelLoadError) as error:
        load_assistant(folder, device="cpu")
    line = str(error.value)
    assert line.startswith("model: ")
    assert "\n" not in line
    for word in words:
        assert word in line


def retensored(folder: Path, keep: str) -> None:
    """Leave out the tensors whose names begin with `keep`."""
    tensors = load_file(folder / "model.safetensors")
    left = {key: tensor for key, tensor in tensors.items() if not key.startswith(keep)}
    save_file(left, folder / "model.safetensors", metadata={"format": "pt"})


def test_a_folder_without_its_vision_tensors_is_blind(folder: Path) -> None:
    retensored(folder, "model.vision3d.")
    refused(folder, "no tensors of the CT encoder", "cannot see a scan")


def test_a_folder_with_a_part_of_its_vision_tensors(folder: Path) -> None:
    retensored(folder, "model.vision3d.merger.linear_fc1")
    refused(folder, "2 tensor(s) missing", "merger.linear_fc1.weight")


def test_an_unknown_tensor(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["model.vision3d.sub_vision.head.weight"] = tensors["lm_head.weight"].clone()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    refused(folder, "1 tensor(s) unknown", "sub_vision.head.weight")


@pytest.mark.parametrize(
    ("file", "changes", "words"),
    [
        ("config.json", {"vit3d_input_shape": [64, 32, 32]}, ("spatial_size", "[32, 32, 64]")),
        ("config.json", {"vit3d_input_shape": [30, 32, 32]}, ("no multiple", "[30, 32, 32]")),
        ("config.json", {"vit3d_patch_embed_size": [4, 4, 4]}, ("[4, 4, 4]", "[8, 8, 8]")),
        ("config.json", {"vit3d_input_shape": None}, ("spatial_size", "[192, 192, 192]")),
        ("config.json", {"vit3d_tiny": None}, ("attention heads", "12")),
        ("config.json", {"image_token_id": 7}, ("image_token_id 7", "<|image_pad|>")),
        ("config.json", {"text_config": None}, ("no text_config",)),
        ("generation_config.json", {"eos_token_id": [3]}, ("[3]", "<|im_end|>")),
        ("generation_config.json", {"eos_token_id": ["x"]}, ("eos_token_id", "no token")),
        (
            "image_processor_3d/preprocessor_config.json",
            {"final_grid_size": [5, 4, 4]},
            ("final_grid_size [5, 4, 4]", "[4, 4, 4]"),
        ),
        (
            "image_processor_3d/preprocessor_config.json",
            {"pixdim": [2.0, -1.0, 2.0]},
            ("pixdim", "three mm"),
        ),
        (
            "image_processor_3d/preprocessor_config.json",
            {"normalize_mode": "mr"},
            ("normalize_mode mr",),
        ),
    ],
)
def test_settings_of_another_model(
    folder: Path, file: str, changes: dict[str, object], words: tuple[str, ...]
) -> None:
    change(folder / file, **changes)
    refused(folder, *words)


def test_another_text_model(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["num_hidden_layers"] = 3
    config["text_config"]["layer_types"] = config["text_config"]["layer_types"][:3]
    write(folder / "config.json", config)
    refused(folder, "tensor(s) unknown", "layers.3.")
    config["text_config"]["hidden_size"] = 96
    write(folder / "config.json", config)
    refused(folder, "merger gives 64 channels", "96")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"<|image_pad|>"', '"<|picture|>"', ("does not have <|image_pad|>",)),
        ('"</think>"', '"</thought>"', ("does not have </think>",)),
        ('"normalizer":null', '"normalizer":{"type":"Lowercase"}', ("it is not this model's",)),
        ('"version":"1.0"', '"version":"one"', ("tokenizer.json is damaged",)),
    ],
)
def test_a_changed_tokenizer(folder: Path, old: str, new: str, words: tuple[str, ...]) -> None:
    file = folder / "tokenizer.json"
    text = json.dumps(json.loads(file.read_text()), separators=(",", ":"))
    assert old in text
    file.write_text(text.replace(old, new))
    refused(folder, *words)


def test_tokens_of_which_the_model_has_no_embedding(folder: Path) -> None:
    file = folder / "tokenizer.json"
    content = json.loads(file.read_text())
    content["model"]["vocab"]["\u0100"] = 400
    write(file, content)
    refused(folder, "a token", "288 embeddings")


def test_the_published_vocabulary_needs_the_published_tokenizer(folder: Path) -> None:
    with pytest.raises(ModelLoadError, match="the published one 06b9509352d2"):
        checks.check_vocabulary(folder, checks.PUBLISHED_VOCABULARY, "nvidia/NV-Reason-CT")
    checks.check_vocabulary(folder, 288, "tiny")


@pytest.mark.parametrize("place", ["chat_template.jinja", "tokenizer_config.json"])
def test_a_changed_template_is_refused_and_not_run(folder: Path, place: str) -> None:
    template = "{{ raise_exception('run') }}"
    if place.endswith("json"):
        change(folder / place, chat_template=template)
    else:
        (folder / place).write_text(template)
    refused(folder, f"chat template in {place} is not the published one")


@pytest.mark.parametrize(
    "file",
    [
        "tokenizer.json",
        "generation_config.json",
        "image_processor_3d/preprocessor_config.json",
        "model.safetensors",
    ],
)
def test_a_half_downloaded_folder(folder: Path, file: str) -> None:
    (folder / file).unlink()
    refused(folder, "model" if "safetensors" in file else f"{file} missing", "again")


def test_a_shard_is_missing(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    keys = list(load_file(folder / "model-00001-of-00002.safetensors"))
    where = dict.fromkeys(keys, "model-00001-of-00002.safetensors")
    where["model.language_model.norm.weight"] = "model-00002-of-00002.safetensors"
    write(folder / "model.safetensors.index.json", {"weight_map": where})
    refused(folder, "1 of 2 weight file(s) missing", "model-00002-of-00002.safetensors")


def test_shards_are_read(folder: Path, whole: Path, small_volume: CTVolume) -> None:
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    where = {}
    for number, part in enumerate((names[::2], names[1::2]), start=1):
        file = f"model-{number:05d}-of-00002.safetensors"
        save_file({key: tensors[key] for key in part}, folder / file)
        where |= dict.fromkeys(part, file)
    write(folder / "model.safetensors.index.json", {"weight_map": where})
    one, two = (load_assistant(path, device="cpu").read(small_volume) for path in (whole, folder))
    assert [r.probability for r in one.screen()] == [r.probability for r in two.screen()]


def test_python_files_are_left_aside_and_said(folder: Path, tmp_path: Path) -> None:
    """Also where `config.json` names them, as the published one does."""
    for name in ("model.py", "processor.py"):
        (folder / name).write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    info = load_assistant(folder, device="cpu").info
    assert info.notes == (
        "Left aside, not run: model.py, processor.py and the auto_map in config.json.",
    )
    assert not (tmp_path / "ran").exists()


def test_four_bits_and_offloading_are_refused(folder: Path) -> None:
    with pytest.raises(ModelLoadError, match="4bit weights change this model's findings"):
        load_assistant(folder, device="cpu", quantize="4bit")
    with pytest.raises(ModelLoadError, match="device_map is not available"):
        load_assistant(folder, device_map="auto")


def test_eight_bits_are_near_the_whole_weights(folder: Path, small_volume: CTVolume) -> None:
    whole = load_assistant(folder, device="cpu", dtype="float32")
    small = load_assistant(folder, device="cpu", dtype="float32", quantize="8bit")
    large = sum(p.nbytes for p in whole.model.language_model.layers.parameters())
    layers = small.model.language_model.layers
    held = sum(t.nbytes for t in (*layers.parameters(), *layers.buffers()))
    assert held < 0.5 * large
    one, two = (a.read(small_volume).screen() for a in (whole, small))
    gap = max(abs(a.probability - b.probability) for a, b in zip(one, two, strict=True))
    assert 0 < gap < 0.02


def test_it_is_listed_with_its_terms(folder: Path) -> None:
    model = describe_model("tiny", "folder", folder)
    assert model is not None
    assert "research and education" in model.notice
    assert "CT-RATE" in model.trained_on
