"""Find the CT series among the files of a folder."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from napari_ct_assistant.support.translation import N_, said
from napari_ct_assistant.volume.dicom.encoding import BrokenDicomError
from napari_ct_assistant.volume.dicom.frames import DicomFrame, NotASliceError, read_frames
from napari_ct_assistant.volume.dicom.grouping import group_frames
from napari_ct_assistant.volume.dicom.header import Header, NotDicom, read_header
from napari_ct_assistant.volume.dicom.passes import split_passes
from napari_ct_assistant.volume.errors import CTReadError, check_cancel

BROKEN_LINK = N_("a broken link")
MAX_FILES = 200_000
AT_HAND = 0.0005  # seconds in which a header on a local disk is read, many times over


@dataclass(frozen=True)
class Series:
    """The slices of one CT series, of one pass if it has several.

    key: opaque (a hash), the same whenever the same files are listed. description: with the
    name of the pass. problem: why the slices cannot make a volume, "" if they can.
    """

    key: str
    description: str
    frames: tuple[DicomFrame, ...]
    problem: str = ""


@dataclass
class SeriesSearch:
    """What a search found.

    others: what healthy DICOM files that are not CT slices are, with counts. broken: files
    whose header could not be read, with the reason. lost: files without content, by kind
    ("empty", "filled with zeros", "a broken link").
    """

    series: list[Series]
    others: Counter[str] = field(default_factory=Counter)
    broken: list[CTReadError] = field(default_factory=list)
    lost: dict[str, list[Path]] = field(default_factory=dict)
    files: int = 0


def walk_files(
    folder: Path, closed: list[Path] | None = None, cancel: threading.Event | None = None
) -> Iterator[Path]:
    """Yield the files of a folder and its sub-folders in a stable order, broken links included.

    Links to folders are followed; one that leads back to a folder already seen is not.
    Folders that cannot be read are added to `closed`. `cancel` stops the walk.

    Raises
    ------
    CTReadError
        If there are more than MAX_FILES, as when a whole disk is given by mistake.
    """
    count = 0
    seen = {os.path.realpath(folder)}

    def note(error: OSError) -> None:
        if closed is not None and error.filename:
            closed.append(Path(error.filename))

    for root, folders, names in os.walk(folder, onerror=note, followlinks=True):
        check_cancel(cancel, folder)
        inside = []
        for name in sorted(name for name in folders if not name.startswith(".")):
            real = os.path.realpath(os.path.join(root, name))  # noqa: PTH118 - ten times faster
            if real not in seen:
                seen.add(real)
                inside.append(name)
        folders[:] = inside
        for name in sorted(names):
            path = Path(root, name)
            if name.startswith(".") or not (path.is_file() or path.is_symlink()):
                continue
            count += 1
            if count > MAX_FILES:
                raise CTReadError(
                    folder,
                    said("more than {max_files} files; give a smaller folder", max_files=MAX_FILES),
                )
            yield path


def find_series(paths: Iterable[Path], cancel: threading.Event | None = None) -> SeriesSearch:
    """Read the headers of files and group the CT slices among them into series.

    Parameters
    ----------
    paths
        Files of any kind; those that are not DICOM are passed over.
    cancel
        Set it to stop.

    Returns
    -------
    Series in the order in which their first files were found.
    """
    search = SeriesSearch([])
    frames: list[DicomFrame] = []
    for path, header in _read_headers(paths, cancel):
        search.files += 1
        try:
            if isinstance(header, NotDicom):
                if header is not NotDicom.OTHER:
                    search.lost.setdefault(header.value, []).append(path)
                continue
            if isinstance(header, Exception):
                raise header
            frames += read_frames(path, header)
        except NotASliceError as other:
            search.others[other.text] += 1
        except CTReadError as error:
            check_cancel(cancel, path)
            search.broken.append(error)
        except BrokenDicomError as error:
            search.broken.append(
                CTReadError(path, said("damaged DICOM file: {error}; copy it again", error=error))
            )
        except FileNotFoundError:
            search.lost.setdefault(BROKEN_LINK, []).append(path)
        except OSError as error:
            search.broken.append(
                CTReadError(path, said("cannot be read ({value})", value=error.strerror or error))
            )
    used: Counter[str] = Counter()
    for group in group_frames(frames):
        for part in split_passes(group):
            check_cancel(cancel, part.frames[0].file.path)
            file = part.frames[0].file
            used[file.key] += 1
            n = used[file.key]
            search.series.append(
                Series(
                    key=file.key if n == 1 else f"{file.key}-{n}",
                    description=", ".join(filter(None, (file.description, part.note))),
                    frames=part.frames,
                    problem=part.problem,
                )
            )
    return search


def _read_headers(
    paths: Iterable[Path], cancel: threading.Event | None
) -> Iterator[tuple[Path, Header | NotDicom | BrokenDicomError | OSError]]:
    """Read headers in order: one by one, or several at a time from a drive that answers slowly."""

    def read(path: Path) -> Header | NotDicom | BrokenDicomError | OSError:
        check_cancel(cancel, path)
        try:
            return read_header(path)
        except (BrokenDicomError, OSError) as error:
            return error

    def several(part: list[Path]) -> list[Header | NotDicom | BrokenDicomError | OSError]:
        return [read(path) for path in part]

    left = iter(paths)
    # Threads would only wait for each other where the files are at hand. A few may be slow for
    # other reasons.
    slow = 0
    while slow < 2 and (part := list(islice(left, 8))):
        begin = time.perf_counter()
        headers = several(part)
        slow += time.perf_counter() - begin > AT_HAND * len(part)
        yield from zip(part, headers, strict=True)
    with ThreadPoolExecutor(8) as pool:
        while batch := list(islice(left, 256)):
            # A few files to a task: handing over costs as much as reading a header.
            parts = [batch[k : k + 8] for k in range(0, len(batch), 8)]
            for part, headers in zip(parts, pool.map(several, parts), strict=True):
                yield from zip(part, headers, strict=True)
