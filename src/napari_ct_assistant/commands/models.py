"""`models`: the models on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import typer

from napari_ct_assistant.commands.terminal import AsJson, one_line_errors, print_json

# The `model_type` of our configuration; named here because importing it brings torch.
MODEL_TYPE: Final = "ct_volume_language"

app = typer.Typer(help="The models on this machine.", rich_markup_mode=None, no_args_is_help=True)


@app.callback()
def _models() -> None:
    """The models on this machine."""


@app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List the bundled and the downloaded models.

    Their names are what --model takes; it takes a local folder as well.
    """
    with one_line_errors():
        found = [*bundled_models(), *downloaded_models()]
        if as_json:
            print_json({"models": found})
            return
        for model in found:
            typer.echo(f"{model['name']}  ({model['source']}, {model['bytes'] / 1e6:.1f} MB)")
            typer.echo(f"    {model['path']}")
            for line in (model["trained_on"], model["notice"]):
                if line:
                    typer.echo(f"    {line}")


def bundled_models() -> Iterator[dict[str, Any]]:
    """Yield what is known of each model that came with the package."""
    folder = Path(str(files("napari_ct_assistant").joinpath("bundled")))
    for path in sorted(folder.glob("*/config.json")):
        described = describe_model(path.parent.name, "bundled", path.parent)
        if described:
            yield described


def downloaded_models() -> Iterator[dict[str, Any]]:
    """Yield what is known of each model in the Hugging Face cache that is one of ours."""
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        cache = scan_cache_dir()
    except CacheNotFound:
        return
    for repo in sorted(cache.repos, key=lambda repo: repo.repo_id):
        revision = repo.refs.get("main")
        if repo.repo_type == "model" and revision is not None:
            described = describe_model(repo.repo_id, "downloaded", Path(revision.snapshot_path))
            if described:
                yield described


def describe_model(name: str, source: str, folder: Path) -> dict[str, Any] | None:
    """Return name, source, path, bytes, trained_on and notice; None for a model not of ours."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    weights = list(folder.glob("model*.safetensors"))
    if not isinstance(config, dict) or config.get("model_type") != MODEL_TYPE or not weights:
        return None
    return {
        "name": name,
        "source": source,
        "path": str(folder),
        "bytes": sum(file.stat().st_size for file in weights),
        "trained_on": config.get("trained_on", ""),
        "notice": config.get("notice", ""),
    }
