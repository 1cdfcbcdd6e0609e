"""Where a store's prepared volumes are: each in its own file, in a shard, or in both."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import blosc2

from napari_ct_assistant.training.data.datasets.manifest import Manifest
from napari_ct_assistant.training.data.shards.index import ShardError
from napari_ct_assistant.training.data.shards.places import FolderPlace
from napari_ct_assistant.training.data.shards.reader import Shards
from napari_ct_assistant.training.data.volume_files import decode_volume, read_volume, voxel_digest


class PreparedVolumes:
    """The prepared volumes of a store, by key. A volume's own file is read before a shard.

    Parameters
    ----------
    folder : Path
        The store.
    shards : Shards, optional
        By default those in the store's own folder `shards`.
    """

    def __init__(self, folder: Path, shards: Shards | None = None):
        self.manifest = Manifest(folder)
        self.shards = shards or Shards(FolderPlace(folder / "shards"), folder)
        self._loaded = False

    def load(self, keys: Sequence[str]) -> None:
        """Read manifest and shards again. The manifest then also has rows of volumes in shards.

        Raises
        ------
        ShardError
            If the recipe names shards that cannot be read.
        """
        self.manifest.reload()
        self.shards.load(keys)
        if self.shards.named and not self.shards.members:
            raise ShardError(
                f"{self.shards.place.shown}: has none of the {len(keys)} scans; its volumes are of "
                "other scans, another image size or spacing, or of a table in another folder "
                "(data.name)"
            )
        self.shards.check_sizes()
        self._loaded = True
        for key, member in self.shards.members.items():
            row = self.manifest.rows.get(key, {})
            if "content" not in row:
                self.manifest.rows[key] = {
                    "key": key,
                    "scan": member.scan,
                    "content": member.content,
                    "bytes": -1,
                    "warnings": list(member.warnings),
                }
            elif row["content"] != member.content:
                self.shards.lost[key] = f"{member.shard}: its scan was prepared again since"

    def has(self, key: str) -> bool:
        """Return whether a volume is prepared."""
        return self.manifest.has(key) or self.shards.has(key)

    def can_be_read(self, key: str, keys: Sequence[str]) -> bool:
        """Return whether a volume of a store with these keys can be read, before `load`, too."""
        if self.manifest.path(key).exists():
            return True
        if not self._loaded:
            self.load(keys)
        return self.shards.has(key)

    def bytes_of(self, key: str) -> int:
        """Return the bytes of a prepared volume."""
        if self.manifest.has(key):
            return int(self.manifest.rows[key]["bytes"])
        return self.shards.members[key].size

    def open(self, key: str) -> blosc2.NDArray:
        """Return a prepared volume.

        Raises
        ------
        ShardError
            If it is in a shard and cannot be read.
        """
        if self.shards.has(key) and not self.manifest.has(key):
            return blosc2.ndarray_from_cframe(self.shards.read(key))
        return blosc2.open(str(self.manifest.path(key)), mode="r")

    def problem(self, key: str) -> str:
        """Read a volume again and return what is wrong with it, "" for nothing.

        What is wrong is kept: the volume counts as missing from then on.
        """
        if not self.has(key):
            return self.shards.lost.get(key, "not prepared")
        if self.shards.has(key) and (problem := self._shard_problem(key)):
            self.shards.lost[key] = problem
            return problem
        if self.manifest.has(key) and (problem := self._file_problem(key)):
            self.manifest.add(key, {"bytes": -1, "seconds": 0.0, "forgotten": problem})
            return problem
        return ""

    def _file_problem(self, key: str) -> str:
        try:
            content = voxel_digest(read_volume(self.manifest.path(key)))
        except (RuntimeError, ValueError, OSError):
            return "its file is damaged"
        return "" if content == self.manifest.rows[key]["content"] else "its voxels have changed"

    def _shard_problem(self, key: str) -> str:
        member = self.shards.members[key]
        try:
            content = voxel_digest(decode_volume(self.shards.read(key)))
        except (ShardError, RuntimeError, ValueError) as error:
            return str(error)
        return "" if content == member.content else f"{member.shard}: its voxels have changed"
