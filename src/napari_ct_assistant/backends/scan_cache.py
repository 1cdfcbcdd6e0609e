"""Encoded scans kept on disk: a scan that was read before opens without encoding it again.

A file holds the encoder's output, under a digest of the network's input and of the encoder's
weights; the scan's hash (`CTVolume.fingerprint`) follows in its name, so that it is deleted with
the scan's journal. No voxel, name, number or path is stored. Importing this module brings no torch.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from napari_ct_assistant.support.atomic import remove_leftovers, write_bytes

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

logger = logging.getLogger(__name__)

FOLDER: Final = "encoded-scans"
SUFFIX: Final = ".safetensors"
LIMIT: Final = 2 << 30
WORTH: Final = 0.5

_digests: WeakKeyDictionary[Module, str] = WeakKeyDictionary()


@dataclass(frozen=True)
class ScanCache:
    """A folder of encoded scans. Several processes may use it.

    Attributes
    ----------
    folder : Path
    limit : int
        Bytes that all files may take; those that were not used for the longest time go first.
    worth : float
        Seconds that encoding must take for its result to be kept.
    """

    folder: Path
    limit: int = LIMIT
    worth: float = WORTH

    def encoded(
        self,
        scan: Callable[[], str],
        pixel_values: Tensor,
        encoder: Mapping[str, Module],
        encode: Callable[[], dict[str, Tensor]],
    ) -> dict[str, Tensor]:
        """Return what `encode` returns, from the disk if it was computed before.

        A file that cannot be read is removed, and the scan encoded again; one that cannot be
        written is left out. The tensors from the disk are on the CPU.

        Parameters
        ----------
        scan
            Returns the scan's hash; called only if there is something to keep.
        pixel_values
            The network's input.
        encoder
            The modules that compute the result.
        encode
        """
        if any(tensor.is_meta for module in encoder.values() for tensor in module.parameters()):
            return encode()  # weights that are moved to the device when needed
        digest = _digest(pixel_values, encoder)
        found = self._load(digest)
        if found is not None:
            return found
        start = time.perf_counter()
        tensors = encode()
        if time.perf_counter() - start >= self.worth:
            self._save(f"{digest}.{scan()[:32]}{SUFFIX}", tensors)
        return tensors

    def delete(self, scan: str | None = None) -> None:
        """Delete what is kept of a scan, given its hash, or of all scans with None."""
        ending = "" if scan is None else f".{scan[:32]}"
        for file in self._files():
            if file.stem.endswith(ending):
                file.unlink(missing_ok=True)

    def _files(self) -> list[Path]:
        return list(self.folder.glob(f"*{SUFFIX}"))

    def _load(self, digest: str) -> dict[str, Tensor] | None:
        from safetensors import SafetensorError
        from safetensors.torch import load

        for file in self.folder.glob(f"{digest}.*{SUFFIX}"):
            try:
                tensors = load(file.read_bytes())
                os.utime(file)
            except FileNotFoundError:  # deleted meanwhile
                continue
            except (OSError, SafetensorError, ValueError, KeyError) as error:
                logger.warning("an encoded scan cannot be read and is removed: %s", _words(error))
                with suppress(OSError):
                    file.unlink()
                continue
            return tensors
        return None

    def _save(self, name: str, tensors: Mapping[str, Tensor]) -> None:
        from safetensors.torch import save

        data = save({key: value.detach().cpu().contiguous() for key, value in tensors.items()})
        if len(data) > self.limit:
            return
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            remove_leftovers(self.folder, SUFFIX)
            self._make_room(len(data))
            write_bytes(self.folder / name, data, private=True)
        except OSError as error:
            logger.warning("the encoded scan is not kept: %s", _words(error))

    def _make_room(self, size: int) -> None:
        """Delete the files that were not used for the longest time until `size` bytes fit."""
        known = []
        for file in self._files():
            with suppress(FileNotFoundError):
                found = file.stat()
                known.append((found.st_mtime, found.st_size, file))
        total = sum(size for _, size, _ in known)
        for _, freed, file in sorted(known):
            if total + size <= self.limit:
                break
            file.unlink(missing_ok=True)
            total -= freed


def _digest(pixel_values: Tensor, encoder: Mapping[str, Module]) -> str:
    """Return a hash of all that decides an encoder's output, 32 hex digits."""
    whole = hashlib.sha256(version("napari-ct-assistant").encode())
    for name, module in sorted(encoder.items()):
        whole.update(f"{name} {_weights_digest(module)}".encode())
    _add(whole, pixel_values)
    return whole.hexdigest()[:32]


def _weights_digest(module: Module) -> str:
    """Return a hash of a module's weights, where and as they are; computed once for a module."""
    if module not in _digests:
        whole = hashlib.sha256()
        for name, tensor in sorted(module.state_dict().items()):
            whole.update(f"{name} {tensor.device.type}".encode())
            _add(whole, tensor)
        _digests[module] = whole.hexdigest()
    return _digests[module]


def _add(whole: hashlib._Hash, tensor: Tensor) -> None:
    import torch

    whole.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
    flat = tensor.detach().cpu().contiguous().flatten()
    whole.update(flat.view(torch.uint8).numpy())


def _words(error: Exception) -> str:
    """Say what failed without the path, which may name a person."""
    return getattr(error, "strerror", None) or type(error).__name__
