"""Read volumes from shards by their keys, each checked against its digest."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from napari_ct_assistant.support import atomic
from napari_ct_assistant.training.data.shards.index import (
    INDEX,
    Member,
    ShardEntry,
    ShardError,
    parse_index,
    parse_lines,
)
from napari_ct_assistant.training.data.shards.places import FolderPlace, Place

_CONNECTIONS = 8


class Shards:
    """Volumes in shards.

    Parameters
    ----------
    place : Place
    folder : Path
        For copies of a server's index, and of volumes.
    cache : int
        Bytes of volumes to keep in `copies`. Which ones is decided by their keys and not by use:
        each pass reads every volume once, so what was used last is what is needed last. With a
        share of the volumes kept, this share of the reads is local in each pass.
    copies : Path, optional
        Folder for these volumes, on a disk of this machine.
    named : bool
        Whether the recipe names the place; if it does, shards must be there.
    """

    def __init__(
        self,
        place: Place,
        folder: Path,
        *,
        cache: int = 0,
        copies: Path | None = None,
        named: bool = False,
    ):
        self.place = place
        self.cache = cache
        self.named = named
        mark = hashlib.sha256(place.shown.encode()).hexdigest()[:12]
        self._lines = folder / "shard-index" / mark
        self._copies = (copies or folder / "shard-cache") / mark
        self.members: dict[str, Member] = {}
        self.entries: dict[str, ShardEntry] = {}
        # {key: why it cannot be read}; such a volume counts as missing.
        self.lost: dict[str, str] = {}
        self._kept_below = ""

    @property
    def is_folder(self) -> bool:
        """Whether the shards are in a folder, where they can be written."""
        return isinstance(self.place, FolderPlace)

    def load(self, keys: Iterable[str]) -> None:
        """Read the index, and keep what it says about some volumes.

        Raises
        ------
        ShardError
            If it cannot be read, or is not there although the recipe names it.
        """
        self.entries = {entry.name: entry for entry in self._index()}
        wanted = frozenset(keys)
        self.members = {}
        with ThreadPoolExecutor(_CONNECTIONS) as pool:
            for found in pool.map(self._members_of, self.entries.values()):
                self.members |= {key: m for key, m in found.items() if key in wanted}
        self._choose_copies()

    def check_sizes(self) -> None:
        """Find shards that are missing or too short; their volumes count as lost.

        Of several processes of a run, the first asks a server, and the others read what it found.
        """
        names = sorted({member.shard for member in self.members.values()})
        file = self._lines / "sizes.json"
        if not self.is_folder and int(os.environ.get("RANK", "0")):
            sizes = json.loads(file.read_text(encoding="utf-8"))
        else:
            with ThreadPoolExecutor(_CONNECTIONS) as pool:
                sizes = dict(zip(names, pool.map(self.place.size, names), strict=True))
            if not self.is_folder:
                file.parent.mkdir(parents=True, exist_ok=True)
                atomic.write_text(file, json.dumps(sizes))
        for key, member in self.members.items():
            size = sizes.get(member.shard)
            if size is None:
                self.lost[key] = f"{self.place.shown}/{member.shard}: not there; copy it again"
            elif size < member.start + member.size:
                self.lost[key] = (
                    f"{self.place.shown}/{member.shard}: has {size} bytes instead of "
                    f"{self.entries[member.shard].bytes}; copy it again"
                )

    def has(self, key: str) -> bool:
        """Return whether a volume is in the shards."""
        return key in self.members and key not in self.lost

    def read(self, key: str) -> bytes:
        """Return the blosc2 file of a volume.

        Raises
        ------
        ShardError
            If it cannot be read or its digest differs; one line that names the shard.
        """
        kept = self._copies / key[:2] / f"{key}.b2nd" if key < self._kept_below else None
        member = self.members[key]
        if kept is not None:
            with suppress(OSError):
                content = kept.read_bytes()
                if hashlib.sha256(content).hexdigest() == member.sha256:
                    return content
        content = self.place.read(member.shard, member.start, member.size)
        if hashlib.sha256(content).hexdigest() != member.sha256:
            raise ShardError(
                f"{self.place.shown}/{member.shard}: damaged at byte {member.start} (volume "
                f"{key[:8]}); copy it again, or run ct-assistant prepare --shards --verify where "
                "the shards are written"
            )
        if kept is not None:
            # A full disk must not end a run that can read without these copies.
            with suppress(OSError):
                _put(kept, content)
        return content

    def _index(self) -> list[ShardEntry]:
        if not self.named and self.place.size(INDEX) is None:
            return []
        return parse_index(self.place.read(INDEX), self.place.shown)

    def _members_of(self, entry: ShardEntry) -> dict[str, Member]:
        """Return the volumes of a shard; a server's lists are kept, by their digests."""
        if self.is_folder:
            return parse_lines(self.place.read(entry.lines), entry, self.place.shown)
        copy = self._lines / f"{entry.lines_sha256[:32]}.jsonl"
        with suppress(FileNotFoundError, ShardError):
            return parse_lines(copy.read_bytes(), entry, self.place.shown)
        content = self.place.read(entry.lines)
        found = parse_lines(content, entry, self.place.shown)
        copy.parent.mkdir(parents=True, exist_ok=True)
        atomic.write_bytes(copy, content)
        return found

    def _choose_copies(self) -> None:
        """Decide which volumes are kept, the first by key, and remove copies of others."""
        left, self._kept_below = self.cache, ""
        for key in sorted(self.members) if self.cache else ():
            left -= self.members[key].size
            if left < 0:
                break
            self._kept_below = f"{key}~"
        if int(os.environ.get("LOCAL_RANK", "0")) or not self._copies.is_dir():
            return
        for copy in self._copies.rglob("*.b2nd"):
            if copy.stem not in self.members or copy.stem >= self._kept_below:
                copy.unlink(missing_ok=True)


def _put(file: Path, content: bytes) -> None:
    """Write a copy; it is checked whenever it is read, so it need not survive a power failure."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{secrets.token_hex(8)}.part")
    try:
        part.write_bytes(content)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
