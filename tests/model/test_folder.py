"""A model folder is checked before anything in it is loaded."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_ct_assistant import load_assistant
from napari_ct_assistant.model.configuration import VolumeLanguageConfig
from napari_ct_assistant.model.errors import ModelLoadError, listing
from napari_ct_assistant.model.folder import check_folder, check_hashes, write_hashes
from napari_ct_assistant.model.format import FORMAT_VERSION
from napari_ct_assistant.model.modeling import VolumeLanguageModel
from tests.tiny_model import save_tiny_model, tiny_model

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
GPT4 = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+"
)


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an untrained model, which is made quickly."""
    return save_tiny_model(tmp_path_factory.mktemp("untrained") / "tiny-model", learned=False)


@pytest.fixture
def folder(untrained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(untrained, tmp_path / "model"))


def refused(folder: Path, message: str) -> None:
    with pytest.raises(ModelLoadError, match=message) as error:
        load_assistant(folder, device="cpu")
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(f"{folder.name}: ")


def configure(folder: Path, **changes: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def change(folder: Path, edit: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    state = load_file(folder / "model.safetensors")
    edit(state)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


def test_the_version_is_written_and_read(folder: Path) -> None:
    content = json.loads((folder / "config.json").read_text())
    assert content["format_version"] == FORMAT_VERSION
    del content["format_version"]  # as the first folders were written
    (folder / "config.json").write_text(json.dumps(content))
    assert load_assistant(folder, device="cpu").info.name == "model"


@pytest.mark.parametrize("version", [FORMAT_VERSION + 1, 0, "1", None, 1.5])
def test_another_version(folder: Path, version: Any) -> None:
    configure(folder, format_version=version)
    refused(
        folder,
        r"config\.json says format_version .*, this version .* reads up to \d+; update it",
    )


def test_extra_tensors(folder: Path) -> None:
    change(folder, lambda s: s.update({"spy.weight": torch.ones(2)}))
    refused(folder, r"1 unknown tensor\(s\): spy\.weight")


def test_missing_tensors(folder: Path) -> None:
    change(folder, lambda s: s.pop("vision_tower.blocks.0.norm1.bias"))
    refused(folder, r"1 tensor\(s\) missing: vision_tower\.blocks\.0\.norm1\.bias")


def test_a_tensor_of_another_shape(folder: Path) -> None:
    change(folder, lambda s: s.update({"vision_tower.norm.bias": torch.ones(25)}))
    refused(folder, r"vision_tower\.norm\.bias is \[25\], expected \[24\]")


def test_tied_heads_need_not_be_stored(tmp_path: Path) -> None:
    model, processor = tiny_model()
    config = model.config.to_dict()
    config["text_config"] |= {"tie_word_embeddings": True}
    tied = VolumeLanguageModel(VolumeLanguageConfig(**config | {"tie_word_embeddings": True}))
    tied.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    assert "language_model.lm_head.weight" not in load_file(tmp_path / "model.safetensors")
    assert load_assistant(tmp_path, device="cpu").device == "cpu"


def shard(folder: Path) -> None:
    """Write the model's weights in two files."""
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    where = {key: f"model-0000{1 + i % 2}-of-00002.safetensors" for i, key in enumerate(state)}
    for name in set(where.values()):
        part = {key: state[key] for key in state if where[key] == name}
        save_file(part, folder / name, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": where}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def test_shards(folder: Path) -> None:
    shard(folder)
    assert len(load_assistant(folder, device="cpu").info.files) == 2
    (folder / "model-00002-of-00002.safetensors").unlink()
    refused(folder, r"1 of 2 weight file\(s\) missing: model-00002-of-00002\.safetensors")


@pytest.mark.parametrize("name", ["../model/x.safetensors", "/x.safetensors", "model.bin"])
def test_an_index_that_leads_elsewhere(folder: Path, name: str) -> None:
    shard(folder)
    file = folder / "model.safetensors.index.json"
    index = json.loads(file.read_text())
    index["weight_map"]["vision_tower.norm.bias"] = name
    file.write_text(json.dumps(index))
    refused(folder, r"is not a plain file name; refused|expected a \.safetensors file")


@pytest.mark.parametrize(
    ("file", "settings"),
    [
        ("config.json", {"auto_map": {"AutoModel": "spy.Model"}}),
        ("config.json", {"attn_implementation": "somebody/kernel:spy"}),
        # Where its package is missing, transformers takes it from a hub repository.
        ("config.json", {"_attn_implementation": "flash_attention_2"}),
        ("config.json", {"text_config": {"_attn_implementation": "paged|flash_attention_3"}}),
        ("config.json", {"use_kernels": True}),
        ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": "me/spy--spy.Tokenizer"}}),
        ("processor_config.json", {"auto_map": {"AutoProcessor": "spy.Processor"}}),
    ],
)
def test_settings_that_ask_for_code(folder: Path, file: str, settings: dict[str, Any]) -> None:
    mark = folder / "it-ran"
    (folder / "spy.py").write_text(f"open({str(mark)!r}, 'w')\nclass Model: ...\n")
    path = folder / file
    path.write_text(json.dumps((json.loads(path.read_text()) if path.exists() else {}) | settings))
    refused(folder, rf"{file} asks to run its own code .*; a model's code is never run")
    assert not mark.exists()


def test_an_adapter_beside_the_weights(folder: Path) -> None:
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "me/elsewhere"}')
    refused(folder, "merge the adapter with `models import`")
    (folder / "config.json").unlink()
    refused(folder, "it is an adapter")


# ---- hashes


def test_hashes_are_checked_where_they_are(folder: Path) -> None:
    write_hashes(folder)
    assert load_assistant(folder, device="cpu").info.name == "model"
    change(folder, lambda s: s["vision_tower.norm.bias"].add_(1))
    refused(folder, r"model\.safetensors changed since SHA256SUMS was written")


def test_hashes_name_every_weight_file(folder: Path) -> None:
    write_hashes(folder)
    shutil.copy(folder / "model.safetensors", folder / "model-2.safetensors")
    with pytest.raises(ModelLoadError, match=r"disagree about model-2\.safetensors"):
        check_hashes(folder, "m")
    (folder / "model-2.safetensors").unlink()
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelLoadError, match=r"disagree about tokenizer\.json"):
        check_hashes(folder, "m")


@pytest.mark.parametrize("line", ["abc  x", f"{'0' * 64}  ../x", f"{'0' * 64}  /etc/passwd"])
def test_hashes_of_other_places(folder: Path, line: str) -> None:
    (folder / "SHA256SUMS").write_text(f"{line}\n")
    refused(folder, "SHA256SUMS has a line that `sha256sum` would not write")


def test_hashes_are_sha256sums(folder: Path) -> None:
    import subprocess

    program = shutil.which("sha256sum")
    if program is None:
        pytest.skip("no sha256sum on this machine")
    write_hashes(folder)
    done = subprocess.run(
        [program, "--check", "--strict", "SHA256SUMS"], cwd=folder, capture_output=True, check=False
    )
    assert done.returncode == 0


def test_listings_stay_one_line() -> None:
    assert listing(["a", "b"]) == "a, b"
    assert listing([str(i) for i in range(15)], 3) == "0, 1, 2 and 12 more"


def test_weights_that_config_json_names_are_not_read(folder: Path) -> None:
    shutil.copy(folder / "model.safetensors", folder / "evil.safetensors")
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(
        json.dumps(settings | {"transformers_weights": "evil.safetensors"})
    )
    with pytest.raises(ModelLoadError, match=r"transformers_weights 'evil\.safetensors'"):
        load_assistant(folder, device="cpu")


def test_an_index_beside_a_whole_file_is_refused(folder: Path) -> None:
    """The checks would read the shards, and transformers the whole file."""
    save_file({"junk": torch.zeros(1)}, folder / "shard.safetensors")
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"junk": "shard.safetensors"}})
    )
    with pytest.raises(ModelLoadError, match=r"both model\.safetensors\.index\.json and"):
        load_assistant(folder, device="cpu")


