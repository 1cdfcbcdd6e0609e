"""A released folder: its configuration, tensors, tokenizer and origin."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoTokenizer

from napari_ct_assistant.model.conversion import key_maps, lora_merge
from napari_ct_assistant.model.conversion.tensors import Entry, read_entries
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.model.folder import refuse_code
from napari_ct_assistant.model.format import upgraded_tensor
from napari_ct_assistant.model.settings import read_json
from napari_ct_assistant.model.vision_configuration import VisionConfig3D

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
)


@dataclass(frozen=True)
class Source:
    """A released folder or weight file.

    Attributes
    ----------
    path : Path
        The folder, or the weight file.
    config : dict
        Content of `config.json`; empty without one.
    layout : str or None
        Whose names the tensors have: a key of `key_maps.SKIPPED`.
    plain : dict of name to entry
        Whole tensors, without PEFT's prefixes.
    factors : dict of weight name to {"A": entry, "B": entry}
        Low-rank adapters.
    """

    path: Path
    config: dict[str, Any]
    layout: str | None
    plain: dict[str, Entry]
    factors: dict[str, dict[str, Entry]]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the whole tensors."""
        return {key: entry.shape for key, entry in self.plain.items()}

    @property
    def folder(self) -> Path:
        """The folder, or the one that the weight file is in."""
        return self.path if self.path.is_dir() else self.path.parent


def open_source(path: Path, name: str, *, ignore_code: bool = False) -> Source:
    """Read a released folder's settings and headers, but no weights.

    Raises
    ------
    ModelLoadError
        If there are no weights, or the settings ask to run code and `ignore_code` is not set.
    """
    if not path.exists():
        raise ModelLoadError(f"{name}: no such folder; give a released model's folder")
    folder = path if path.is_dir() else path.parent
    config_file = folder / "config.json"
    config = read_json(config_file, name) if path.is_dir() and config_file.is_file() else {}
    if not ignore_code:
        try:
            refuse_code(folder, name)
        except ModelLoadError as error:
            raise ModelLoadError(
                f"{error}; use --ignore-remote-code to read the weights without running it"
            ) from None
    entries = read_entries(path, name)
    plain, factors = lora_merge.split_lora(entries)
    return Source(path, config, key_maps.layout_of(plain), plain, factors)


def to_ours(source: Source, vision: VisionConfig3D) -> tuple[dict[str, Entry], list[str]]:
    """Return a source's whole tensors under our names, and the names of skipped ones."""
    if not source.plain:
        return {}, []
    if source.layout == "ours":
        return {upgraded_tensor(key): entry for key, entry in source.plain.items()}, []
    if source.layout is None:
        key_maps.map_keys(source.plain, key_maps.M3D_LAMED)  # raises, with the unknown names
        return {}, []
    mapped, skipped = key_maps.map_keys(
        source.plain, key_maps.MAPS[source.layout], key_maps.SKIPPED[source.layout]
    )
    ours = {target: source.plain[key] for key, target in mapped.items()}
    for key, entry in ours.items():
        if key.endswith(key_maps.PATCH_WEIGHT):
            reshape = partial(
                key_maps.patch_to_ours, channels=vision.in_channels, patch=vision.patch_size
            )
            shape = tuple(reshape(torch.empty(entry.shape, device="meta")).shape)
            ours[key] = replace(entry, shape=shape, read=partial(_reshaped, entry, reshape))
    return ours, skipped


def _reshaped(entry: Entry, reshape: Callable[[Tensor], Tensor]) -> Tensor:
    return reshape(entry.read())


def our_name(key: str) -> str:
    """Return our name of a weight that an adapter changes, given M3D's name or ours."""
    return key_maps.map_key(key, key_maps.M3D_LAMED) or upgraded_tensor(key)


def load_tokenizer(folder: Path, name: str) -> Any:
    """Load a released tokenizer from its files only: without code, and without `config.json`.

    Raises
    ------
    ModelLoadError
        If it cannot be read, or has only a `tokenizer.model` and SentencePiece is not installed.
    """
    if (folder / "tokenizer.model").is_file() and not (folder / "tokenizer.json").is_file():
        lacking = [lib for lib in ("sentencepiece", "google.protobuf") if not is_installed(lib)]
        if lacking:
            raise ModelLoadError(
                f"its tokenizer.model needs {' and '.join(lacking)}: "
                'pip install "napari-ct-assistant[import]"'
            )
    with tempfile.TemporaryDirectory() as clean:
        for file in TOKENIZER_FILES:
            if (folder / file).is_file():
                shutil.copy(folder / file, clean)
        settings = Path(clean) / "tokenizer_config.json"
        if settings.is_file():
            content = read_json(settings, name)
            content.pop("auto_map", None)
            settings.write_text(json.dumps(content), encoding="utf-8")
        try:
            return AutoTokenizer.from_pretrained(
                clean, local_files_only=True, trust_remote_code=False
            )
        except (OSError, ValueError, TypeError, KeyError, ImportError, AttributeError) as error:
            reason = " ".join(str(error).replace(clean, folder.name).split())[:200]
            raise ModelLoadError(f"its tokenizer cannot be read: {reason}") from error


def is_installed(module: str) -> bool:
    """Return whether a library can be imported, without importing it."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the package around it is missing
        return False


def origin(folder: Path) -> dict[str, str | None]:
    """Return a folder's name; for a download, the repository and its revision."""
    folder = folder.resolve()
    commit = folder.name if re.fullmatch(r"[0-9a-f]{40}", folder.name) else None
    if commit and folder.parent.name == "snapshots":
        repo = folder.parents[1].name.removeprefix("models--").replace("--", "/")
        return {"name": repo, "revision": commit}
    return {"name": folder.name, "revision": None}
