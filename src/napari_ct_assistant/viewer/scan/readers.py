"""napari readers for everything that `open_ct` opens: DICOM, volume files, folders, archives."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

PathOrPaths = str | Sequence[str]
ReaderFunction = Callable[[PathOrPaths], list[tuple[Any, dict[str, Any], str]]]


def can_read(path: Path) -> bool:
    """Return quickly whether `path` may be a CT scan; its content is not checked."""
    from napari_ct_assistant.volume.glance import looks_like_ct

    return looks_like_ct(path)


def get_reader(path: PathOrPaths) -> ReaderFunction | None:
    """Return the reader for `path`, None if this plugin cannot read it."""
    paths = [path] if isinstance(path, str | os.PathLike) else list(path)
    if not paths or not all(can_read(Path(one)) for one in paths):
        return None
    return read_ct


def read_ct(path: PathOrPaths) -> list[tuple[Any, dict[str, Any], str]]:
    """Open each path as a CT, and return one napari image layer for each scan.

    For several DICOM files of one folder, the folder is opened.

    Raises
    ------
    CTReadError
        One line that names the file and says what to do.
    """
    from napari_ct_assistant.viewer.scan.layers import layer_data
    from napari_ct_assistant.viewer.uncaught import hide_values_in_tracebacks
    from napari_ct_assistant.volume import open_ct
    from napari_ct_assistant.volume.discovery import FILE_ENDINGS

    # napari shows an error of a reader with the values of its variables: headers, for one.
    hide_values_in_tracebacks()
    paths = [Path(path)] if isinstance(path, str | os.PathLike) else [Path(one) for one in path]
    folders = {one.parent for one in paths}
    volumes = (*FILE_ENDINGS, ".zip")
    slices = not any(one.is_dir() or one.name.lower().endswith(volumes) for one in paths)
    if len(paths) > 1 and len(folders) == 1 and slices:
        paths = list(folders)
    return [layer_data(open_ct(one)) for one in paths]
