"""The tensors of a released folder, seen without being read: names, shapes, and how to read one.

Files are safetensors, or pickles as PyTorch writes them, which only `torch.load` with
`weights_only=True` opens, and only here: it builds tensors and runs nothing.
"""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from napari_ct_assistant.model.errors import ModelLoadError, listing
from napari_ct_assistant.model.folder import DTYPES, indexed_files, tensor_headers

# In the order in which they are looked for; an index names the shards beside it.
INDICES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
SINGLE = (
    "model.safetensors",
    "pytorch_model.bin",
    "model_with_lora.bin",
    "pretrained_ViT.bin",
)
ADAPTERS = ("adapter_model.safetensors", "adapter_model.bin")


@dataclass(frozen=True)
class Entry:
    """One tensor of a checkpoint: its shape, its type, and a function that reads it."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    read: Callable[[], Tensor]

    @property
    def bytes(self) -> int:
        """Bytes that it takes."""
        return torch.Size(self.shape).numel() * self.dtype.itemsize


def weight_files(source: Path, name: str) -> dict[Path, set[str] | None]:
    """Return the weight files of a released folder (or the one file), in order.

    Each comes with the tensors that an index promises in it, None without an index.

    Raises
    ------
    ModelLoadError
        If there are none, one is missing, or an index leads out of the folder.
    """
    if source.is_file():
        return {source: None}
    # An adapter may lie beside the weights (our encoder and perceiver, LoRA for the LLM).
    beside: dict[Path, set[str] | None] = {
        source / adapter: None for adapter in ADAPTERS if (source / adapter).is_file()
    }
    if len(beside) > 1:  # the same adapter in two formats
        beside.popitem()
    for index in INDICES:
        if (source / index).is_file():
            found = indexed_files(source / index, name, (".safetensors", ".bin"))
            return {file: set(keys) for file, keys in found.items()} | beside
    for single in SINGLE:
        if (source / single).is_file():
            return {source / single: None} | beside
    if beside:
        return beside
    raise ModelLoadError(
        f"{name}: no weights in it; expected one of {', '.join((*INDICES, *SINGLE, *ADAPTERS))}"
    )


def read_entries(source: Path, name: str) -> dict[str, Entry]:
    """Return every tensor of a released folder, in the order of its files.

    Raises
    ------
    ModelLoadError
        If a file is missing, broken, no checkpoint, or holds other tensors than its index says.
    """
    entries: dict[str, Entry] = {}
    for file, promised in weight_files(source, name).items():
        found = _safetensors(file, name) if file.suffix == ".safetensors" else _pickled(file, name)
        if promised is not None and set(found) != promised:
            off = sorted(promised ^ set(found))
            raise ModelLoadError(
                f"{name}: {file.name} and the index disagree about {len(off)} tensor(s): "
                f"{listing(off)}"
            )
        twice = sorted(set(found) & set(entries))
        if twice:
            raise ModelLoadError(f"{name}: in two files: {listing(twice)}")
        entries |= found
    return entries


def _safetensors(file: Path, name: str) -> dict[str, Entry]:
    return {
        key: Entry(header.shape, DTYPES[header.dtype], partial(_read_safetensor, file, key))
        for key, header in tensor_headers(file, name).items()
    }


def _read_safetensor(file: Path, key: str) -> Tensor:
    with safe_open(file, framework="pt") as stream:
        tensor: Tensor = stream.get_tensor(key)
    return tensor


def _pickled(file: Path, name: str) -> dict[str, Entry]:
    state = _load_pickled(file, name)
    return {
        key: Entry(tuple(tensor.shape), tensor.dtype, partial(_read_pickled, file, name, key))
        for key, tensor in state.items()
    }


def _read_pickled(file: Path, name: str, key: str) -> Tensor:
    return _load_pickled(file, name)[key]


@lru_cache(maxsize=1)
def _load_pickled(file: Path, name: str) -> dict[str, Tensor]:
    """Open a .bin file; where its format lets them, tensors stay on disk until they are used."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickles of other protocols
            state = torch.load(
                file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file) or None
            )
    except Exception as error:
        # A file made to do harm can raise anything; torch's own text advises to load it unsafely.
        raise ModelLoadError(
            f"{name}: {file.name} is refused: it is damaged or holds more than tensors, whose code "
            "is not run"
        ) from error
    if not isinstance(state, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in state.items()
    ):
        raise ModelLoadError(f"{name}: {file.name} is refused: it holds more than named tensors")
    return state


def forget() -> None:
    """Close the file that was read last."""
    _load_pickled.cache_clear()
