"""Checks of a model folder, made before anything in it is loaded (docs/model-folder.md).

They read names, sizes and headers. No tensor is built, and no code in a folder is run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open

from napari_ct_assistant.model.configuration import VolumeLanguageConfig
from napari_ct_assistant.model.errors import ModelLoadError, listing
from napari_ct_assistant.model.folder.hashes import INDEX, check_hashes
from napari_ct_assistant.model.format import FORMAT_VERSION, upgraded_tensor
from napari_ct_assistant.model.modeling import VolumeLanguageModel
from napari_ct_assistant.model.settings import check_files, check_settings, read_json
from napari_ct_assistant.support.loading_lock import LOADING_LOCK
from napari_ct_assistant.support.translation import said

# The files from which transformers reads settings.
SETTINGS: Final = (
    "config.json",
    "generation_config.json",
    "processor_config.json",
    "preprocessor_config.json",
    "tokenizer_config.json",
    "adapter_config.json",
)

# Implementations of attention and of experts that come with torch and transformers.
IMPLEMENTATIONS: Final = ("eager", "sdpa", "flex_attention", "batched_mm", "grouped_mm")

# The names that safetensors gives to types.
DTYPES: Final[dict[str, torch.dtype]] = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


@dataclass(frozen=True)
class TensorHeader:
    """The entry of one tensor in a safetensors header. `dtype` is a key of `DTYPES`."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def elements(self) -> int:
        """Number of values."""
        return torch.Size(self.shape).numel()


def requested_code(settings: Any) -> str | None:
    """Return the code that settings ask to run, None without any.

    `auto_map` names Python files or repositories. transformers takes an attention implementation
    that it does not have, or whose package is missing, from a hub repository of compiled code.
    """
    if isinstance(settings, Mapping):
        for key, value in settings.items():
            if key in {"auto_map", "custom_pipelines", "use_kernels", "kernel_config"} and value:
                names = value.values() if isinstance(value, Mapping) else [value]
                return f"{key} {listing(sorted({str(n)[:80] for n in names}), 3)}"
            if str(key).strip("_").startswith(("attn_implementation", "experts_implementation")):
                names = list(value.values()) if isinstance(value, Mapping) else [value]
                names = [n for n in names if n is not None and not isinstance(n, bool)]
                other = [str(n) for n in names if n not in IMPLEMENTATIONS]
                if other:
                    return f"{key} {other[0][:80]}"
            found = requested_code(value)
            if found:
                return found
    elif isinstance(settings, list):
        return next(filter(None, map(requested_code, settings)), None)
    return None


def refuse_code(folder: Path, name: str) -> None:
    """Refuse a folder whose settings ask to run code.

    Raises
    ------
    ModelLoadError
        With the file and the code that it asks for.
    """
    for file in (folder / settings for settings in SETTINGS):
        code = requested_code(read_json(file, name)) if file.is_file() else None
        if code:
            raise ModelLoadError(
                said(
                    "{name}: {name2} asks to run its own code ({code}); a model's code is "
                    "never run",
                    name=name,
                    name2=file.name,
                    code=code,
                )
            )


def indexed_files(index: Path, name: str, suffixes: tuple[str, ...]) -> dict[Path, list[str]]:
    """Return the shards that an index names, in order, each with the names of its tensors.

    Raises
    ------
    ModelLoadError
        If a name leads out of the folder or has another suffix, or its file is missing.
    """
    content = read_json(index, name).get("weight_map")
    if not isinstance(content, dict) or not content:
        raise ModelLoadError(
            said(
                "{name}: {name2} has no weight_map; copy the model again",
                name=name,
                name2=index.name,
            )
        )
    shards: dict[str, list[str]] = {}
    for key, file in content.items():
        if not isinstance(file, str) or not re.fullmatch(r"\w[\w.-]*", file) or ".." in file:
            raise ModelLoadError(
                said(
                    "{name}: {name2} names {file}, which is not a plain file name; refused",
                    name=name,
                    name2=index.name,
                    file=repr(str(file)),
                )
            )
        if not file.endswith(suffixes):
            raise ModelLoadError(
                said(
                    "{name}: {name2} names {file}; expected a {list} file",
                    name=name,
                    name2=index.name,
                    file=repr(file),
                    list=" or ".join(suffixes),
                )
            )
        shards.setdefault(file, []).append(key)
    missing = [file for file in shards if not (index.parent / file).is_file()]
    if missing:
        raise ModelLoadError(
            said(
                "{name}: {count} of {count2} weight file(s) missing: {listing}; copy or "
                "download the model again",
                name=name,
                count=len(missing),
                count2=len(shards),
                listing=listing(missing),
            )
        )
    return {index.parent / file: shards[file] for file in sorted(shards)}


def tensor_headers(file: Path, name: str) -> dict[str, TensorHeader]:
    """Return the header of each tensor in a safetensors file.

    Raises
    ------
    ModelLoadError
        If it is not a safetensors file, is cut short, or has tensors of an unknown type.
    """
    headers: dict[str, TensorHeader] = {}
    try:
        with safe_open(file, framework="pt") as stream:
            for key in stream.keys():  # noqa: SIM118  not a mapping
                view = stream.get_slice(key)
                headers[key] = TensorHeader(tuple(view.get_shape()), str(view.get_dtype()))
    except (SafetensorError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:120]
        raise ModelLoadError(
            said(
                "{name}: {name2} is damaged ({reason}); copy the model again",
                name=name,
                name2=file.name,
                reason=reason,
            )
        ) from error
    odd = sorted({h.dtype for h in headers.values()} - set(DTYPES))
    if odd:
        raise ModelLoadError(
            said(
                "{name}: {name2} has tensors of type {listing}, which is not supported",
                name=name,
                name2=file.name,
                listing=listing(odd),
            )
        )
    return headers


