"""The commands of `models`; `add` has a module of its own."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_ct_assistant.commands.models.adding import add_model
from napari_ct_assistant.commands.terminal.options import AsJson
from napari_ct_assistant.commands.terminal.output import (
    cancel_on_interrupt,
    end_if_stopped,
    fail,
    note,
    one_line_errors,
    print_json,
    say,
)
from napari_ct_assistant.commands.terminal.progress import byte_progress


class WeightType(StrEnum):
    """Data types in which weights can be written."""

    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"


app = typer.Typer(
    help="List, download, add, import and publish models.",
    rich_markup_mode=None,
    no_args_is_help=True,
)
HubId = Annotated[str, typer.Argument(metavar="HUB_ID", help="Hugging Face id: OWNER/NAME.")]


@app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List the models on this machine.

    These are bundled, imported and downloaded models, and model folders used before. Pass a
    listed name, or any other model folder, as --model.
    """
    with one_line_errors():
        from napari_ct_assistant.assistant.models.installed import installed_models

        found = installed_models()
        if as_json:
            print_json({"models": [model.to_json() for model in found]})
            return
        for model in found:
            say(f"{model.name}  ({model.source}, {model.bytes / 1e6:.1f} MB)")
            say(f"    {model.path}")
            for line in (model.trained_on, model.notice):
                if line:
                    say(f"    {line}")


