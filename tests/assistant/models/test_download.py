"""Downloads, with the hub's own client against a hub on this machine."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from typer.testing import CliRunner

from napari_ct_assistant import load_assistant
from napari_ct_assistant.assistant import ModelLoadError
from napari_ct_assistant.assistant.models import download
from napari_ct_assistant.assistant.models.download import (
    DownloadCancelled,
    plan_download,
)
from napari_ct_assistant.assistant.models.hub_cache import pinned_snapshot
from napari_ct_assistant.cli import app
from tests.assistant.models.hub_server import Hub, client_of, use_cache
from tests.backends.nv_reason_ct.tiny_checkpoint import save_tiny_checkpoint
from tests.tiny_model import save_tiny_model

REPO = "somebody/ct-reader"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
fetch = download.download
run = CliRunner().invoke


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a model that says nothing sensible, quickly made."""
    return save_tiny_model(tmp_path_factory.mktemp("untrained") / "tiny-model", learned=False)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty cache that the hub's client uses."""
    use_cache(monkeypatch, tmp_path / "hub")
    return tmp_path / "hub"


@pytest.fixture
def hub(untrained: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Serve the tiny model, with what else repositories hold."""
    files = {file.name: file.read_bytes() for file in untrained.iterdir()}
    files |= {
        "pytorch_model.bin": b"pickle" * 100,
        "modeling.py": b"print('hello')",
        "onnx/model.safetensors": b"x" * 100,
        "README.md": b"# A model",
    }
    with client_of(Hub(REPO, files, COMMIT), monkeypatch) as hub:
        yield hub


def large(hub: Hub) -> tuple[str, bytes]:
    return "model.safetensors", hub.files["model.safetensors"]


def test_a_plan_shows_sizes_and_fetches_no_weights(hub: Hub) -> None:
    plan = plan_download(REPO)
    assert plan.commit == COMMIT
    assert plan.kind == "model"
    sizes = {file.name: file.size for file in plan.files}
    assert sizes["model.safetensors"] == len(hub.files["model.safetensors"])
    assert set(plan.left_out) == {"pytorch_model.bin", "modeling.py", "onnx/model.safetensors"}
    assert plan.to_fetch == plan.bytes - sizes["config.json"]
    assert {name for method, name, _ in hub.requests if method == "GET"} == {"config.json"}
    assert pinned_snapshot(REPO) is None


def test_a_download_is_pinned_and_loads(hub: Hub) -> None:
    steps: list[tuple[int, int]] = []
    plan = plan_download(REPO, "v1")
    folder = fetch(plan, progress=lambda *step: steps.append(step))
    assert folder.name == COMMIT
    assert pinned_snapshot(REPO) == folder
    assert steps[-1] == (plan.to_fetch, plan.to_fetch)
    assert not (folder / "pytorch_model.bin").exists()
    assert not (folder / "modeling.py").exists()
    assert load_assistant(REPO, device="cpu").info.name == REPO
    # The branch moves on; the model stays what it was.
    hub.commit = "f" * 40
    hub.files["model.safetensors"] = b"other"
    assert pinned_snapshot(REPO) == folder
    assert load_assistant(REPO, device="cpu").info.name == REPO


def test_nothing_is_fetched_twice(hub: Hub) -> None:
    fetch(plan_download(REPO))
    hub.requests.clear()
    plan = plan_download(REPO)
    assert plan.to_fetch == 0
    fetch(plan)
    assert not [name for method, name, _ in hub.requests if method == "GET"]


def test_a_cancelled_download_does_not_load_and_goes_on(hub: Hub, cache: Path) -> None:
    cancel = threading.Event()

    def stop(done: int, total: int) -> None:
        cancel.set()

    with pytest.raises(DownloadCancelled):
        fetch(plan_download(REPO), progress=stop, cancel=cancel)
    assert pinned_snapshot(REPO) is None
    with pytest.raises(ModelLoadError, match="not a downloaded model"):
        load_assistant(REPO)
    fetch(plan_download(REPO))
    assert load_assistant(REPO, device="cpu").info.name == REPO
    assert not list(cache.rglob("*.part"))


def test_a_line_that_drops_is_taken_up_where_it_was(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "CHUNK", 4096)
    name, content = large(hub)
    hub.cut_after = len(content) // 3
    for _ in range(2):
        with pytest.raises(ModelLoadError, match=r"cut short|cannot be reached") as error:
            fetch(plan_download(REPO))
        assert "\n" not in str(error.value)
        assert pinned_snapshot(REPO) is None
    hub.cut_after = None
    folder = fetch(plan_download(REPO))
    assert (folder / name).read_bytes() == content
    ranges = [r for method, n, r in hub.requests if n == name and method == "GET"]
    assert ranges[0] is None
    starts = [int(str(r).removeprefix("bytes=").rstrip("-")) for r in ranges[1:]]
    third = len(content) // 3
    assert third - 4096 < starts[0] <= third
    assert starts[0] + third - 4096 < starts[1] <= 2 * third


def test_other_bytes_than_the_hub_states_are_thrown_away(hub: Hub, cache: Path) -> None:
    name, _ = large(hub)
    hub.corrupt.add(name)
    with pytest.raises(ModelLoadError, match="has another SHA-256 than the hub states"):
        fetch(plan_download(REPO))
    assert pinned_snapshot(REPO) is None
    assert not list(cache.rglob("*.part"))
    digest = hashlib.sha256(hub.files[name]).hexdigest()
    assert not list(cache.rglob(digest))


def test_a_part_that_was_spoilt_is_noticed(hub: Hub, cache: Path) -> None:
    name, content = large(hub)
    hub.cut_after = 1000
    with pytest.raises(ModelLoadError):
        fetch(plan_download(REPO))
    (part,) = cache.rglob("*.part")
    part.write_bytes(bytes(1000))
    hub.cut_after = None
    with pytest.raises(ModelLoadError, match="another SHA-256"):
        fetch(plan_download(REPO))
    assert (fetch(plan_download(REPO)) / name).read_bytes() == content


def test_a_full_disk_is_said_before(hub: Hub) -> None:
    plan = plan_download(REPO)
    assert plan.free > plan.to_fetch
    hub.requests.clear()
    with pytest.raises(ModelLoadError, match=r"the disk of the cache has 0\.0 GB free"):
        fetch(replace(plan, free=1000))
    assert not hub.requests


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"config.json": b'{"model_type": "bert"}'}, "not a model that can be used here"),
        ({"config.json": b"{"}, "not a model that can be used here"),
        ({"config.json": b"[]"}, "not a model that can be used here"),
        ({"model.safetensors": None}, r"has no safetensors weights, only pytorch_model\.bin"),
    ],
)
def test_other_repositories(hub: Hub, change: dict[str, bytes | None], message: str) -> None:
    for name, content in change.items():
        if content is None:
            del hub.files[name]
        else:
            hub.files[name] = content
    with pytest.raises(ModelLoadError, match=f"{message}.*; nothing was downloaded"):
        plan_download(REPO)


def test_no_such_repository(hub: Hub) -> None:
    with pytest.raises(ModelLoadError, match="no such model on the hub"):
        plan_download("nobody/nothing")
    with pytest.raises(ModelLoadError, match="has no revision 'v7'"):
        plan_download(REPO, "v7")
    for name in ("../../etc", "a/b/c", ""):
        with pytest.raises(ModelLoadError, match="no such model"):
            plan_download(name)
        assert pinned_snapshot(name) is None


def test_no_network(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ModelLoadError, match="the hub cannot be reached") as error:
        plan_download(REPO)
    assert "\n" not in str(error.value)


def test_the_command(hub: Hub) -> None:
    shown = run(app, ["models", "download", REPO, "--dry-run", "--json"])
    assert shown.exit_code == 0, shown.output
    result: dict[str, Any] = json.loads(shown.stdout)
    assert result["path"] is None
    assert result["revision"] == COMMIT
    assert "GB to download" in shown.stderr
    done = run(app, ["models", "download", REPO])
    assert done.exit_code == 0, done.output
    assert done.stdout.strip().endswith(COMMIT)
    models = json.loads(run(app, ["models", "list", "--json"]).stdout)["models"]
    assert REPO in {model["name"] for model in models}
    wrong = run(app, ["models", "download", "nobody/nothing"])
    assert wrong.exit_code == 1
    assert wrong.stderr.count("\n") == 1


@pytest.mark.parametrize("stated", ["../../../victim", "A" * 64, "ab" * 31, ""])
def test_a_hash_that_is_none_is_refused(
    hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch, stated: str
) -> None:
    """It becomes a file name: a mirror could write and delete files outside the cache."""
    victim = cache.parent / "victim.part"
    victim.write_text("mine")
    honest = hub.entry

    def entry(name: str) -> dict[str, Any]:
        found = honest(name)
        if "lfs" in found:
            found["lfs"] |= {"sha256": stated, "oid": stated}
        return found

    monkeypatch.setattr(hub, "entry", entry)
    with pytest.raises(ModelLoadError, match="as a hash of"):
        plan_download(REPO)
    assert victim.read_text() == "mine"


def test_a_commit_that_is_none_is_refused(hub: Hub) -> None:
    hub.commit = "../../elsewhere"
    with pytest.raises(ModelLoadError, match="as its commit"):
        plan_download(REPO)


def test_of_nv_reason_ct_no_python_file_is_fetched(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = save_tiny_checkpoint(tmp_path / "source")
    files = {
        str(file.relative_to(source)): file.read_bytes()
        for file in source.rglob("*")
        if file.is_file()
    }
    files |= {
        "model.py": b"print('hello')",
        "processor.py": b"print('hello')",
        "preprocessor_config.json": b"{}",
        "train/vlm_labels.py": b"",
    }
    with client_of(Hub(REPO, files, COMMIT), monkeypatch):
        plan = plan_download(REPO)
        assert plan.kind == "model"
        assert plan.code
        assert set(plan.left_out) == {
            "model.py",
            "processor.py",
            "preprocessor_config.json",
            "train/vlm_labels.py",
        }
        folder = fetch(plan)
    assert not list(folder.rglob("*.py"))
    assert (folder / "image_processor_3d" / "preprocessor_config.json").is_file()
    assert load_assistant(REPO, device="cpu").info.name == REPO
