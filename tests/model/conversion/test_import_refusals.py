"""Manipulated checkpoints are refused with one line; nothing in them runs, nothing is left."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from napari_ct_assistant.cli import app
from napari_ct_assistant.model.conversion import writing
from napari_ct_assistant.model.conversion.importing import import_model
from napari_ct_assistant.model.errors import ModelLoadError
from tests.model.conversion.test_import import release

Change = Callable[[dict[str, torch.Tensor]], Any]
run = CliRunner().invoke


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return release(tmp_path_factory.mktemp("sound") / "released", shards=2)[2]


@pytest.fixture
def folder(released: Path, tmp_path: Path) -> Path:
    """Return a copy of a valid release, to be manipulated."""
    copy = tmp_path / "released"
    copy.mkdir()
    for file in released.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    return copy


def refused(folder: Path, message: str, **how: Any) -> None:
    out = folder.parent / "ours"
    with pytest.raises(ModelLoadError, match=message) as error:
        import_model(folder, out, **how)
    text = str(error.value)
    assert "\n" not in text
    assert text.startswith(f"{folder.name}: ")
    assert [p.name for p in folder.parent.iterdir()] == [folder.name], "something was left behind"


def change(folder: Path, number: int, edit: Change, *, index: bool = True) -> None:
    """Edit the tensors of a shard, and the index with it."""
    file = sorted(folder.glob("model-*.safetensors"))[number]
    state = load_file(file)
    edit(state)
    save_file(state, file, metadata={"format": "pt"})
    if index:
        listing = folder / "model.safetensors.index.json"
        content = json.loads(listing.read_text())
        kept = {k: v for k, v in content["weight_map"].items() if v != file.name}
        content["weight_map"] = kept | dict.fromkeys(state, file.name)
        listing.write_text(json.dumps(content))


def reindex(folder: Path, edit: Callable[[dict[str, str]], Any]) -> None:
    listing = folder / "model.safetensors.index.json"
    content = json.loads(listing.read_text())
    edit(content["weight_map"])
    listing.write_text(json.dumps(content))


def configure(folder: Path, **changes: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_the_sound_one_is_read(folder: Path) -> None:
    assert import_model(folder, folder.parent / "ours").kind == "model"


def test_extra_tensors(folder: Path) -> None:
    change(folder, 1, lambda s: s.update({"model.spy.weight": torch.ones(2), "b": torch.ones(1)}))
    refused(folder, r"2 unknown tensor\(s\): b, model\.spy\.weight")


def test_an_extra_layer_of_the_vision_tower_is_not_skipped_as_segmentation(folder: Path) -> None:
    change(folder, 1, lambda s: s.update({"model.seg_modules.x": torch.ones(2)}))
    refused(folder, r"1 unknown tensor\(s\): model\.seg_modules\.x")


def test_a_missing_tensor(folder: Path) -> None:
    change(folder, 0, lambda s: s.pop("model.layers.1.mlp.up_proj.weight"))
    refused(
        folder, r"1 tensor\(s\) missing: language_model\.model\.layers\.1\.mlp\.up_proj\.weight"
    )


def test_a_tensor_of_another_shape(folder: Path) -> None:
    change(folder, 0, lambda s: s.update({"model.layers.1.mlp.up_proj.weight": torch.ones(40, 31)}))
    refused(folder, r"up_proj\.weight is \[40, 31\], expected \[40, 32\]")


def test_positions_that_do_not_fit_the_image(folder: Path) -> None:
    configure(folder, image_size=[8, 64, 32])
    refused(folder, r"makes 16 tokens, but the encoder has 8 positions")


def test_a_patch_of_another_size(folder: Path) -> None:
    configure(folder, patch_size=[8, 16, 16], image_size=[16, 32, 32])
    refused(folder, r"patch embedding is \[24, 1024\], expected \[channels, 2048\]")


def test_a_missing_shard(folder: Path) -> None:
    (folder / "model-00002-of-00002.safetensors").unlink()
    refused(folder, r"1 of 2 weight file\(s\) missing: model-00002-of-00002\.safetensors")


def test_a_shard_cut_short(folder: Path) -> None:
    file = folder / "model-00002-of-00002.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    refused(folder, r"model-00002-of-00002\.safetensors is damaged")


@pytest.mark.parametrize(
    "name",
    ["../secret.safetensors", "/etc/passwd", "a/b.safetensors", "..\\x.safetensors", "", 7, ".."],
)
def test_an_index_that_leads_elsewhere(folder: Path, name: Any) -> None:
    save_file({"model.norm.weight": torch.ones(32)}, folder.parent / "secret.safetensors")
    reindex(folder, lambda w: w.update({"model.norm.weight": name}))
    out = folder.parent / "ours"
    with pytest.raises(ModelLoadError, match="is not a plain file name; refused"):
        import_model(folder, out)
    assert not out.exists()


def test_an_index_that_names_code(folder: Path) -> None:
    reindex(folder, lambda w: w.update({"model.norm.weight": "model.py"}))
    refused(folder, r"names 'model\.py'; expected a \.safetensors or \.bin file")


def test_an_index_that_hides_a_tensor(folder: Path) -> None:
    change(folder, 0, lambda s: s.update({"model.hidden": torch.ones(1)}), index=False)
    refused(folder, r"disagree about 1 tensor\(s\): model\.hidden")


@pytest.mark.parametrize("text", ["{", "[]", "\xff", '{"weight_map": 3}', "[" * 100_000])
def test_a_broken_index(folder: Path, text: str) -> None:
    (folder / "model.safetensors.index.json").write_text(text, encoding="latin-1")
    refused(folder, r"is not valid JSON|is not a JSON object|has no weight_map")


# ---- code


class Payload:
    """An object whose pickle calls a function that leaves a file behind."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.mark}'",)


