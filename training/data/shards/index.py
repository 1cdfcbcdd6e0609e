"""The files of a folder of shards, and where in them each volume lies.

A shard is a plain tar file in WebDataset's layout: for each volume `KEY.b2nd`, its blosc2 file as
the store has it, and `KEY.json`. Beside `00000.tar` stands `00000.jsonl` with a line for each
volume: the place of its bytes and their digest. It is written after its shard, so a shard without
one is incomplete. `index.json` lists the complete shards, because a server does not list a folder.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from napari_ct_assistant.support import atomic
from napari_ct_assistant.training.config.errors import RecipeError

INDEX = "index.json"
FORMAT = "napari-ct-assistant shards 1"
_NAME = re.compile(r"(?:\d+of\d+-)?\d{5,}\.tar")
_KEY = re.compile(r"[0-9a-f]{32}")


class ShardError(RecipeError):
    """A shard that cannot be read: one line with its name and what to do."""


class Member(NamedTuple):
    """A volume in a shard.

    shard: the tar file's name; start, size: its bytes in that file; sha256: their digest; scan,
    content: digests of the voxels before and after preparation; warnings: of reading the scan.
    """

    shard: str
    start: int
    size: int
    sha256: str
    scan: str
    content: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class ShardEntry:
    """A shard as `index.json` lists it: its name, bytes, volumes, and the digest of its lines."""

    name: str
    bytes: int
    volumes: int
    lines_sha256: str

    @property
    def lines(self) -> str:
        """The name of the file with a line for each volume."""
        return lines_name(self.name)


def lines_name(shard: str) -> str:
    """Return the name of the file that lists a shard's volumes."""
    return f"{shard.removesuffix('.tar')}.jsonl"


def write_lines(folder: Path, shard: str, members: dict[str, Member]) -> None:
    """Write the list of a shard's volumes; from then on the shard is complete."""
    rows = ({"key": key, **m._asdict()} for key, m in members.items())
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    atomic.write_text(folder / lines_name(shard), text)


def parse_lines(content: bytes, entry: ShardEntry, place: str) -> dict[str, Member]:
    """Return {key: Member} of a shard's list.

    Raises
    ------
    ShardError
        If it is damaged or is the list of other volumes than `index.json` says.
    """
    if hashlib.sha256(content).hexdigest() != entry.lines_sha256:
        raise ShardError(
            f"{place}/{entry.lines}: damaged, or not the one that {INDEX} lists; copy the folder "
            "of shards again"
        )
    found = {}
    for line in content.splitlines():
        row: dict[str, Any] = json.loads(line)
        key = row.pop("key")
        if not _KEY.fullmatch(key) or row["shard"] != entry.name:
            raise ShardError(f"{place}/{entry.lines}: lists {key!r}, which is no volume of it")
        found[key] = Member(**{**row, "shard": entry.name, "warnings": tuple(row["warnings"])})
    return found


def complete_shards(folder: Path) -> list[ShardEntry]:
    """Return the complete shards of a folder, in the order of their names."""
    found = []
    for lines in sorted(folder.glob("*.jsonl")):
        shard = lines.with_suffix(".tar")
        if _NAME.fullmatch(shard.name) and shard.exists():
            content = lines.read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            count = content.count(b"\n")
            found.append(ShardEntry(shard.name, shard.stat().st_size, count, digest))
    return found


def write_index(folder: Path) -> list[ShardEntry]:
    """Write `index.json` from the complete shards, and return them.

    Several machines may do so at once: each looks again after it has written, so the last one
    lists the shards of all.
    """
    while True:
        shards = complete_shards(folder)
        content = {"format": FORMAT, "shards": [asdict(shard) for shard in shards]}
        atomic.write_text(folder / INDEX, json.dumps(content, indent=1) + "\n")
        if complete_shards(folder) == shards:
            return shards


def parse_index(content: bytes, place: str) -> list[ShardEntry]:
    """Return the shards that an `index.json` lists.

    Raises
    ------
    ShardError
        If it is not one, or names a file outside its folder.
    """
    try:
        found = json.loads(content)
        if found["format"] != FORMAT:
            raise ShardError(
                f"{place}/{INDEX}: format {found['format']!r}, expected {FORMAT!r}; write the "
                "shards with this version's ct-assistant prepare --shards"
            )
        shards = [ShardEntry(**row) for row in found["shards"]]
    except (ValueError, KeyError, TypeError):
        raise ShardError(
            f"{place}/{INDEX}: damaged, or no index of shards; ct-assistant prepare --shards "
            "writes it"
        ) from None
    if wrong := next((s.name for s in shards if not _NAME.fullmatch(s.name)), None):
        raise ShardError(f"{place}/{INDEX}: {wrong!r} is no name of a shard")
    return shards
