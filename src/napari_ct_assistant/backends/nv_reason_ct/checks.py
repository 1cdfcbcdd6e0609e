"""Checks of an NV-Reason-CT folder before anything of it is built.

No code of a folder is run: `config.json` of the published model names Python files in `auto_map`;
neither it nor the files are used. Importing this module brings torch only as `model.folder` does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from napari_ct_assistant.backends.nv_reason_ct.network.configuration import UNUSED
from napari_ct_assistant.backends.nv_reason_ct.provenance import IMAGE_PROCESSOR
from napari_ct_assistant.model.errors import ModelLoadError, listing
from napari_ct_assistant.model.folder import TensorHeader, check_hashes, weights_of
from napari_ct_assistant.model.settings import check_files, check_settings, read_json
from napari_ct_assistant.support.translation import said

# Published files (revision 386b93e034983f6c1fc841a43833a1b6a0cd9c13).
TEMPLATE_SHA256: Final = "a4aee8afcf2e0711942cf848899be66016f8d14a889ff9ede07bca099c28f715"
TOKENIZER_SHA256: Final = "06b9509352d2af50381ab2247e083b80d32d5c0aba91c272ca9ff729b6a0e523"
PUBLISHED_VOCABULARY: Final = 248_320


def check_folder(folder: Path, name: str) -> tuple[dict[str, Any], dict[str, TensorHeader]]:
    """Return the content of `config.json` and the header of each tensor that is used.

    Raises
    ------
    ModelLoadError
        One line: which model, what is wrong with it, what to do.
    """
    check_files(folder, name)
    config = read_json(folder / "config.json", name)
    check_settings(folder, name)
    needed = ("generation_config.json", "tokenizer.json", "tokenizer_config.json", IMAGE_PROCESSOR)
    missing = [file for file in needed if not (folder / file).is_file()]
    if missing:
        raise ModelLoadError(
            said(
                "{name}: {listing} missing from the folder; download the whole model again",
                name=name,
                listing=listing(missing),
            )
        )
    check_template(folder, name)
    headers = weights_of(folder, name)
    check_hashes(folder, name)
    used = {key: header for key, header in headers.items() if not key.startswith(UNUSED)}
    kinds = sorted({h.dtype for h in used.values()} - {"BF16", "F16", "F32"})
    if kinds:
        raise ModelLoadError(
            said(
                "{name}: its tensors are stored as {listing}; expected BF16, F16 or F32",
                name=name,
                listing=listing(kinds),
            )
        )
    return config, used


def check_template(folder: Path, name: str) -> None:
    """Refuse a folder whose chat template is not the published one; none is run.

    Raises
    ------
    ModelLoadError
        With the file that holds the template.
    """
    found: list[tuple[str, str]] = []
    file = folder / "chat_template.jinja"
    if file.is_file():
        if file.stat().st_size > 1 << 20:
            raise ModelLoadError(
                said("{name}: {name2} is larger than 1 MB; refused", name=name, name2=file.name)
            )
        found.append((file.name, file.read_text(encoding="utf-8", errors="replace")))
    settings = read_json(folder / "tokenizer_config.json", name)
    if settings.get("chat_template"):
        found.append(("tokenizer_config.json", str(settings["chat_template"])))
    for other in ("chat_template.json", "processor_config.json"):
        if (folder / other).is_file():
            template = read_json(folder / other, name).get("chat_template")
            if template:
                found.append((other, str(template)))
    more = folder / "additional_chat_templates"
    if more.exists():
        raise ModelLoadError(
            said(
                "{name}: {name2} holds other chat templates, which are never run; delete them",
                name=name,
                name2=more.name,
            )
        )
    for source, text in found:
        forms = {text, text.rstrip("\n"), text.rstrip("\n") + "\n"}
        if TEMPLATE_SHA256 not in {hashlib.sha256(one.encode()).hexdigest() for one in forms}:
            raise ModelLoadError(
                said(
                    "{name}: the chat template in {source} is not the published one (SHA-256 "
                    "{template_sha256}...), so prompts would differ from training; download "
                    "the model again",
                    name=name,
                    source=source,
                    template_sha256=TEMPLATE_SHA256[:12],
                )
            )


def check_vocabulary(folder: Path, rows: int, name: str) -> None:
    """Refuse the published vocabulary with another tokenizer than the published one.

    Raises
    ------
    ModelLoadError
        If the file differs.
    """
    if rows != PUBLISHED_VOCABULARY:
        return
    found = hashlib.sha256((folder / "tokenizer.json").read_bytes()).hexdigest()
    if found != TOKENIZER_SHA256:
        raise ModelLoadError(
            said(
                "{name}: tokenizer.json has SHA-256 {found}..., the published one "
                "{tokenizer_sha256}...; with other tokens the texts would be wrong, so "
                "download the file again",
                name=name,
                found=found[:12],
                tokenizer_sha256=TOKENIZER_SHA256[:12],
            )
        )


def left_aside(folder: Path, config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a line about code in a folder, which is neither read nor run; () without any."""
    files = sorted(file.name for file in folder.rglob("*.py"))
    stated = [f"{listing(files, 3)}"] if files else []
    if "auto_map" in config:
        stated.append("the auto_map in config.json")
    return (f"Left aside, not run: {' and '.join(stated)}.",) if stated else ()
