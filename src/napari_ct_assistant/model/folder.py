"""Checks of a model folder, made before anything in it is loaded (docs/model-folder.md).

They read names, sizes and headers. No tensor is built, and no code in a folder is run.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open

from napari_ct_assistant.model.configuration import VolumeLanguageConfig
from napari_ct_assistant.model.errors import ModelLoadError, listing
from napari_ct_assistant.model.format import FORMAT_VERSION, RENAMED_FILES, WEIGHTS, upgraded_tensor
from napari_ct_assistant.model.modeling import VolumeLanguageModel
from napari_ct_assistant.model.settings import check_files, check_settings, read_json
from napari_ct_assistant.support.loading_lock import LOADING_LOCK

HASHES: Final = "SHA256SUMS"
INDEX: Final = "model.safetensors.index.json"

SETTINGS_PATTERNS: Final = (
    "*.json",
    "*.jinja",
    "*.model",
    "*.txt",
    "ood.safetensors",
    RENAMED_FILES["ood.safetensors"],
    "image_processor_3d/*.json",
)
# Files about a model that nothing reads when it runs.
DESCRIPTIONS: Final = ("training.json", "training_data.json", "imported.json", INDEX)

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
                f"{name}: {file.name} asks to run its own code ({code}); a model's code is never "
                "run"
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
        raise ModelLoadError(f"{name}: {index.name} has no weight_map; copy the model again")
    shards: dict[str, list[str]] = {}
    for key, file in content.items():
        if not isinstance(file, str) or not re.fullmatch(r"\w[\w.-]*", file) or ".." in file:
            raise ModelLoadError(
                f"{name}: {index.name} names {str(file)!r}, which is not a plain file name; refused"
            )
        if not file.endswith(suffixes):
            raise ModelLoadError(
                f"{name}: {index.name} names {file!r}; expected a {' or '.join(suffixes)} file"
            )
        shards.setdefault(file, []).append(key)
    missing = [file for file in shards if not (index.parent / file).is_file()]
    if missing:
        raise ModelLoadError(
            f"{name}: {len(missing)} of {len(shards)} weight file(s) missing: {listing(missing)}; "
            "copy or download the model again"
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
            f"{name}: {file.name} is damaged ({reason}); copy the model again"
        ) from error
    odd = sorted({h.dtype for h in headers.values()} - set(DTYPES))
    if odd:
        raise ModelLoadError(
            f"{name}: {file.name} has tensors of type {listing(odd)}, which is not supported"
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
            f"{name}: both {INDEX} and model.safetensors are there; delete the one that does not "
            "belong to the model"
        )
    if (folder / INDEX).is_file():
        files: dict[Path, list[str] | None] = dict(
            indexed_files(folder / INDEX, name, (".safetensors",))
        )
    elif (folder / "model.safetensors").is_file():
        files = {folder / "model.safetensors": None}
    else:
        raise ModelLoadError(f"{name}: no safetensors weights in the folder; copy the model again")
    headers: dict[str, TensorHeader] = {}
    for file, promised in files.items():
        found = tensor_headers(file, name)
        if promised is not None and set(found) != set(promised):
            off = sorted(set(found) ^ set(promised))
            raise ModelLoadError(
                f"{name}: {file.name} and {INDEX} disagree about {len(off)} tensor(s): "
                f"{listing(off)}"
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
        raise ModelLoadError(f"{name}: {len(unknown)} unknown tensor(s): {listing(unknown)}")
    missing = sorted(set(expected) - set(found) - set(optional))
    if missing:
        raise ModelLoadError(f"{name}: {len(missing)} tensor(s) missing: {listing(missing)}")
    wrong = [
        f"{key} is {list(shape)}, expected {list(expected[key])}"
        for key, shape in found.items()
        if tuple(shape) != tuple(expected[key])
    ]
    if wrong:
        raise ModelLoadError(
            f"{name}: {len(wrong)} tensor(s) of the wrong shape: {listing(wrong, 4)}"
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
        raise ModelLoadError(f"{name}: no config.json in the folder{hint}")
    content = read_json(file, name)
    kind = content.get("model_type")
    if kind != VolumeLanguageConfig.model_type:
        raise ModelLoadError(
            f"{name}: config.json says model_type {kind!r}, expected "
            f"{VolumeLanguageConfig.model_type!r}; convert other models with `models import`"
        )
    version = content.get("format_version", 1)
    if not isinstance(version, int) or not 1 <= version <= FORMAT_VERSION:
        raise ModelLoadError(
            f"{name}: config.json says format_version {version!r}, this version of "
            f"napari-ct-assistant reads up to {FORMAT_VERSION}; update it"
        )
    if "transformers_weights" in content:
        raise ModelLoadError(
            f"{name}: config.json names other weights (transformers_weights "
            f"{str(content['transformers_weights'])[:80]!r}); weights are read from "
            "model.safetensors only"
        )
    refuse_code(folder, name)
    check_settings(folder, name)
    if (folder / "adapter_config.json").is_file():
        raise ModelLoadError(
            f"{name}: there is an adapter_config.json beside the weights; merge the adapter with "
            "`models import`"
        )
    headers = weights_of(folder, name)
    check_hashes(folder, name)
    return headers


def settings_files(folder: Path) -> list[Path]:
    """Return the files besides the weights that shape what a model writes, sorted by name.

    They are its configuration, generation settings, processor, tokenizer and
    out-of-distribution detector.
    """
    return sorted(
        file
        for pattern in SETTINGS_PATTERNS
        for file in folder.glob(pattern)
        if file.is_file() and file.name not in DESCRIPTIONS
    )


# ---- hashes, in the format of `sha256sum`


def sha256(file: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def settings_sha256(folder: Path) -> str:
    """Return the SHA-256 of what `sha256sum` prints for a folder's `settings_files`."""
    lines = [f"{sha256(file)}  {file.name}\n" for file in settings_files(folder)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def write_hashes(folder: Path) -> None:
    """Write the `SHA256SUMS` of a folder."""
    files = sorted(f for f in folder.iterdir() if f.is_file() and f.name != HASHES)
    with ThreadPoolExecutor(4) as pool:
        digests = list(pool.map(sha256, files))
    lines = [f"{digest}  {file.name}\n" for digest, file in zip(digests, files, strict=True)]
    (folder / HASHES).write_text("".join(lines), encoding="utf-8")


def check_hashes(folder: Path, name: str) -> None:
    """Compare a folder with its `SHA256SUMS`, if it has one.

    Raises
    ------
    ModelLoadError
        If a listed file is missing or changed, or a weight file is not listed.
    """
    if not (folder / HASHES).is_file():
        return
    wanted: dict[str, str] = {}
    for line in (folder / HASHES).read_text(encoding="utf-8", errors="replace").splitlines():
        found = re.fullmatch(r"([0-9a-f]{64}) [ *](\w[\w.-]*)", line)
        if found is None or ".." in found[2]:
            raise ModelLoadError(f"{name}: {HASHES} has a line that `sha256sum` would not write")
        wanted[found[2]] = found[1]
    unlisted = sorted({f.name for f in folder.glob(WEIGHTS)} - set(wanted))
    missing = sorted(file for file in wanted if not (folder / file).is_file())
    if unlisted or missing:
        raise ModelLoadError(
            f"{name}: {HASHES} and the folder disagree about {listing(unlisted or missing)}; "
            "copy the model again"
        )
    with ThreadPoolExecutor(4) as pool:
        digests = list(pool.map(lambda file: sha256(folder / file), wanted))
    changed = [
        file
        for (file, digest), found in zip(wanted.items(), digests, strict=True)
        if digest != found
    ]
    if changed:
        raise ModelLoadError(
            f"{name}: {listing(changed)} changed since {HASHES} was written; copy the model again "
            f"(or delete {HASHES} if the change is yours)"
        )
