"""Write a model folder shard by shard, completely or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import save_file

from napari_ct_assistant.model.conversion.tensors import Entry
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.model.folder import INDEX, write_hashes

SHARD_BYTES = 2 * 1024**3

Progress = Callable[[str, int, int], None]


@contextmanager
def new_folder(out: Path, needed: int) -> Iterator[Path]:
    """Yield a temporary folder that becomes `out` at the end, or is removed after an error.

    Parameters
    ----------
    out : Path
        A folder that does not exist, or is empty.
    needed : int
        Bytes that will be written.

    Raises
    ------
    ModelLoadError
        If `out` is not empty, or the disk does not have enough room.
    """
    out = out.absolute()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ModelLoadError(f"{out.name}: exists and is not an empty folder; give a new folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(out.parent).free
    if needed > free:
        raise ModelLoadError(
            f"{out.name}: needs {needed / 1e9:.1f} GB and the disk has {free / 1e9:.1f} GB free; "
            "choose another disk or make room"
        )
    part = out.with_name(f".{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # left by an import that was killed
    part.mkdir()
    try:
        yield part
        write_hashes(part)
        if out.exists():
            out.rmdir()
        part.rename(out)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def shards(entries: Mapping[str, Entry], most: int = SHARD_BYTES) -> list[list[str]]:
    """Split the tensors, in order, into files of at most `most` bytes (or of one tensor)."""
    files: list[list[str]] = []
    size = most + 1
    for key, entry in entries.items():
        if size + entry.bytes > most:
            files.append([])
            size = 0
        files[-1].append(key)
        size += entry.bytes
    return files


def write_weights(
    folder: Path,
    entries: Mapping[str, Entry],
    *,
    dtype: torch.dtype | None = None,
    shard_bytes: int = SHARD_BYTES,
    progress: Progress | None = None,
) -> None:
    """Write safetensors, reading the tensors of one file at a time.

    Parameters
    ----------
    folder : Path
    entries : mapping of our names to entries
    dtype : torch.dtype, optional
        Of the written weights; as stored when absent.
    shard_bytes : int
        Size of the largest file, counted as stored in the source.
    progress : callable, optional
        Called with a file's name, bytes written so far and bytes in total.
    """
    files = shards(entries, shard_bytes)
    total = sum(entry.bytes for entry in entries.values())
    done = written = 0
    index: dict[str, str] = {}
    for number, keys in enumerate(files, start=1):
        file = (
            "model.safetensors"
            if len(files) == 1
            else f"model-{number:05d}-of-{len(files):05d}.safetensors"
        )
        tensors = {key: entries[key].read() for key in keys}
        # Copied, because tensors that share memory cannot be written.
        tensors = {
            key: tensor.to(dtype or tensor.dtype, copy=True).contiguous()
            for key, tensor in tensors.items()
        }
        save_file(tensors, folder / file, metadata={"format": "pt"})
        index |= dict.fromkeys(keys, file)
        done += sum(entries[key].bytes for key in keys)
        written += sum(tensor.nbytes for tensor in tensors.values())
        del tensors
        if progress is not None:
            progress(file, done, total)
    if len(files) > 1:
        content = {"metadata": {"total_size": written}, "weight_map": index}
        (folder / INDEX).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