def booby_trapped(mark: Path, form: str) -> bytes:
    """Return a checkpoint with code in it: as torch writes it, its old form, a bare pickle."""
    state = {"model.norm.weight": torch.ones(32), "x": Payload(mark)}
    if form == "bare":
        return pickle.dumps(Payload(mark))
    stream = io.BytesIO()
    torch.save(state, stream, _use_new_zipfile_serialization=form == "zip")
    return stream.getvalue()


@pytest.mark.parametrize("form", ["zip", "old", "bare"])
def test_code_in_a_pickle_does_not_run(folder: Path, form: str) -> None:
    for file in folder.glob("model*"):
        file.unlink()
    mark = folder / "it-ran"
    (folder / "pytorch_model.bin").write_bytes(booby_trapped(mark, form))
    refused(folder, r"pytorch_model\.bin is refused: it is damaged, or holds more than tensors")
    assert not mark.exists()


def test_the_trap_works(tmp_path: Path) -> None:
    """The same bytes, loaded unsafely, do run: the test above can fail."""
    mark = tmp_path / "it-ran"
    with zipfile.ZipFile(io.BytesIO(booby_trapped(mark, "zip"))) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith("data.pkl"))
        assert b"system" in archive.read(name)
    pickle.loads(booby_trapped(mark, "bare"))
    assert mark.exists()


@pytest.mark.parametrize(
    "state", [[torch.ones(2)], {"a": 3}, {"a": {"b": torch.ones(2)}}, torch.ones(2)]
)
def test_a_pickle_of_other_things(folder: Path, state: Any) -> None:
    for file in folder.glob("model*"):
        file.unlink()
    torch.save(state, folder / "pytorch_model.bin")
    refused(folder, r"pytorch_model\.bin is refused: it holds more than named tensors")


@pytest.mark.parametrize(
    ("file", "settings"),
    [
        ("config.json", {"auto_map": {"AutoModelForCausalLM": "spy.Model"}}),
        ("config.json", {"text_config": {"auto_map": {"AutoConfig": "me/repo--spy.Config"}}}),
        ("config.json", {"attn_implementation": "somebody/kernel"}),
        ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["spy.Tokenizer", None]}}),
    ],
)
def test_settings_that_ask_for_code(folder: Path, file: str, settings: dict[str, Any]) -> None:
    mark = folder / "it-ran"
    code = f"from pathlib import Path\nPath({str(mark)!r}).touch()\nclass Model: ...\n"
    for name in ("spy.py", "modeling_spy.py"):
        (folder / name).write_text(code)
    content = json.loads((folder / file).read_text()) | settings
    (folder / file).write_text(json.dumps(content))
    refused(folder, rf"{file} asks to run its own code .*; use --ignore-remote-code to read")
    # On request its weights are read; its code is neither run nor copied.
    import_model(folder, folder.parent / "ours", ignore_code=True)
    assert not mark.exists()
    for written in (folder.parent / "ours").iterdir():
        assert not written.name.endswith(".py")
        if written.suffix == ".json":
            assert "spy" not in written.read_text()
            assert "somebody/kernel" not in written.read_text()


# ---- what is not a model, and the folder to write


def test_other_folders(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="no such folder"):
        import_model(tmp_path / "nothing", tmp_path / "ours")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelLoadError, match=r"no weights in it; expected one of"):
        import_model(tmp_path / "empty", tmp_path / "ours")
    (tmp_path / "bert").mkdir()
    save_file({"bert.pooler": torch.ones(2)}, tmp_path / "bert" / "model.safetensors")
    (tmp_path / "bert" / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ModelLoadError, match=r"is not a model that can be imported .*'bert'"):
        import_model(tmp_path / "bert", tmp_path / "ours")


