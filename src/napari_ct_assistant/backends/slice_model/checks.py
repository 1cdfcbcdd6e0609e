"""Checks of a slice model's folder before anything of it is built. No code of a folder is run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from napari_ct_assistant.backends.slice_model.sizes import (
    GEMMA3,
    SIDE,
    image_settings,
    slice_tokens,
)
from napari_ct_assistant.model.errors import ModelLoadError, listing
from napari_ct_assistant.model.folder import (
    TensorHeader,
    check_hashes,
    refuse_code,
    weights_of,
)
from napari_ct_assistant.model.settings import check_files, check_settings, read_json
from napari_ct_assistant.support.translation import said

MOST_TOKENS: Final = 20_000  # of one slice
MOST_PIXELS: Final = 4096**2
TEMPLATE_BYTES: Final = 1 << 20
_TEMPLATES: Final = ("chat_template.json", "processor_config.json", "tokenizer_config.json")


def check_folder(folder: Path, name: str) -> tuple[dict[str, Any], dict[str, TensorHeader]]:
    """Return the content of `config.json` and the header of each tensor.

    Raises
    ------
    ModelLoadError
        One line: which model, what is wrong with it, what to do.
    """
    check_files(folder, name)
    config = read_json(folder / "config.json", name)
    refuse_code(folder, name)
    check_settings(folder, name)
    for part in ("text_config", "vision_config"):
        if not isinstance(config.get(part), Mapping):
            raise ModelLoadError(
                said(
                    "{name}: config.json has no {part}; give an image-text model's whole folder",
                    name=name,
                    part=part,
                )
            )
    for choice in (
        ("tokenizer.json", "tokenizer.model", "vocab.json"),
        ("preprocessor_config.json", "processor_config.json"),
    ):
        if not any((folder / file).is_file() for file in choice):
            raise ModelLoadError(
                said(
                    "{name}: no {list} in the folder; download the whole model again",
                    name=name,
                    list=" or ".join(choice),
                )
            )
    _check_image_settings(folder, config, name)
    headers = weights_of(folder, name)
    check_hashes(folder, name)
    kinds = sorted({h.dtype for h in headers.values()} - {"BF16", "F16", "F32"})
    if kinds:
        raise ModelLoadError(
            said(
                "{name}: its tensors are stored as {listing}; expected BF16, F16 or F32 (8 or "
                "4 bits are chosen when it is loaded)",
                name=name,
                listing=listing(kinds),
            )
        )
    return config, headers


def _check_image_settings(folder: Path, config: Mapping[str, Any], name: str) -> None:
    settings = image_settings(folder)
    if not settings:
        raise ModelLoadError(
            said(
                "{name}: no image processor in preprocessor_config.json or "
                "processor_config.json; download the whole model again",
                name=name,
            )
        )
    try:
        size = settings.get("size") or {}
        pixels = int(size.get("height") or 1) * int(size.get("width") or 1)
        tokens = slice_tokens(config, settings, SIDE, SIDE)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError, AttributeError) as error:
        raise ModelLoadError(
            said(
                "{name}: the sizes of its image processor cannot be used ({error}); download "
                "the model again",
                name=name,
                error=error,
            )
        ) from error
    if tokens > MOST_TOKENS or (config.get("model_type") == GEMMA3 and pixels > MOST_PIXELS):
        raise ModelLoadError(
            said(
                "{name}: its image processor makes {tokens} tokens and {pixels} pixels of one "
                "slice; refused",
                name=name,
                tokens=f"{tokens:,}",
                pixels=f"{pixels:,}",
            )
        )


def chat_template(folder: Path, name: str) -> str | None:
    """Return a folder's chat template; None without any."""
    file = folder / "chat_template.jinja"
    if file.is_file():
        if file.stat().st_size > TEMPLATE_BYTES:
            raise ModelLoadError(
                said("{name}: {name2} is larger than 1 MB; refused", name=name, name2=file.name)
            )
        return file.read_text(encoding="utf-8", errors="replace")
    for other in _TEMPLATES:
        if (folder / other).is_file():
            found = read_json(folder / other, name).get("chat_template")
            if isinstance(found, str):
                return found
    return None
