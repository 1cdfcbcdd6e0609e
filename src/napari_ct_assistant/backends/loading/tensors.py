"""Read tensors of a safetensors file straight to where they stay.

Nothing is mapped into memory and no tensor is held twice: while a model is loaded, it needs the
memory of its weights and of one piece of a file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.model.folder import DTYPES
from napari_ct_assistant.support.translation import said

PIECE: Final = 32 << 20  # bytes


def read_tensors(
    file: Path, name: str, wanted: Callable[[str, tuple[int, ...]], Tensor | None]
) -> Iterator[str]:
    """Read the tensors of a file, in the order in which they are stored.

    Parameters
    ----------
    file : Path
        A safetensors file whose header was checked (`model.folder.tensor_headers`).
    name : str
        Of the model, for errors.
    wanted : callable
        Gets the name and shape of a tensor; returns the tensor that is filled with its values,
        of any type and on any device, or None to leave it out.

    Yields
    ------
    The name of each tensor that was read.

    Raises
    ------
    ModelLoadError
        If the file ends too early.
    """
    with file.open("rb", buffering=0) as stream:
        length = int.from_bytes(stream.read(8), "little")
        header: dict[str, Any] = json.loads(stream.read(length))
        header.pop("__metadata__", None)
        buffer = bytearray(PIECE)
        for key, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"][0]):
            target = wanted(key, tuple(entry["shape"]))
            if target is None:
                continue
            dtype = DTYPES[entry["dtype"]]
            begin, end = entry["data_offsets"]
            stream.seek(8 + length + begin)
            flat = target.view(-1)
            done = 0
            for start in range(begin, end, PIECE):
                view = memoryview(buffer)[: min(PIECE, end - start)]
                if not _fill(stream, view):
                    raise ModelLoadError(
                        said(
                            "{name}: {name2} ends within {key}; copy or download the model again",
                            name=name,
                            name2=file.name,
                            key=key,
                        )
                    )
                piece = torch.frombuffer(view, dtype=dtype)
                flat[done : done + len(piece)].copy_(piece)
                done += len(piece)
            yield key


def _fill(stream: Any, view: memoryview) -> bool:
    """Fill a buffer; return False if the file ends before."""
    done = 0
    while done < len(view):
        got = stream.readinto(view[done:])
        if not got:
            return False
        done += got
    return True