@pytest.mark.parametrize(
    "file", ["config.json", "generation_config.json", "processor_config.json", "tokenizer.json"]
)
def test_provenance_changes_with_every_file_that_shapes_the_output(folder: Path, file: str) -> None:
    before = load_assistant(folder, device="cpu").info
    (folder / file).write_text((folder / file).read_text() + "\n")
    after = load_assistant(folder, device="cpu").info
    assert before.weights_sha256 == after.weights_sha256
    assert len(after.settings_sha256) == 64
    assert before.settings_sha256 != after.settings_sha256
    assert after.to_json()["settings_sha256"] == after.settings_sha256


# ---- limits


def edit(folder: Path, file: str, edit: Callable[[dict[str, Any]], Any]) -> None:
    content = json.loads((folder / file).read_text())
    edit(content)
    (folder / file).write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        (
            "config.json",
            lambda c: c["text_config"].update(num_hidden_layers=10**9),
            r"config\.json: num_hidden_layers is 1000000000, expected 1 to 512",
        ),
        (
            "config.json",
            lambda c: c["vision_config"].update(num_hidden_layers=10**9),
            "num_hidden_layers is 1000000000",
        ),
        ("config.json", lambda c: c.update(notice="x" * 3_000_000), "notice has 3000000 char"),
        ("config.json", lambda c: c.update(perceiver_kernel=float("inf")), "says Infinity"),
        ("processor_config.json", lambda c: c.update(spacing=[float("nan"), 1, 1]), "says NaN"),
        ("processor_config.json", lambda c: c.update(spacing=[0, 1, 1]), "spacing is 0, expected"),
        ("processor_config.json", lambda c: c.update(max_new_tokens=0), "max_new_tokens is 0"),
        ("tokenizer_config.json", lambda c: c.update(x="y" * 5_000_000), "larger than 4 MB"),
        (
            "tokenizer.json",
            lambda c: c["model"].update(vocab={str(i): i for i in range(1_030_001)}),
            "has more than 1000000 entries",
        ),
        (
            "tokenizer.json",
            lambda c: c.update(
                pre_tokenizer={
                    "type": "Split",
                    "pattern": {"Regex": "(a+)+$"},
                    "behavior": "Isolated",
                    "invert": False,
                }
            ),
            "may take endless time",
        ),
        (
            "tokenizer.json",
            lambda c: c.update(
                normalizer={"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 10**6}
            ),
            "normalizer replaces by 1000000 characters",
        ),
        (
            "tokenizer.json",
            lambda c: c.update(
                normalizer={
                    "type": "Sequence",
                    "normalizers": [
                        {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 99}
                    ]
                    * 3,
                }
            ),
            r"normalizer may make a text 9\.7e\+05 times as long",
        ),
        (
            "tokenizer_config.json",
            lambda c: c.update(model_max_length="x"),
            "model_max_length is 'x', expected a number",
        ),
        ("config.json", lambda c: c.update(skills=3.5), "skills is 3.5, expected a list of texts"),
        ("config.json", lambda c: c.update(skills=None), "skills is None, expected a list"),
        ("config.json", lambda c: c.update(notice=["x"]), r"notice is \['x'\], expected a text"),
        ("config.json", lambda c: c.update(text_config="x"), "text_config is x, expected a group"),
        (
            "config.json",
            lambda c: c["text_config"].update(hidden_size="x"),
            "hidden_size is 'x', expected a number",
        ),
        (
            "processor_config.json",
            lambda c: c.update(finding_question="{finding:>100000000}"),
            r"finding_question has the field '\{finding:>100000000\}', which nothing fills",
        ),
        (
            "processor_config.json",
            lambda c: c.update(report_questions={"report": "{0.__class__}"}),
            r"report_questions has the field '\{0\.__class__\}'",
        ),
        (
            "config.json",
            lambda c: c.update(notes=json.loads("[" * 60 + "]" * 60)),
            "nested more than 40 deep",
        ),
    ],
)
def test_limits_are_checked_before_anything_is_built(
    folder: Path, file: str, change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    edit(folder, file, change)
    with pytest.raises(ModelLoadError, match=message):
        check_folder(folder, str(folder))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize("name", ["tokenizer.json", "ood.safetensors", "anything"])
def test_a_pipe_is_not_opened(folder: Path, name: str) -> None:
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    refused(folder, f"{name} is not an ordinary file")


def test_a_detector_of_nans_is_refused(folder: Path) -> None:
    """No distance reaches a threshold that is no number: no scan would be warned of."""
    tensors = {"mean": torch.zeros(3), "whitening": torch.eye(3)}
    save_file(tensors | {"limit": torch.tensor([float("nan")])}, folder / "ood.safetensors")
    with pytest.raises(ModelLoadError, match="impossible numbers"):
        load_assistant(folder, device="cpu")


@pytest.mark.parametrize("pattern", [GPT4, LLAMA3])
def test_usual_patterns_pass(folder: Path, pattern: str) -> None:
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated"}
    edit(folder, "tokenizer.json", lambda c: c.update(pre_tokenizer=split | {"invert": False}))
    check_folder(folder, str(folder))
