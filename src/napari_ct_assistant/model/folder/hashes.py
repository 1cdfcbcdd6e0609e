"""The files of a model folder and their hashes, in the format of `sha256sum`."""

from __future__ import annotations

import hashlib
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from napari_ct_assistant.model.errors import ModelLoadError, listing
from napari_ct_assistant.model.format import RENAMED_FILES, WEIGHTS
from napari_ct_assistant.support.translation import said

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
            raise ModelLoadError(
                said(
                    "{name}: {hashes} has a line that `sha256sum` would not write",
                    name=name,
                    hashes=HASHES,
                )
            )
        wanted[found[2]] = found[1]
    unlisted = sorted({f.name for f in folder.glob(WEIGHTS)} - set(wanted))
    missing = sorted(file for file in wanted if not (folder / file).is_file())
    if unlisted or missing:
        raise ModelLoadError(
            said(
                "{name}: {hashes} and the folder disagree about {listing}; copy the model again",
                name=name,
                hashes=HASHES,
                listing=listing(unlisted or missing),
            )
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
            said(
                "{name}: {listing} changed since {hashes} was written; copy the model again "
                "(or delete {hashes} if the change is yours)",
                name=name,
                listing=listing(changed),
                hashes=HASHES,
            )
        )
