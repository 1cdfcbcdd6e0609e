"""Models from the hub, in the panel's model box, against a hub on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from qtpy.QtCore import Qt

from napari_ct_assistant.assistant import ModelLoadError
from napari_ct_assistant.assistant.models import download
from napari_ct_assistant.assistant.models.hub_cache import pinned_snapshot
from napari_ct_assistant.assistant.models.installed import (
    find_model,
    imported_snapshot,
    models_home,
)
from napari_ct_assistant.viewer.models.picker import ModelPicker
from tests.assistant.models.hub_server import Hub, client_of, use_cache
from tests.model.conversion.m3d_reference import (
    build,
    m3d_tokenizer,
    segmentation_tensors,
    write_release,
)
from tests.tiny_model import save_tiny_model
from tests.viewer.event_loop import EventLoopMonitor

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

REPO = "somebody/ct-reader"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
LEFT = Qt.MouseButton.LeftButton
LONG = 60_000


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return the files of a model of ours."""
    folder = tmp_path_factory.mktemp("hub") / "model"
    save_tiny_model(folder, learned=False)
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.fixture
def hub(
    released: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Hub]:
    monkeypatch.setenv("CT_ASSISTANT_MODELS", str(tmp_path / "models"))
    use_cache(monkeypatch, tmp_path / "hub")
    monkeypatch.setattr(download, "CHUNK", 8192)
    with client_of(Hub(REPO, released, COMMIT), monkeypatch) as hub:
        yield hub


def type_name(picker: ModelPicker, qtbot: QtBot, name: str) -> None:
    """Type a name into the box and press Enter."""
    line = picker.box.lineEdit()
    line.clear()
    qtbot.keyClicks(line, name)
    qtbot.keyClick(line, Qt.Key.Key_Return)


def idle(picker: ModelPicker, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: not (picker.hub.busy or picker.busy), timeout=LONG)


def test_size_first_then_cancel_then_the_rest(
    picker: ModelPicker, hub: Hub, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.assistant.models.hub_server.PIECE", 8192)
    bar = picker.hub
    assert bar.isHidden()
    type_name(picker, qtbot, REPO)
    assert bar.isVisible()
    assert "is not on this machine" in bar.text.text()
    assert not picker.load_button.isEnabled()
    assert hub.asked == 0  # nothing is asked before the click

    qtbot.mouseClick(bar.go_button, LEFT)
    idle(picker, qtbot)
    assert hub.asked > 0
    assert "MB to download" in bar.text.text()
    assert "free on disk" in bar.text.text()
    assert bar.go_button.text().startswith("Download ")
    assert not [n for method, n, _ in hub.requests if n.endswith(".safetensors")]

    hub.piece_seconds = 0.1
    qtbot.mouseClick(bar.go_button, LEFT)
    assert bar.bar.isVisible()
    with EventLoopMonitor() as monitor:
        qtbot.waitUntil(lambda: bar.bar.value() > 200, timeout=LONG)
    print(monitor.summary("event loop during a download"))
    assert monitor.work_percentile(90) < 100
    assert "Downloading ct-reader:" in bar.text.text()
    assert bar.stop_button.text() == "Cancel"
    qtbot.mouseClick(bar.stop_button, LEFT)
    assert bar.text.text() == "Stopping…"
    idle(picker, qtbot)
    assert "was cancelled" in bar.text.text()
    assert pinned_snapshot(REPO) is None
    with pytest.raises(ModelLoadError, match="not a downloaded model"):
        find_model(REPO)
    assert not picker.load_button.isEnabled()

    hub.piece_seconds = 0.0
    hub.requests.clear()
    qtbot.mouseClick(bar.go_button, LEFT)
    idle(picker, qtbot)
    assert "are on this machine already" in bar.text.text()
    with qtbot.waitSignal(bar.arrived, timeout=LONG) as arrived:
        qtbot.mouseClick(bar.go_button, LEFT)
    assert arrived.args == [REPO]
    idle(picker, qtbot)
    ranges = [r for method, n, r in hub.requests if n == "model.safetensors" and method == "GET"]
    assert ranges
    assert str(ranges[0]).startswith("bytes=")  # it went on where it had stopped
    assert bar.isHidden()
    assert "on disk" in picker.facts.text()
    assert "needs" in picker.facts.text()
    assert "free (" in picker.facts.text()
    qtbot.mouseClick(picker.load_button, LEFT)
    idle(picker, qtbot)
    assert picker.is_loaded
    assert picker.problem.isHidden()


def test_a_line_that_drops_is_said_and_leaves_nothing(
    picker: ModelPicker, hub: Hub, qtbot: QtBot
) -> None:
    bar = picker.hub
    picker.set_model(REPO)
    qtbot.mouseClick(bar.go_button, LEFT)
    idle(picker, qtbot)
    hub.cut_after = 20_000
    qtbot.mouseClick(bar.go_button, LEFT)
    idle(picker, qtbot)
    assert REPO in bar.text.text()
    assert "cut short" in bar.text.text() or "cannot be reached" in bar.text.text()
    assert bar.go_button.text() == "Try again"
    assert pinned_snapshot(REPO) is None
    qtbot.mouseClick(bar.stop_button, LEFT)
    assert bar.isHidden()


def test_what_the_hub_does_not_have(picker: ModelPicker, hub: Hub, qtbot: QtBot) -> None:
    type_name(picker, qtbot, "nobody/nothing")
    qtbot.mouseClick(picker.hub.go_button, LEFT)
    idle(picker, qtbot)
    assert "no such model on the hub" in picker.hub.text.text()
    type_name(picker, qtbot, "demo")
    assert picker.hub.isHidden()
    assert picker.load_button.isEnabled()


def test_a_released_m3d_is_fetched_converted_and_loaded_without_its_code(
    picker: ModelPicker, hub: Hub, qtbot: QtBot, tmp_path: Path
) -> None:
    tokenizer = m3d_tokenizer(bos=True)
    model, config = build("llama", vocabulary=len(tokenizer), image=(8, 32, 32))
    config["auto_map"] = {"AutoModelForCausalLM": "modeling_lamed.LamedModel"}
    state = model.checkpoint() | segmentation_tensors()
    folder = write_release(tmp_path / "release", state, config, tokenizer)
    ran = tmp_path / "ran"
    code = f"open({str(ran)!r}, 'w').close()\n".encode()
    hub.files = {file.name: file.read_bytes() for file in folder.iterdir()}
    hub.files["modeling_lamed.py"] = code
    bar = picker.hub
    picker.set_model(REPO)
    qtbot.mouseClick(bar.go_button, LEFT)
    idle(picker, qtbot)
    assert "neither downloaded nor run" in bar.text.text()
    assert bar.go_button.text().endswith("without its code")
    with qtbot.waitSignal(bar.arrived, timeout=LONG):
        qtbot.mouseClick(bar.go_button, LEFT)
    idle(picker, qtbot)
    imported = imported_snapshot(REPO)
    assert imported is not None
    assert imported.parent == models_home()
    record: dict[str, Any] = json.loads((imported / "imported.json").read_text(encoding="utf-8"))
    assert record["source"] == {"name": REPO, "revision": COMMIT}
    assert find_model(REPO) == imported
    assert not list((tmp_path / "hub").rglob("*.py"))
    assert not ran.exists()
    qtbot.mouseClick(picker.load_button, LEFT)
    idle(picker, qtbot)
    assert picker.is_loaded
    assert not ran.exists()
