"""List the tensors of a released folder without reading them: names, shapes, and how to read one.

Files are safetensors, or PyTorch's pickles. Pickles are opened only here, and only by `torch.load`
with `weights_only=True`, which builds tensors and runs no code.
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

# In the order of precedence. An index names the shards beside it.
INDICES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
SINGLE = (
    "model.safetensors",
    "pytorch_model.bin",
    "model_with_lora.bin",
    "pretrained_ViT.bin",
)
ADAPTERS = ("adapter_model.safetensors", "adapter_model.bin")
# Under which a checkpoint holds its tensors, beside other things.
WRAPPERS = ("state_dict", "model")


@dataclass(frozen=True)
class Entry:
    """One tensor of a checkpoint: its shape, its type, and a function that reads it."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    read: Callable[[], Tensor]

    @property
    def bytes(self) -> int:
        """Its size in bytes."""
        return torch.Size(self.shape).numel() * self.dtype.itemsize


def weight_files(source: Path, name: str) -> dict[Path, set[str] | None]:
    """Return the weight files of a released folder, in order, or the given file.

    With each come the names of the tensors that an index lists for it, or None without an index.

    Raises
    ------
    ModelLoadError
        If there are none, one is missing, or an index leads out of the folder.
    """
    if source.is_file():
        return {source: None}
    # There may be an adapter beside the weights (encoder and perceiver; LoRA for the LLM).
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
        If a file is missing, damaged, not a checkpoint, or does not hold what its index lists.
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
            raise ModelLoadError(
                f"{name}: {len(twice)} tensor(s) stored in two files: {listing(twice)}"
            )
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
    """Open a .bin file; if its format allows, tensors stay on disk until they are used."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols
            state = torch.load(
                file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file) or None
            )
    except Exception as error:
        # A malicious file can raise anything, and torch's message advises loading it unsafely.
        raise ModelLoadError(
            f"{name}: {file.name} is refused: it is damaged, or holds more than tensors; its code "
            "was not run"
        ) from error
    if isinstance(state, dict):
        # Saved with a record of the training beside the tensors.
        inner = next((state[key] for key in WRAPPERS if isinstance(state.get(key), dict)), None)
        state = state if inner is None else inner
    if not isinstance(state, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in state.items()
    ):
        raise ModelLoadError(f"{name}: {file.name} is refused: it holds more than named tensors")
    return state


def forget() -> None:
    """Close the .bin file that was read last."""
    _load_pickled.cache_clear()