def test_a_tokenizer_without_image_words(folder: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        text = (folder / name).read_text().replace("<im_patch>", "<other>")
        (folder / name).write_text(text)
    refused(folder, "its tokenizer has no <im_patch>")


def test_no_tokenizer(folder: Path) -> None:
    for file in folder.glob("tokenizer*"):
        file.unlink()
    refused(folder, "its tokenizer cannot be read")


def test_a_folder_that_exists_is_kept(folder: Path) -> None:
    out = folder.parent / "ours"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    with pytest.raises(ModelLoadError, match="is not an empty folder; give a new folder"):
        import_model(folder, out)
    assert (out / "mine.txt").read_text() == "mine"


def test_a_full_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(writing.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(ModelLoadError, match=r"needs 0\.0 GB and the disk has 0\.0 GB free"):
        import_model(folder, folder.parent / "ours")
    assert not (folder.parent / "ours").exists()


def test_an_interrupted_import_leaves_nothing(folder: Path) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_model(folder, folder.parent / "ours", shard_bytes=20_000, progress=stop)
    assert [p.name for p in folder.parent.iterdir()] == [folder.name]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"peft_type": "IA3"}, "adapters of type 'IA3' are not supported"),
        ({"use_dora": True}, "adapter_config.json asks for use_dora, which is not supp"),
    ],
)
def test_adapters_of_other_kinds(
    folder: Path, tmp_path: Path, config: dict[str, Any], message: str
) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    stem = "base_model.model.model.layers.0.self_attn.q_proj"
    pair = {f"{stem}.lora_A.weight": torch.ones(2, 32), f"{stem}.lora_B.weight": torch.ones(32, 2)}
    save_file(pair, adapter / "adapter_model.safetensors")
    with pytest.raises(ModelLoadError, match=message):
        import_model(adapter, tmp_path / "ours", base=folder)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (
            {"x.lora_A.weight": (2, 32), "x.lora_B.weight": (32, 2)},
            r"unknown tensor\(s\): x\.weight",
        ),
        (
            {"lm_head.lora_A.weight": (2, 32)},
            r"one of the two LoRA factors is missing: lm_head\.weight",
        ),
        (
            {"lm_head.lora_A.weight": (2, 31), "lm_head.lora_B.weight": (9, 2)},
            r"LoRA of \[9, 2\] times \[2, 31\] does not fit",
        ),
        ({"lm_head.lora_magnitude_vector": (2,)}, r"unknown tensor\(s\): lm_head\.lora_magnitude"),
    ],
)
def test_adapters_that_do_not_fit(
    folder: Path, tmp_path: Path, tensors: dict[str, tuple[int, ...]], message: str
) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")
    state = {f"base_model.model.{key}": torch.ones(shape) for key, shape in tensors.items()}
    save_file(state, adapter / "adapter_model.safetensors")
    with pytest.raises(ModelLoadError, match=message):
        import_model(adapter, tmp_path / "ours", base=folder)


# ---- the command


def test_the_command(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "ours"
    done = run(app, ["models", "import", str(folder), str(out), "--json"])
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result["path"] == str(out)
    assert result["layout"] == "m3d_lamed"
    assert len(result["skipped"]) == 4
    assert "skipped 4 tensors" in done.stderr
    assert "model.seg_module, model.seg_projector" in done.stderr
    again = run(app, ["models", "import", str(folder), str(out)])
    assert again.exit_code == 1
    assert again.stderr.count("\n") == 1
    assert "is not an empty folder" in again.stderr


def test_the_command_without_a_place_puts_it_among_the_models(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CT_ASSISTANT_MODELS", str(tmp_path / "models"))
    done = run(app, ["models", "import", str(folder)])
    assert done.exit_code == 0, done.output
    out = tmp_path / "models" / folder.name
    assert done.stdout.strip() == str(out)
    models = json.loads(run(app, ["models", "list", "--json"]).stdout)["models"]
    assert {"name": str(out), "source": "imported"}.items() <= models[1].items()


def test_the_command_refuses_in_one_line(folder: Path, tmp_path: Path) -> None:
    configure(folder, auto_map={"AutoModel": "spy.Model"})
    done = run(app, ["models", "import", str(folder), str(tmp_path / "ours")])
    assert done.exit_code == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "asks to run its own code (auto_map spy.Model)" in done.stderr
    nothing = run(app, ["models", "import", "nobody/nothing", str(tmp_path / "ours")])
    assert nothing.exit_code == 1
    assert nothing.stderr.count("\n") == 1