@app.command("download")
def download_model(
    repo: HubId,
    revision: Annotated[
        str | None,
        typer.Option(
            "--revision",
            metavar="REVISION",
            help="Branch, tag or commit. The download is pinned to its current commit.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show files and sizes; download nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Download a model from the hub, pinned to a commit.

    Only safetensors, JSON and tokenizer files are downloaded. Run the command again to resume an
    interrupted download. An incomplete download is never loaded.
    """
    with one_line_errors():
        from napari_ct_assistant.assistant.models.download import (
            DownloadCancelled,
            download,
            plan_download,
        )

        plan = plan_download(repo, revision)
        note(f"{plan.repo} at {plan.commit}")
        for file in plan.files:
            here = "  (already here)" if file.cached else ""
            note(f"    {file.size / 1e6:10.1f} MB  {file.name}{here}")
        note(f"{plan.to_fetch / 1e9:.2f} GB to download, {plan.free / 1e9:.2f} GB of disk free")
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
            with cancel_on_interrupt() as cancel, byte_progress() as show:
                try:
                    result["path"] = str(download(plan, progress=show, cancel=cancel))
                except DownloadCancelled:
                    end_if_stopped(True, "run the command again to resume the download")
        if as_json:
            print_json(result)
        elif result["path"]:
            say(result["path"])
            if plan.kind != "model":
                note(f"to read scans with it, run: ct-assistant models import {plan.repo}")


app.command("add")(add_model)


@app.command("import")
def import_foreign(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER",
            help="Folder of a published checkpoint, or Hugging Face id of a downloaded one.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Argument(
            metavar="OUT",
            help="Model folder to write. Default: the folder of imported models, which "
            "`models list` and the panel show.",
        ),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            "--base",
            metavar="MODEL",
            help="Base model, if FOLDER holds an adapter or a part of a model.",
        ),
    ] = None,
    dtype: Annotated[
        WeightType | None,
        typer.Option(help="Convert the weights to this type. Default: keep their type."),
    ] = None,
    lora_alpha: Annotated[
        float | None,
        typer.Option(
            "--lora-alpha",
            metavar="ALPHA",
            help="Alpha of LoRA weights without adapter_config.json. M3D uses 32.",
        ),
    ] = None,
    trained_on: Annotated[
        str,
        typer.Option(
            "--trained-on",
            metavar="TEXT",
            help="Description of the training data, shown with the model.",
        ),
    ] = "",
    ignore_remote_code: Annotated[
        bool,
        typer.Option(
            "--ignore-remote-code",
            help="Import a model whose config.json asks to run its own code. The code is not run.",
        ),
    ] = False,
    vision_only: Annotated[
        bool,
        typer.Option(
            "--vision-only",
            help="Of RadFM: write only encoder and perceiver, which training can start from.",
        ),
    ] = False,
    encoder: Annotated[
        str | None,
        typer.Option(
            "--encoder",
            metavar="FILE",
            help="Of Astra: the image encoder, if FOLDER does not hold it.",
        ),
    ] = None,
    phenotypes: Annotated[
        Path | None,
        typer.Option(
            "--phenotypes",
            metavar="CSV",
            help="Of Merlin: the published CSV with the names of its phenotype outputs.",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Of Merlin, Astra and COLIPRI: a setting that differs from the release, such as "
            "chain=abdomen, size=224,224,160 or orientation=SAR.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Convert a published checkpoint to a model folder.

    Reads M3D-LaMed, M3D-CLIP, RadFM, Merlin, Astra, COLIPRI and LoRA adapters. An unknown or
    missing tensor, or one of the wrong shape, is an error. No code from the checkpoint is run.
    Weights are converted file by file to save memory.
    """
    with one_line_errors():
        from napari_ct_assistant.backends.importing import import_model

        with byte_progress() as show:
            done = import_model(
                _local(source),
                out or _new_home(source),
                base=None if base is None else _local(base),
                dtype=torch_dtype(dtype),
                lora_alpha=lora_alpha,
                trained_on=trained_on,
                ignore_code=ignore_remote_code,
                vision_only=vision_only,
                encoder=None if encoder is None else _local(encoder),
                phenotypes=phenotypes,
                settings=_settings(settings or ()),
                progress=lambda _, written, total: show(written, total),
            )
        families = sorted({".".join(name.split(".")[:2]) for name in done.skipped})
        if done.skipped:
            note(
                f"skipped {len(done.skipped)} tensors that reports do not use: "
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
        say(str(done.folder))
        note(f"{done.kind} with {done.parameters / 1e6:,.1f} million parameters")
        if done.adapted:
            note(f"merged LoRA into {done.adapted} weights")


@app.command("push")
def push_model(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Model folder with a model card (README.md).")
    ],
    repo: HubId,
    public: Annotated[
        bool, typer.Option("--public", help="Create a public repository. Default: private.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show files and sizes; upload nothing.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Upload without asking for confirmation.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Upload a model folder to the Hugging Face hub.

    The folder is checked first, as if it were to be loaded. Weights, settings, tokenizer and
    README.md are uploaded as one commit, with SHA-256 hashes. Log in first with `hf auth login`.
    """
    with one_line_errors():
        from napari_ct_assistant.assistant.models.upload import plan_upload, upload

        plan = plan_upload(folder.expanduser(), repo)
        for name, count in plan.files.items():
            note(f"    {count / 1e6:10.1f} MB  {name}")
        if plan.left_out:
            note(f"not uploaded: {', '.join(plan.left_out)}")
        access = "public" if public else "private"
        note(f"{plan.bytes / 1e9:.2f} GB to {repo} (if new, the repository will be {access})")
        commit = None
        if not dry_run:
            if not yes and not typer.confirm("Upload?", err=True):
                raise fail("nothing was uploaded; answer y, or give --yes")
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
            say(f"{repo} at {commit}")


def _new_home(source: str) -> Path:
    """Return the default folder for the import of `source`, a folder or a hub id."""
    from napari_ct_assistant.assistant.models.hub_cache import is_repo
    from napari_ct_assistant.assistant.models.installed import imported_folder, models_home

    path = Path(source).expanduser()
    if not path.exists() and is_repo(source):
        return imported_folder(source)
    return models_home() / path.resolve().name


def _local(model: str) -> Path:
    """Return the folder or file that `model` names; for a hub id, its downloaded snapshot."""
    path = Path(model).expanduser()
    if path.exists():
        return path
    from napari_ct_assistant.assistant.models.hub_cache import pinned_snapshot
    from napari_ct_assistant.assistant.models.installed import find_model

    # The download comes before an import made from it earlier.
    return pinned_snapshot(model) or find_model(model)


def _settings(pairs: Sequence[str]) -> dict[str, Any]:
    """Return settings from KEY=VALUE: numbers, several with commas between, or a text."""
    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise fail(f"--set {pair}: give KEY=VALUE, such as chain=abdomen")
        values = [_number(part) for part in text.split(",")]
        found[key] = values if len(values) > 1 else values[0]
    return found


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def torch_dtype(name: WeightType | None) -> Any:
    """Return the torch type of that name, None for none."""
    if name is None:
        return None
    import torch

    return getattr(torch, name.value)
