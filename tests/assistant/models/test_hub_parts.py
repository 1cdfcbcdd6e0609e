"""COLIPRI in one step: two repositories, one folder, the revision written down."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from napari_ct_assistant import CTVolume, load_assistant
from napari_ct_assistant.assistant.models.added import COLIPRI
from napari_ct_assistant.cli import app
from tests.assistant.models.hub_server import Hub, client_of, use_cache
from tests.backends.colipri.tiny_colipri import save_tiny_colipri

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TINY = COLIPRI.parts[1].revision
assert TINY is not None
run = CliRunner().invoke


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Serve both repositories, with the code and other files that they hold."""
    monkeypatch.setenv("CT_ASSISTANT_MODELS", str(tmp_path / "models"))
    use_cache(monkeypatch, tmp_path / "hub")
    # The published file alone does not say its sizes: heads are the release's.
    folder = save_tiny_colipri(tmp_path / "tiny")
    weights = (folder / "model.safetensors").read_bytes()
    words = {
        "vocab.txt": (folder / "vocab.txt").read_bytes(),
        "tokenizer_config.json": json.dumps(
            {"do_lower_case": True, "auto_map": {"AutoTokenizer": ["code.Tokenizer", None]}}
        ).encode(),
        "configuration_cxrbert.py": b"raise SystemExit",
        "pytorch_model.bin": b"pickle",
    }
    first = Hub("microsoft/colipri", {"model.safetensors": weights, "code.py": b"1"}, COMMIT)
    first.more = [Hub(COLIPRI.parts[1].repo, words, str(TINY))]
    with client_of(first, monkeypatch):
        yield first


@pytest.fixture
def sized(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the release's sizes for the tiny model's, which no tensor says."""
    for name, value in (("NUM_HEADS", 2), ("SPACING", 12.0), ("INPUT_SIZE", 24)):
        monkeypatch.setattr(f"napari_ct_assistant.backends.colipri.importing.{name}", value)


@pytest.mark.usefixtures("sized")
def test_one_command_and_it_screens(hub: Hub, small_volume: CTVolume, tmp_path: Path) -> None:
    done = run(app, ["models", "add", "colipri", "--yes"])
    assert done.exit_code == 0, done.stderr
    for words in ("Licence: MIT", "CT-RATE", COMMIT, str(TINY), "no code"):
        assert words in done.stderr
    folder = Path(done.stdout.strip())
    assert folder == tmp_path / "models" / "colipri"
    config = json.loads((folder / "config.json").read_text())
    assert config["revision"] == COMMIT
    assert config["preprocessing"]["orientation"] == "RAS"
    # Code, pickles and the settings that name code stay where they are.
    assert json.loads((folder / "tokenizer_config.json").read_text()) == {"do_lower_case": True}
    assert {name for _, name, _ in hub.requests} == {"model.safetensors"}
    asked = {name for _, name, _ in hub.more[0].requests}
    assert asked == {"vocab.txt", "tokenizer_config.json"}
    rows = load_assistant("colipri", device="cpu").read(small_volume).screen()
    assert len(rows) == 18
    assert all(row.margin is not None for row in rows)
    # A second time, nothing is asked of the hub.
    before = hub.asked
    again = run(app, ["models", "add", "colipri", "--yes"])
    assert again.stdout.strip() == str(folder)
    assert hub.asked == before


@pytest.mark.usefixtures("sized")
def test_a_folder_that_was_downloaded_before(hub: Hub, tmp_path: Path) -> None:
    for source in (hub, hub.more[0]):
        for name, content in source.files.items():
            (tmp_path / name).write_bytes(content)
    done = run(app, ["models", "add", "colipri", "-y", "--from", str(tmp_path)])
    assert done.exit_code == 0, done.stderr
    assert hub.asked == 0
    config = json.loads((Path(done.stdout.strip()) / "config.json").read_text())
    assert config["revision"] == "unknown"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("no vocabulary", "has no vocab.txt at revision 5157bdba1437"),
        ("other weights", "missing"),
        ("another revision", "has no revision 'v9'"),
    ],
)
@pytest.mark.usefixtures("sized")
def test_what_is_not_there_is_one_line(hub: Hub, tmp_path: Path, change: str, words: str) -> None:
    more = []
    if change == "no vocabulary":
        del hub.more[0].files["vocab.txt"]
    elif change == "other weights":
        tensors = load_file(tmp_path / "tiny" / "model.safetensors")
        del tensors["image_encoder.backbone.eva.norm.weight"]
        save_file(tensors, tmp_path / "less.safetensors")
        hub.files["model.safetensors"] = (tmp_path / "less.safetensors").read_bytes()
    else:
        more = ["--revision", "v9"]
    done = run(app, ["models", "add", "colipri", "--yes", *more])
    assert done.exit_code != 0
    assert words in done.stderr.splitlines()[-1]
    assert not (tmp_path / "models" / "colipri").exists()


def test_a_revision_is_for_the_hub_alone() -> None:
    done = run(app, ["models", "add", "astra-backbone", "--yes", "--revision", "main"])
    assert done.exit_code != 0
    assert "pinned by its hash" in done.stderr
