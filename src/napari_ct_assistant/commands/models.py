"""`models`: the models on this machine, and how others come here."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_ct_assistant.commands.terminal import (
    AsJson,
    cancel_on_interrupt,
    end_if_stopped,
    fail,
    note,
    one_line_errors,
    print_json,
)


class Precision(StrEnum):
    """Types that weights can be written in."""

    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"


app = typer.Typer(help="The models on this machine.", rich_markup_mode=None, no_args_is_help=True)


@app.callback()
def _models() -> None:
    """The models on this machine."""


@app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List the bundled, imported and downloaded models, and folders used before.

    Their names are what --model takes; it takes a local folder as well.
    """
    with one_line_errors():
        from napari_ct_assistant.assistant.models.installed import installed_models

        found = installed_models()
        if as_json:
            print_json({"models": [model.to_json() for model in found]})
            return
        for model in found:
            typer.echo(f"{model.name}  ({model.source}, {model.bytes / 1e6:.1f} MB)")
            typer.echo(f"    {model.path}")
            for line in (model.trained_on, model.notice):
                if line:
                    typer.echo(f"    {line}")


@app.command("download")
def download_model(
    repo: Annotated[str, typer.Argument(metavar="HUB_ID", help="As somebody/model-name.")],
    revision: Annotated[
        str | None,
        typer.Option(help="A branch, a tag or a commit; the commit it names now is recorded."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the files and sizes; fetch nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Fetch a model from the Hugging Face hub, pinned to a commit.

    Only safetensors, JSON and tokenizer files are fetched. Stopped (Ctrl-C) or cut off, it goes
    on where it was when it is run again; what is not whole is never loaded.
    """
    with one_line_errors():
        from napari_ct_assistant.assistant import ModelLoadError  # noqa: F401  what is raised
        from napari_ct_assistant.assistant.models.download import (
            DownloadCancelled,
            download,
            plan_download,
        )

        plan = plan_download(repo, revision)
        note(f"{plan.repo} at {plan.commit}")
        for file in plan.files:
            note(f"    {file.size / 1e6:10.1f} MB  {file.name}{'  (here)' if file.cached else ''}")
        note(f"{plan.to_fetch / 1e9:.2f} GB to fetch, {plan.free / 1e9:.2f} GB free")
        result: dict[str, Any] = {
            "repo": plan.repo,
            "revision": plan.commit,
            "kind": plan.kind,
            "bytes": plan.bytes,
            "bytes_to_fetch": plan.to_fetch,
            "bytes_free": plan.free,
            "files": {file.name: file.size for file in plan.files},
            "left_out": list(plan.left_out),
            "path": None,
        }
        if not dry_run:
            with cancel_on_interrupt() as cancel, _progress() as show:
                try:
                    result["path"] = str(download(plan, progress=show, cancel=cancel))
                except DownloadCancelled:
                    end_if_stopped(True, "run it again and it goes on where it was")
        if as_json:
            print_json(result)
        elif result["path"]:
            typer.echo(result["path"])
            if plan.kind != "model":
                note(f"to read scans with it: ct-assistant models import {plan.repo}")


@app.command("import")
def import_foreign(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER", help="A released model's folder, or the hub id of a downloaded one."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Argument(
            help="The folder to make; left out, it lies among the imported models that "
            "`models list` and the panel show."
        ),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(help="The model that FOLDER, an adapter or a part of a model, belongs to."),
    ] = None,
    dtype: Annotated[
        Precision | None, typer.Option(help="Write the weights in this type; else as they are.")
    ] = None,
    lora_alpha: Annotated[
        float | None,
        typer.Option(help="Of LoRA weights without adapter_config.json. M3D's own is 32."),
    ] = None,
    trained_on: Annotated[
        str, typer.Option(help="What the weights have seen; shown with the model.")
    ] = "",
    ignore_remote_code: Annotated[
        bool,
        typer.Option(
            "--ignore-remote-code",
            help="Read the weights of a model that asks to run its own code. It is not run.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make a model of ours from a published checkpoint (M3D-LaMed, M3D-CLIP, LoRA adapters).

    Every tensor is accounted for: one that is unknown, missing or of another shape is an error.
    No code of the checkpoint is run. Weights are read and written file by file.
    """
    with one_line_errors():
        from napari_ct_assistant.assistant import ModelLoadError  # noqa: F401  what is raised
        from napari_ct_assistant.model.conversion.importing import import_model

        with _progress() as show:
            done = import_model(
                _local(source),
                out or _new_home(source),
                base=None if base is None else _local(base),
                dtype=_torch_dtype(dtype),
                lora_alpha=lora_alpha,
                trained_on=trained_on,
                ignore_code=ignore_remote_code,
                progress=lambda _, written, total: show(written, total),
            )
        families = sorted({".".join(name.split(".")[:2]) for name in done.skipped})
        if done.skipped:
            note(
                f"skipped {len(done.skipped)} tensors that a report needs nothing of: "
                f"{', '.join(families)}"
            )
        if as_json:
            print_json(
                {
                    "path": str(done.folder),
                    "kind": done.kind,
                    "layout": done.layout,
                    "parameters": done.parameters,
                    "bytes": done.bytes,
                    "skipped": list(done.skipped),
                    "merged_adapters": done.adapted,
                }
            )
            return
        typer.echo(str(done.folder))
        note(f"{done.kind} of {done.parameters / 1e6:,.1f} million parameters")
        if done.adapted:
            note(f"LoRA merged into {done.adapted} weights")


@app.command("push")
def push_model(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A model folder with a card.")],
    repo: Annotated[str, typer.Argument(metavar="HUB_ID", help="As somebody/model-name.")],
    public: Annotated[
        bool, typer.Option("--public", help="Make a new repository public; it is private else.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be sent; send nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before sending.")] = False,
    as_json: AsJson = False,
) -> None:
    """Put a model of ours onto the Hugging Face hub, with its model card.

    The folder is checked as for loading. Weights, settings, tokenizer and README.md are sent as
    one commit, with their hashes. Log in first: `hf auth login`.
    """
    with one_line_errors():
        from napari_ct_assistant.assistant import ModelLoadError  # noqa: F401  what is raised
        from napari_ct_assistant.assistant.models.upload import plan_upload, upload

        plan = plan_upload(folder.expanduser(), repo)
        for name, count in plan.files.items():
            note(f"    {count / 1e6:10.1f} MB  {name}")
        if plan.left_out:
            note(f"stays here: {', '.join(plan.left_out)}")
        whose = "public" if public else "private"
        note(f"{plan.bytes / 1e9:.2f} GB to {repo} (a new repository is made {whose})")
        commit = None
        if not dry_run:
            if not yes and not typer.confirm("Send it?", err=True):
                raise fail("nothing was sent; answer y, or give --yes")
            commit = upload(plan, private=not public)
        if as_json:
            print_json(
                {
                    "repo": repo,
                    "commit": commit,
                    "bytes": plan.bytes,
                    "files": plan.files,
                    "left_out": list(plan.left_out),
                }
            )
        elif commit:
            typer.echo(f"{repo} at {commit}")


def _new_home(source: str) -> Path:
    """Return where the import of a folder or of a hub's model lies if nobody says where."""
    from napari_ct_assistant.assistant.models.hub_cache import is_repo
    from napari_ct_assistant.assistant.models.installed import imported_folder, models_home

    path = Path(source).expanduser()
    if not path.exists() and is_repo(source):
        return imported_folder(source)
    return models_home() / path.resolve().name


def _local(model: str) -> Path:
    """Return the folder (or file) that a name stands for; a hub id's, if it was downloaded."""
    path = Path(model).expanduser()
    if path.exists():
        return path
    from napari_ct_assistant.assistant.models.hub_cache import pinned_snapshot
    from napari_ct_assistant.assistant.models.loading import find_model

    # What was downloaded, not an import made of it before.
    return pinned_snapshot(model) or find_model(model)


def _torch_dtype(name: Precision | None) -> Any:
    if name is None:
        return None
    import torch

    return getattr(torch, name.value)


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """Yield a function that draws how much is done, in a terminal; elsewhere it draws nothing."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    begin = time.monotonic()
    last = 0.0

    def show(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < 0.2 and done < total:
            return
        last = now
        share = done / total if total else 1.0
        speed = done / max(now - begin, 1e-3) / 1e6
        typer.echo(
            f"\r{share:4.0%}  {done / 1e9:.2f} of {total / 1e9:.2f} GB  {speed:.0f} MB/s   ",
            nl=False,
            err=True,
        )

    try:
        yield show
    finally:
        if last:
            typer.echo("", err=True)
