"""The model box: what it lists, loading, swapping, freeing, and models that do not fit."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
import torch
from qtpy.QtCore import Qt

from napari_ct_assistant.assistant.models.installed import PUBLISHED
from napari_ct_assistant.backends.loading import memory
from napari_ct_assistant.backends.loading.options import LoadOptions
from napari_ct_assistant.viewer.models.box import BROWSE, DETAIL, NAME
from napari_ct_assistant.viewer.models.picker import ModelPicker
from napari_ct_assistant.viewer.scan.layers import add_volume
from napari_ct_assistant.viewer.session.model_session import ModelSession
from tests.assistant.models.hub_server import use_cache
from tests.tiny_model import save_tiny_model, tiny_vision

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from napari_ct_assistant.viewer.panel import CTAssistantPanel
    from napari_ct_assistant.volume import CTVolume

LEFT = Qt.MouseButton.LeftButton
LONG = 60_000


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of imported models, with an empty hub cache beside it."""
    monkeypatch.setenv("CT_ASSISTANT_MODELS", str(tmp_path / "models"))
    use_cache(monkeypatch, tmp_path / "hub")
    return tmp_path / "models"


def idle(picker: ModelPicker, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: not picker.busy, timeout=LONG)


def rows(picker: ModelPicker) -> dict[str, str]:
    """Return the rows that can be chosen: name and detail."""
    items = [picker.box.model().item(row) for row in range(picker.box.count())]
    return {item.data(NAME): item.data(DETAIL) for item in items if item.data(NAME)}


def test_the_list_names_every_kind_with_size_and_need(
    picker: ModelPicker, qtbot: QtBot, tiny_model_folder: Path, home: Path
) -> None:
    save_tiny_model(home / "owner--imported", learned=False)
    assert "on disk" in picker.facts.text()  # of the bundled model, before torch is there
    picker.set_model(str(tiny_model_folder))
    qtbot.mouseClick(picker.load_button, LEFT)
    idle(picker, qtbot)
    picker.box.showPopup()
    idle(picker, qtbot)
    listed = rows(picker)
    picker.box.hidePopup()
    assert set(listed) == {"demo", "owner/imported", str(tiny_model_folder), *PUBLISHED, BROWSE}
    for name in ("demo", "owner/imported", str(tiny_model_folder)):
        assert "MB on disk" in listed[name]
        assert "needs" in listed[name]
        assert "free (cpu, float32)" in listed[name]
    assert "not on this machine" in listed[PUBLISHED[0]]


def test_rows_are_chosen(
    picker: ModelPicker, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch, tiny_model_folder: Path
) -> None:
    picker.box.showPopup()
    picker.box.hidePopup()
    names = [picker.box.model().item(row).data(NAME) for row in range(picker.box.count())]
    picker.box.activated.emit(names.index(PUBLISHED[0]))
    assert picker.model == PUBLISHED[0]
    assert picker.hub.isVisible()
    monkeypatch.setattr(
        "napari_ct_assistant.viewer.models.picker.choose_folder",
        lambda *_: str(tiny_model_folder),
    )
    picker.box.activated.emit(names.index(BROWSE))
    assert picker.model == str(tiny_model_folder)
    assert picker.hub.isHidden()
    assert picker.load_button.isEnabled()


