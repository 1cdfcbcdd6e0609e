"""Each published layout becomes one folder; what does not fit is one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from napari_ct_assistant import CTVolume
from napari_ct_assistant.backends.i3resnet.encoder import load_encoder
from napari_ct_assistant.backends.i3resnet.network.sizes import I3ResNetSizes
from napari_ct_assistant.backends.importing import import_model
from napari_ct_assistant.model.errors import ModelLoadError
from tests.backends.i3resnet.tiny_encoder import INPUT, SIZES, WITH_HEADS, tiny_tensors

SETTINGS = {"size": list(INPUT), "spacing": [8.0, 8.0, 12.0]}
FEATURES = {"conv1": 0, "bn1": 1, "layer1": 4, "layer2": 5, "layer3": 6, "layer4": 7}
TEXT = {"encode_text.text_encoder.x": torch.zeros(2), "logit_scale": torch.zeros(())}


def features(key: str) -> str:
    first, rest = key.split(".", 1)
    return f"encode_image.vision_model.features.{FEATURES[first]}.{rest}"


LAYOUTS: dict[str, tuple[I3ResNetSizes, Callable[[str], str], dict[str, Tensor], str]] = {
    "pypi": (SIZES, str, {"bn1.num_batches_tracked": torch.tensor(3)}, "astra"),
    "merlin": (WITH_HEADS, lambda k: f"encode_image.i3_resnet.{k}", TEXT, "merlin"),
    "five_year": (I3ResNetSizes((1, 2, 2, 1), (4, 6, 8, 12), 8, 6), str, {}, "merlin_five_year"),
    "merlin_report": (SIZES, features, {"adapter.linear2.weight": torch.zeros(2, 2)}, "merlin"),
    "wrapped": (SIZES, lambda k: f"module.encode_image.i3_resnet.{k}", {}, "merlin"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("form", ["plain", "state_dict", "model", "safetensors"])
def test_published_layouts(layout: str, form: str, tmp_path: Path, small_volume: CTVolume) -> None:
    sizes, rename, more, release = LAYOUTS[layout]
    tensors = tiny_tensors(sizes)
    stored = {rename(key): tensor for key, tensor in tensors.items()} | more
    if form == "safetensors":
        source = tmp_path / "release.safetensors"
        save_file(stored, source)
    else:
        source = tmp_path / "release.pth"
        torch.save(stored if form == "plain" else {form: stored, "meta": {"epoch": "9"}}, source)
    done = import_model(source, tmp_path / "out", settings=SETTINGS)
    assert (done.kind, done.layout) == ("encoder", release)
    assert set(done.skipped) == {key for key in more if "num_batches" not in key}
    written = load_file(tmp_path / "out" / "model.safetensors")
    assert set(written) == set(tensors)
    encoder = load_encoder(tmp_path / "out", device="cpu")
    assert encoder.network.sizes == sizes
    values = torch.from_numpy(encoder.prepare(small_volume).values)[None, None]
    assert values.shape == (1, 1, *INPUT)
    assert encoder.encode(values).layer4.isfinite().all()


def test_a_checkpoint_that_asks_for_code_is_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (open, (str(tmp_path / "ran"), "w"))  # type: ignore[return-value]

    torch.save({**tiny_tensors(), "hparams": Evil()}, tmp_path / "release.pth")
    with pytest.raises(ModelLoadError, match=r"release\.pth: release\.pth is refused"):
        import_model(tmp_path / "release.pth", tmp_path / "out")
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "out").exists()


def test_what_does_not_fit_is_one_line(tmp_path: Path) -> None:
    def refused(tensors: dict[str, Tensor], *words: str, **options: object) -> None:
        torch.save(tensors, tmp_path / "release.pt")
        with pytest.raises(ModelLoadError) as error:
            import_model(tmp_path / "release.pt", tmp_path / "out", **options)  # type: ignore[arg-type]
        line = str(error.value)
        assert line.startswith("release.pt: ")
        assert "\n" not in line
        assert all(word in line for word in words)
        assert not (tmp_path / "out").exists()

    whole = tiny_tensors()
    refused({**whole, "decoder.weight": torch.zeros(1)}, "1 unknown tensor", "decoder.weight")
    without = {k: t for k, t in whole.items() if k != "layer3.1.bn2.running_var"}
    refused(without, "missing", "layer3.1.bn2.running_var")
    refused({**whole, "layer2.0.bn1.bias": torch.zeros(5)}, "wrong shape", "layer2.0.bn1.bias")
    refused(whole, "no setting 'window'", settings={"window": 1})
    refused(whole, "chain 'head'", "chest, abdomen", settings={"chain": "head"})
    refused(whole, "size", "[10, 10, 10]", settings={"size": [10, 10, 10]})
    refused(whole, "has no classifier", phenotypes=tmp_path / "names.csv")


@pytest.mark.parametrize(
    ("text", "second"),
    [
        ("phecode,description\n" + "".join(f"{n}.1,Disease {n}\n" for n in range(7)), "Disease 1"),
        ("".join(f"Disease {n}\n" for n in range(7)), "Disease 1"),
        ("".join(f'{n},"a, b {n}"\n' for n in range(7)), "a, b 1"),
    ],
)
def test_outputs_get_their_names(text: str, second: str, tmp_path: Path) -> None:
    torch.save(tiny_tensors(WITH_HEADS), tmp_path / "merlin.pt")
    (tmp_path / "names.csv").write_text(text)
    out = tmp_path / "out"
    import_model(tmp_path / "merlin.pt", out, phenotypes=tmp_path / "names.csv", settings=SETTINGS)
    assert load_encoder(out, device="cpu").outputs[1] == second
    assert json.loads((out / "phenotypes.json").read_text())[1] == second


def test_names_of_another_model(tmp_path: Path) -> None:
    torch.save(tiny_tensors(WITH_HEADS), tmp_path / "merlin.pt")
    (tmp_path / "names.csv").write_text("a\nb\n")
    with pytest.raises(ModelLoadError, match=r"names\.csv: has 2 rows, the model has 7 outputs"):
        import_model(tmp_path / "merlin.pt", tmp_path / "out", phenotypes=tmp_path / "names.csv")


def test_without_names_outputs_have_numbers(tmp_path: Path) -> None:
    torch.save(tiny_tensors(WITH_HEADS), tmp_path / "merlin.pt")
    import_model(tmp_path / "merlin.pt", tmp_path / "out")
    assert load_encoder(tmp_path / "out", device="cpu").outputs[6] == "output 7"
