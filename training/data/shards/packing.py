"""Write prepared volumes into shards: resumable, in parallel, on one or several machines."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_ct_assistant.support import atomic
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.data.datasets.store import DatasetStore
from napari_ct_assistant.training.data.shards.index import (
    Member,
    ShardError,
    lines_name,
    parse_lines,
    write_index,
    write_lines,
)
from napari_ct_assistant.training.data.shards.places import FolderPlace
from napari_ct_assistant.training.data.volume_files import decode_volume, voxel_digest
from napari_ct_assistant.training.worker_pool import WorkerPool

DEFAULT_BYTES = 10**9
_HEADER = 512  # bytes before each file in a tar


@dataclass(frozen=True)
class Source:
    """The bytes of a prepared volume, in its own file or in an earlier shard."""

    key: str
    file: Path
    start: int
    size: int
    scan: str
    content: str
    warnings: tuple[str, ...]

    def read(self) -> bytes:
        """Return the bytes."""
        with self.file.open("rb") as stream:
            stream.seek(self.start)
            return stream.read(self.size)


@dataclass(frozen=True)
class Plan:
    """A shard to write."""

    folder: Path
    name: str
    sources: tuple[Source, ...]


def write_shard(_: Path, plan: Plan) -> dict[str, Member]:
    """Write a shard and the list of its volumes, and return that list.

    Raises
    ------
    ShardError
        If the voxels of a volume are not those that were prepared.
    """
    # Without its list the shard counts as incomplete, until the new one is there.
    (plan.folder / lines_name(plan.name)).unlink(missing_ok=True)
    members = {}
    with (
        atomic.replacing(plan.folder / plan.name) as part,
        tarfile.open(part, "w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for source in plan.sources:
            content = source.read()
            digest, shape = _checked(source, content)
            start = tar.offset + _HEADER
            _add(tar, f"{source.key}.b2nd", content)
            told = {"content": source.content, "shape": shape, "values": "int16, axes D, H, W"}
            _add(tar, f"{source.key}.json", json.dumps(told).encode())
            members[source.key] = Member(
                plan.name, start, source.size, digest, source.scan, source.content, source.warnings
            )
    write_lines(plan.folder, plan.name, members)
    return members


def pack(
    store: DatasetStore,
    target: int = DEFAULT_BYTES,
    *,
    prefix: str = "",
    workers: int | None = None,
    move: bool = False,
) -> Iterator[int]:
    """Write a filled store's volumes into its shards; yields the number of volumes after each one.

    Complete shards stay. A shard with a volume that is damaged or was prepared again is written
    anew, with the other volumes that it had.

    Parameters
    ----------
    store
    target
        Bytes of a shard; one is ended with the volume that reaches them.
    prefix
        Begins the names of new shards, which must differ between machines.
    workers
        Processes; one per core by default.
    move
        Remove a volume's own file when its shard is complete.

    Raises
    ------
    RecipeError
        If the recipe's shards are not in a folder.
    ShardError
        If a volume is damaged.
    """
    place = store.shards.place
    if not isinstance(place, FolderPlace):
        raise RecipeError(
            f"data.shards: {place.shown}: shards are written to a folder; set data.shards to one, "
            "and upload it"
        )
    place.folder.mkdir(parents=True, exist_ok=True)
    _remove_old_parts(place.folder)
    # A killed run has written shards that the index does not list yet.
    write_index(place.folder)
    store.prepared.load(store.keys)
    own = {source.key: source for source in _own_files(store)}
    shards = store.shards
    if move:
        _remove(own, {k: m for k, m in shards.members.items() if k not in shards.lost})
    plans = [*_rewritten(store, place.folder, own), *_new(store, place.folder, own, target, prefix)]
    done = 0
    if len(plans) < 2 or (workers or os.cpu_count() or 1) < 2:
        for plan in plans:
            members = write_shard(place.folder, plan)
            done += len(members)
            if move:
                _remove(own, members)
            yield done
    else:
        number = min(workers or os.cpu_count() or 1, len(plans))
        with WorkerPool(number, Path, place.folder) as pool:
            for _, members in pool.unordered(write_shard, plans):
                done += len(members)
                if move:
                    _remove(own, members)
                yield done
    write_index(place.folder)
    shards.lost.clear()
    store.prepared.load(store.keys)


def _own_files(store: DatasetStore) -> Iterator[Source]:
    for key in store.keys:
        if store.manifest.has(key):
            row = store.manifest.rows[key]
            yield Source(
                key,
                store.manifest.path(key),
                0,
                row["bytes"],
                str(row["scan"]),
                str(row["content"]),
                tuple(row.get("warnings", ())),
            )


def _new(
    store: DatasetStore, folder: Path, own: dict[str, Source], target: int, prefix: str
) -> Iterator[Plan]:
    """Plan shards of the volumes that are in none, in the order of their keys.

    Keys are hashes, so each shard has volumes from everywhere in the data set.
    """
    names = [p.stem.removeprefix(prefix) for p in folder.glob(f"{prefix}*.jsonl")]
    number = max((int(name) + 1 for name in names if name.isdigit()), default=0)
    waiting: list[Source] = []
    total = 0
    for key in sorted(own.keys() - store.shards.members.keys()):
        waiting.append(own[key])
        total += own[key].size
        if total >= target:
            yield Plan(folder, f"{prefix}{number:05d}.tar", tuple(waiting))
            waiting, total, number = [], 0, number + 1
    if waiting:
        yield Plan(folder, f"{prefix}{number:05d}.tar", tuple(waiting))


def _rewritten(store: DatasetStore, folder: Path, own: dict[str, Source]) -> Iterator[Plan]:
    """Plan the shards with volumes that are damaged or were prepared again."""
    shards = store.shards
    damaged = {shards.members[key].shard for key in shards.lost if key in shards.members}
    for name in sorted(damaged):
        entry = shards.entries[name]
        with suppress(FileNotFoundError):
            old = parse_lines((folder / entry.lines).read_bytes(), entry, str(folder))
            sources = [
                own.get(key) or _in_shard(folder, key, member) for key, member in old.items()
            ]
            kept = [s for s in sources if s.key in own or _is_whole(s, shards.lost)]
            yield Plan(folder, name, tuple(kept))


def _in_shard(folder: Path, key: str, m: Member) -> Source:
    return Source(key, folder / m.shard, m.start, m.size, m.scan, m.content, m.warnings)


def _is_whole(source: Source, lost: dict[str, str]) -> bool:
    """Return whether a volume of an earlier shard can be kept.

    One of another recipe may be damaged too; that recipe then prepares it again.
    """
    if source.key in lost:
        return False
    try:
        _checked(source, source.read())
    except (ShardError, OSError):
        return False
    return True


def _checked(source: Source, content: bytes) -> tuple[str, list[int]]:
    """Return the digest of a volume's file and its shape, if it has the voxels it should have."""
    try:
        hu = decode_volume(content)
    except (RuntimeError, ValueError):
        hu = None
    if hu is None or voxel_digest(hu) != source.content:
        raise ShardError(
            f"{source.file.name}: its voxels have changed since it was prepared; run the command "
            "with --verify"
        )
    return hashlib.sha256(content).hexdigest(), list(hu.shape)


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    # Without times and owners, the same volumes make the same shard on each machine.
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def _remove(own: dict[str, Source], members: dict[str, Member]) -> None:
    for key, member in members.items():
        if key in own and own[key].content == member.content:
            own[key].file.unlink(missing_ok=True)


def _remove_old_parts(folder: Path) -> None:
    """Remove what killed runs left; a shard that is being written is younger than a day."""
    for part in folder.glob(".*.part.*"):
        with suppress(OSError):
            if time.time() - part.stat().st_mtime > 86400:
                part.unlink()


def shard_summary(store: DatasetStore) -> dict[str, Any]:
    """Return folder, number, bytes and volumes of a store's shards."""
    found = store.shards.entries.values()
    return {
        "folder": store.shards.place.shown,
        "shards": len(found),
        "bytes": sum(shard.bytes for shard in found),
        "volumes": sum(shard.volumes for shard in found),
    }
