"""A model that does not fit is refused before it is loaded, with what would fit."""

from __future__ import annotations

import gc
import importlib.util
import math
import re
import weakref
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from napari_ct_assistant import load_assistant
from napari_ct_assistant.assistant import ModelLoadError
from napari_ct_assistant.backends.loading import devices, memory, quantization
from napari_ct_assistant.backends.loading.memory import check_memory, free_bytes, out_of_memory
from napari_ct_assistant.backends.loading.options import NotEnoughMemoryError
from napari_ct_assistant.backends.loading.sizes import Counts, count
from napari_ct_assistant.backends.volume_language import loading
from napari_ct_assistant.model.folder import expected_tensors
from napari_ct_assistant.model.presets import e3d_gpt
from tests.tiny_model import save_tiny_model

GB = 10**9


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a model that says nothing sensible, quickly made."""
    return save_tiny_model(tmp_path_factory.mktemp("untrained") / "tiny-model", learned=False)


def paper_size() -> Counts:
    """Return the values of E3D-GPT with Vicuna-7B."""
    config = e3d_gpt()
    shapes, _ = expected_tensors(config)
    return count(shapes, config.text_config.to_dict())


def test_the_estimate_is_the_sum_of_what_is_there() -> None:
    counts = paper_size()
    shapes, _ = expected_tensors(e3d_gpt())
    elements = sum(map(math.prod, shapes.values()))
    need = counts.need(2, tokens=768)
    assert need.weights == 2 * elements
    # 32 layers, key and value, 4096 wide, two bytes; the screen's batch keeps 6 more.
    assert need.cache == 32 * 2 * 4096 * 2 * 768 * 7
    assert 17 * GB < need.total < 20 * GB
    assert counts.need(4).weights == 4 * elements
    eight = counts.need(2, quantize="8bit").weights
    four = counts.need(2, quantize="4bit").weights
    assert 7 * GB < eight < 9 * GB
    assert 4 * GB < four < 6 * GB


@pytest.mark.parametrize(
    ("free", "device", "dtype", "advice"),
    [
        (25 * GB, "cpu", torch.float32, r'dtype="bfloat16" \(\d'),
        (14 * GB, "cuda", torch.bfloat16, r'quantize="8bit" \(\d'),
        (10 * GB, "cuda", torch.bfloat16, r'quantize="4bit" \(\d'),
        (10 * GB, "cuda", torch.bfloat16, 'device_map="auto", which keeps a part'),
        (1 * GB, "cpu", torch.float32, "close other programs or use a smaller model$"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_does(
    monkeypatch: pytest.MonkeyPatch, free: int, device: str, dtype: torch.dtype, advice: str
) -> None:
    counts = paper_size()
    monkeypatch.setattr(memory, "free_bytes", lambda _: free)
    available = type("Memory", (), {"available": 64 * GB if device == "cuda" else free})
    monkeypatch.setattr(psutil, "virtual_memory", lambda: available)
    with pytest.raises(ModelLoadError, match=advice) as error:
        check_memory("vicuna", counts, torch.device(device), dtype)
    assert f"{free / GB:.1f} GB are free" in str(error.value)
    assert "\n" not in str(error.value)
    if device == "cuda":
        check_memory("vicuna", counts, torch.device(device), dtype, offload=True)


def test_free_memory_is_asked() -> None:
    free = free_bytes(torch.device("cpu"))
    assert free is not None
    assert GB / 10 < free < 10**13
    assert free_bytes(torch.device("meta")) is None


def test_a_model_too_large_is_not_loaded(untrained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda _: 1000)
    monkeypatch.setattr(
        loading.VolumeLanguageModel, "from_pretrained", lambda *_, **__: pytest.fail("was loaded")
    )
    with pytest.raises(ModelLoadError, match=r"tiny-model: needs about 0\.0 GB in float32 on cpu"):
        load_assistant(untrained, device="cpu")


def test_precision_of_choice(untrained: Path) -> None:
    assistant = load_assistant(untrained, device="cpu", dtype="bfloat16")
    assert assistant.model.dtype == torch.bfloat16
    with pytest.raises(ModelLoadError, match="dtype is 'int7'; give one of float32, bfloat16"):
        load_assistant(untrained, device="cpu", dtype="int7")


def test_offload_loads_and_reads(untrained: Path, small_volume: Any) -> None:
    pytest.importorskip("accelerate")
    reading = load_assistant(untrained, device_map="auto").read(small_volume)
    plain = load_assistant(untrained, device="cpu").read(small_volume)
    assert reading.draft_report(evidence=False).text == plain.draft_report(evidence=False).text


def lacks(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Make libraries seem not installed."""
    find = importlib.util.find_spec

    def without(name: str, *rest: Any) -> Any:
        return None if name in names else find(name, *rest)

    monkeypatch.setattr(quantization, "find_spec", without)
    monkeypatch.setattr(devices, "find_spec", without)