def test_a_model_that_does_not_fit_is_refused_with_ways_that_work(
    picker: ModelPicker, qtbot: QtBot, tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = 600_000  # between the tiny model's needs in float32 and in bfloat16
    monkeypatch.setattr(memory, "free_bytes", lambda _: free)
    monkeypatch.setattr("napari_ct_assistant.backends.loading.devices.free_bytes", lambda _: free)
    picker.set_model(str(tiny_model_folder))
    picker.refresh_survey()
    idle(picker, qtbot)
    assert "Does not fit" in picker.facts.text()
    qtbot.mouseClick(picker.load_button, LEFT)
    idle(picker, qtbot)
    assert not picker.is_loaded
    assert picker.problem.isVisible()
    assert "GB are free" in picker.problem.text.text()
    assert "\n" not in picker.problem.text.text()
    button = picker.problem.buttons[0]
    assert button.text().startswith("Load in bfloat16")
    qtbot.mouseClick(button, LEFT)
    idle(picker, qtbot)
    assert picker.options.dtype == "bfloat16"
    assert picker.is_loaded
    assert picker.problem.isHidden()
    assert "bfloat16" in picker.facts.text()


def test_options_of_the_menu(picker: ModelPicker) -> None:
    actions = {action.text(): action for action in picker.menu.menu().actions()}
    actions["4-bit weights"].trigger()
    actions["bfloat16"].trigger()
    actions["GPU and computer memory (slow)"].trigger()
    assert picker.options == LoadOptions(
        dtype="bfloat16", quantize="4bit", device=None, device_map="auto"
    )
    actions["CPU"].trigger()
    assert picker.options == LoadOptions("cpu", "bfloat16", "4bit")
    assert actions["CPU"].isChecked()
    assert not actions["GPU and computer memory (slow)"].isChecked()
    assert picker.options.words() == "cpu, bfloat16, 4-bit"


def test_a_broken_folder_leaves_no_model(picker: ModelPicker, qtbot: QtBot, tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path / "broken", learned=False)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    picker.set_model(str(folder))
    qtbot.mouseClick(picker.load_button, LEFT)
    idle(picker, qtbot)
    assert picker.session is not None
    assert picker.session.loaded is None
    assert "is damaged" in picker.problem.text.text()
    picker.set_model("demo")
    assert picker.problem.isHidden()


def test_loading_twice_keeps_one_model(tiny_model_folder: Path) -> None:
    session, name = ModelSession(), str(tiny_model_folder)
    session.load(name)
    first = session.assistant
    assert first is not None
    session.load(name)
    assert session.assistant is first
    session.load(name, LoadOptions(dtype="bfloat16"))
    assert first.device == "closed"  # freed before the other one was loaded
    assert session.loaded == (name, LoadOptions(dtype="bfloat16"))
    with pytest.raises(ValueError, match="not a folder"):
        session.load("/no/such/model")
    assert session.loaded is None


@pytest.fixture(scope="module")
def large_models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return two models of 230 MB each, most of it in the encoder."""
    root = tmp_path_factory.mktemp("large")
    vision = tiny_vision(hidden_size=768, num_hidden_layers=8, num_attention_heads=12)
    for name in ("first", "second"):
        save_tiny_model(root / name, learned=False, vision_config=vision)
    return root / "first", root / "second"


def resident() -> int:
    gc.collect()
    return int(psutil.Process().memory_info().rss)


def test_memory_comes_back_after_a_swap(
    make_panel: Callable[..., CTAssistantPanel],
    ct: CTVolume,
    large_models: tuple[Path, Path],
    qtbot: QtBot,
) -> None:
    """Measured at the process: a model is read with, swapped for another, swapped back, freed."""
    panel = make_panel()
    add_volume(panel.viewer, ct)
    picker, jobs = panel.models, panel.conversation.jobs

    def use(model: str) -> None:
        picker.set_model(model)
        panel.screen()
        qtbot.waitUntil(lambda: not jobs.busy, timeout=LONG)
        assert picker.is_loaded

    def free() -> int:
        qtbot.mouseClick(picker.load_button, LEFT)
        qtbot.waitUntil(lambda: not picker.busy, timeout=LONG)
        assert jobs.session.loaded is None
        return resident()

    first, second = map(str, large_models)
    weights = (large_models[0] / "model.safetensors").stat().st_size
    # What is only taken once (threads, caches of torch) is taken here.
    use(first)
    use(second)
    before = free()
    use(first)
    one = resident()
    use(second)
    use(first)
    swapped = resident()
    after = free()
    sizes = {
        "weights": weights,
        "before": before,
        "loaded": one,
        "swapped": swapped,
        "freed": after,
    }
    print("MB:", {what: round(count / 1e6) for what, count in sizes.items()})
    assert one - before > 0.9 * weights
    # A model that stayed would be all of its weights; torch and Qt keep some tens of megabytes.
    assert abs(swapped - one) < 0.3 * weights
    assert after - before < 0.3 * weights


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
def test_gpu_memory_comes_back(
    picker: ModelPicker, qtbot: QtBot, large_models: tuple[Path, Path]
) -> None:
    def used() -> tuple[int, int]:
        return torch.cuda.memory_allocated(), torch.cuda.memory_reserved()

    weights = (large_models[0] / "model.safetensors").stat().st_size
    seen = []
    for folder in (*large_models, large_models[0]):
        picker.set_model(str(folder))
        qtbot.mouseClick(picker.load_button, LEFT)
        idle(picker, qtbot)
        seen.append(used()[0])
    assert seen[0] > 0.4 * weights  # bfloat16
    assert abs(seen[2] - seen[0]) < 0.05 * seen[0]
    qtbot.mouseClick(picker.load_button, LEFT)
    idle(picker, qtbot)
    assert used()[0] < 0.05 * seen[0]
    assert used()[1] < 0.05 * seen[0]
