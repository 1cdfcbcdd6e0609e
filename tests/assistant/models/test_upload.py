"""A model goes to the hub and comes back the same, with the hub's own client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from napari_ct_assistant import load_assistant
from napari_ct_assistant.assistant import ModelLoadError
from napari_ct_assistant.assistant.models.download import download, plan_download
from napari_ct_assistant.assistant.models.upload import plan_upload, upload
from napari_ct_assistant.cli import app
from tests.assistant.models.hub_server import Hub, client_of, use_cache
from tests.tiny_model import save_tiny_model

REPO = "somebody/ct-reader"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
run = CliRunner().invoke
# The hub client's own call of its HTTP library, where its binary one (xet) is not used.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Serve an empty repository, to which somebody who is logged in may write."""
    use_cache(monkeypatch, tmp_path / "hub")
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_test")
    with client_of(Hub(REPO, {}, COMMIT), monkeypatch) as hub:
        yield hub


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = save_tiny_model(tmp_path / "mine", learned=False)
    (folder / "README.md").write_text("---\nlibrary_name: transformers\n---\n# Mine\n")
    (folder / "optimizer.pt").write_bytes(b"not for others")
    return folder


def test_there_and_back(hub: Hub, folder: Path) -> None:
    plan = plan_upload(folder, REPO)
    assert plan.left_out == ("optimizer.pt",)
    assert hub.asked == 0
    assert upload(plan) == COMMIT
    assert hub.created["visibility"] == "private"
    assert set(hub.files) == {*plan.files, "SHA256SUMS"}
    assert b"README.md" not in hub.files["SHA256SUMS"]
    download(plan_download(REPO))
    there = load_assistant(REPO, device="cpu").model
    here = load_assistant(folder, device="cpu").model
    assert there is not None
    assert here is not None
    for name, value in here.state_dict().items():
        assert torch.equal(there.state_dict()[name], value), name


def test_the_command_asks_first(hub: Hub, folder: Path) -> None:
    shown = run(app, ["models", "push", str(folder), REPO, "--dry-run", "--json"])
    assert shown.exit_code == 0, shown.output
    assert json.loads(shown.stdout)["commit"] is None
    refused = run(app, ["models", "push", str(folder), REPO], input="n\n")
    assert refused.exit_code == 1
    assert not hub.files
    assert hub.asked == 0
    hub.locked = True
    locked = run(app, ["models", "push", str(folder), REPO, "--yes"])
    assert locked.exit_code == 1
    assert "no permission to write to this repository; log in" in locked.stderr.splitlines()[-1]
    hub.locked = False
    done = run(app, ["models", "push", str(folder), REPO, "--yes", "--public"])
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == f"{REPO} at {COMMIT}"
    assert hub.created["visibility"] == "public"


def test_what_is_not_sound_or_has_no_card_stays_here(hub: Hub, folder: Path) -> None:
    with pytest.raises(ModelLoadError, match="not a hub id; give OWNER/NAME"):
        plan_upload(folder, "mine")
    (folder / "README.md").unlink()
    with pytest.raises(ModelLoadError, match=r"mine: has no README\.md; write the model card"):
        plan_upload(folder, REPO)
    (folder / "model.safetensors").write_bytes(b"0" * 100)
    with pytest.raises(ModelLoadError, match="is damaged"):
        plan_upload(folder, REPO)
    assert hub.asked == 0