def test_what_is_not_installed_is_named(untrained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lacks(monkeypatch, "bitsandbytes", "torchao")
    with pytest.raises(ModelLoadError, match="need a quantization library: pip install bitsand"):
        load_assistant(untrained, device="cpu", quantize="8bit")
    lacks(monkeypatch, "accelerate")
    for how in ({"quantize": "4bit"}, {"device_map": "auto"}):
        with pytest.raises(ModelLoadError, match=r"needs? accelerate: pip install accelerate"):
            load_assistant(untrained, device="cpu", **how)  # type: ignore[arg-type]


def test_other_words_are_refused(untrained: Path) -> None:
    with pytest.raises(ModelLoadError, match="quantize is '3bit'; give '8bit' or '4bit'"):
        load_assistant(untrained, device="cpu", quantize="3bit")  # type: ignore[arg-type]
    with pytest.raises(ModelLoadError, match="device_map is 'disk'; give 'auto'"):
        load_assistant(untrained, device_map="disk")  # type: ignore[arg-type]


def test_memory_comes_back(untrained: Path) -> None:
    """Loading twice and swapping leaves one model's tensors, not two."""

    def tensors() -> int:
        gc.collect()
        return sum(
            o.nbytes
            for o in gc.get_objects()
            if type(o) is torch.nn.Parameter and o.device.type == "cpu"
        )

    before = tensors()
    first = load_assistant(untrained, device="cpu")
    one = tensors() - before
    assert one > 0
    first.close()
    second = load_assistant(untrained, device="cpu")
    assert tensors() - before == one
    second.close()
    assert tensors() == before


@pytest.mark.parametrize(
    ("how", "advice"),
    [
        ({}, "close other programs$"),
        ({"eight_bit": True}, r'programs, or load it with quantize="8bit"$'),
        (
            {"eight_bit": True, "spread": True},
            r'programs, or load it with quantize="8bit" or device_map="auto"$',
        ),
    ],
)
def test_memory_that_runs_out_while_loading_is_freed(how: dict[str, bool], advice: str) -> None:
    kept: list[weakref.ref[Any]] = []

    def load_half() -> None:
        half = torch.zeros(8)
        kept.append(weakref.ref(half))
        raise torch.OutOfMemoryError("no room")

    try:
        load_half()
    except torch.OutOfMemoryError as error:
        told = out_of_memory(error, "vicuna", torch.device("cuda"), **how)
        assert kept[0]() is None, "the half that was loaded stays while the error is shown"
        assert re.search(f"^vicuna: does not fit in the memory of cuda; .*{advice}", str(told))
        on_cpu = out_of_memory(error, "vicuna", torch.device("cpu"), **how)
        assert "device_map" not in str(on_cpu)


def test_a_load_that_runs_out_of_memory_names_the_model(
    untrained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(loading.VolumeLanguageModel, "from_pretrained", full)
    with pytest.raises(NotEnoughMemoryError, match="tiny-model: does not fit in the memory of cpu"):
        load_assistant(untrained, device="cpu")