def weights_of(folder: Path, name: str) -> dict[str, TensorHeader]:
    """Return the header of every tensor in a model folder, under today's tensor names.

    Raises
    ------
    ModelLoadError
        If weights are missing, damaged, or not those that the index lists.
    """
    if (folder / INDEX).exists() and (folder / "model.safetensors").exists():
        # transformers would load the second, whatever the index lists.
        raise ModelLoadError(
            said(
                "{name}: both {index} and model.safetensors are there; delete the one that "
                "does not belong to the model",
                name=name,
                index=INDEX,
            )
        )
    if (folder / INDEX).is_file():
        files: dict[Path, list[str] | None] = dict(
            indexed_files(folder / INDEX, name, (".safetensors",))
        )
    elif (folder / "model.safetensors").is_file():
        files = {folder / "model.safetensors": None}
    else:
        raise ModelLoadError(
            said("{name}: no safetensors weights in the folder; copy the model again", name=name)
        )
    headers: dict[str, TensorHeader] = {}
    for file, promised in files.items():
        found = tensor_headers(file, name)
        if promised is not None and set(found) != set(promised):
            off = sorted(set(found) ^ set(promised))
            raise ModelLoadError(
                said(
                    "{name}: {name2} and {index} disagree about {count} tensor(s): {listing}",
                    name=name,
                    name2=file.name,
                    index=INDEX,
                    count=len(off),
                    listing=listing(off),
                )
            )
        headers |= {upgraded_tensor(key): header for key, header in found.items()}
    return headers


def check_tensors(
    shapes: Mapping[str, tuple[int, ...]], config: VolumeLanguageConfig, name: str
) -> None:
    """Compare the tensors of a checkpoint with those that its configuration describes.

    Raises
    ------
    ModelLoadError
        With the tensors that are unknown, missing or of the wrong shape.
    """
    expected, optional = expected_tensors(config)
    compare(shapes, expected, name, optional)


def expected_tensors(config: VolumeLanguageConfig) -> tuple[dict[str, tuple[int, ...]], set[str]]:
    """Return the shapes of a model's tensors, and the names of tied ones, which may be absent."""
    with LOADING_LOCK, torch.device("meta"):
        model = VolumeLanguageModel(config)
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    return shapes, set(model.all_tied_weights_keys)


def compare(
    found: Mapping[str, tuple[int, ...]],
    expected: Mapping[str, tuple[int, ...]],
    name: str,
    optional: Iterable[str] = (),
) -> None:
    """Compare names and shapes; `check_tensors` says what is raised."""
    unknown = sorted(set(found) - set(expected))
    if unknown:
        raise ModelLoadError(
            said(
                "{name}: {count} unknown tensor(s): {listing}",
                name=name,
                count=len(unknown),
                listing=listing(unknown),
            )
        )
    missing = sorted(set(expected) - set(found) - set(optional))
    if missing:
        raise ModelLoadError(
            said(
                "{name}: {count} tensor(s) missing: {listing}",
                name=name,
                count=len(missing),
                listing=listing(missing),
            )
        )
    wrong = [
        f"{key} is {list(shape)}, expected {list(expected[key])}"
        for key, shape in found.items()
        if tuple(shape) != tuple(expected[key])
    ]
    if wrong:
        raise ModelLoadError(
            said(
                "{name}: {count} tensor(s) of the wrong shape: {listing}",
                name=name,
                count=len(wrong),
                listing=listing(wrong, 4),
            )
        )


def check_folder(folder: Path, name: str) -> dict[str, TensorHeader]:
    """Check a model folder before anything in it is loaded.

    Returns
    -------
    The header of each tensor, under today's names. `check_tensors` compares them with the
    configuration.

    Raises
    ------
    ModelLoadError
        One line: which model, what is wrong with it, what to do.
    """
    check_files(folder, name)
    file = folder / "config.json"
    if not file.is_file():
        hint = (
            "; it is an adapter, merge it with `models import`"
            if (folder / "adapter_config.json").is_file()
            else "; give a model's folder"
        )
        raise ModelLoadError(
            said("{name}: no config.json in the folder{hint}", name=name, hint=hint)
        )
    content = read_json(file, name)
    kind = content.get("model_type")
    if kind != VolumeLanguageConfig.model_type:
        raise ModelLoadError(
            said(
                "{name}: config.json says model_type {kind}, expected {model_type}; convert "
                "other models with `models import`",
                name=name,
                kind=repr(kind),
                model_type=repr(VolumeLanguageConfig.model_type),
            )
        )
    version = content.get("format_version", 1)
    if not isinstance(version, int) or not 1 <= version <= FORMAT_VERSION:
        raise ModelLoadError(
            said(
                "{name}: config.json says format_version {version}, this version of "
                "napari-ct-assistant reads up to {format_version}; update it",
                name=name,
                version=repr(version),
                format_version=FORMAT_VERSION,
            )
        )
    if "transformers_weights" in content:
        raise ModelLoadError(
            said(
                "{name}: config.json names other weights (transformers_weights {value}); "
                "weights are read from model.safetensors only",
                name=name,
                value=repr(str(content["transformers_weights"])[:80]),
            )
        )
    refuse_code(folder, name)
    check_settings(folder, name)
    if (folder / "adapter_config.json").is_file():
        raise ModelLoadError(
            said(
                "{name}: there is an adapter_config.json beside the weights; merge the adapter "
                "with `models import`",
                name=name,
            )
        )
    headers = weights_of(folder, name)
    check_hashes(folder, name)
    return headers
