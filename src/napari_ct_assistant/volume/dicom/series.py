"""Find the CT series among the files of a folder."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np

from napari_ct_assistant.volume.dicom.frames import DicomFrame, NotASliceError, read_frames
from napari_ct_assistant.volume.dicom.header import BrokenDicomError, Header, read_header
from napari_ct_assistant.volume.dicom.stack import drop_copies, has_duplicates
from napari_ct_assistant.volume.errors import CTReadError

MAX_FILES = 200_000


@dataclass(frozen=True)
class Series:
    """The slices of one CT series: one orientation, size and spacing.

    key is opaque (a hash), the same whenever the same files are listed.
    """

    key: str
    description: str
    frames: tuple[DicomFrame, ...]


@dataclass
class SeriesSearch:
    """What a search found.

    others: what healthy DICOM files that are not CT slices are, with counts.
    broken: DICOM files whose header could not be read, with the reason.
    """

    series: list[Series]
    others: Counter[str] = field(default_factory=Counter)
    broken: list[CTReadError] = field(default_factory=list)
    files: int = 0


def walk_files(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder and its sub-folders in a stable order.

    Raises
    ------
    CTReadError
        If there are more than MAX_FILES: a whole disk was given by mistake.
    """
    count = 0
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(root, name)
            if name.startswith(".") or not path.is_file():
                continue
            count += 1
            if count > MAX_FILES:
                raise CTReadError(folder, f"more than {MAX_FILES} files; give a smaller folder")
            yield path


def find_series(paths: Iterable[Path], *, prefer: Path | None = None) -> SeriesSearch:
    """Read the headers of files and group the CT slices among them into series.

    Parameters
    ----------
    paths
        Files of any kind; those that are not DICOM are passed over.
    prefer
        A file that wins over copies of itself.

    Returns
    -------
    Series sorted by number of slices, most first.
    """
    scan = SeriesSearch([])
    groups: dict[str, list[DicomFrame]] = {}
    for path, header in _read_headers(paths):
        scan.files += 1
        try:
            if header is None:
                continue
            if isinstance(header, Exception):
                raise header
            for frame in read_frames(path, header):
                groups.setdefault(frame.file.group, []).append(frame)
        except NotASliceError as other:
            scan.others[str(other)] += 1
        except CTReadError as error:
            scan.broken.append(error)
        except BrokenDicomError as error:
            scan.broken.append(CTReadError(path, f"damaged DICOM file: {error}; copy it again"))
        except OSError as error:
            scan.broken.append(CTReadError(path, f"cannot be read ({error.strerror or error})"))
    for group, frames in groups.items():
        parts = [part for same in _same_geometry(frames) for part in _moments(same, prefer)]
        for n, (part, note) in enumerate(parts):
            description = part[0].file.description
            scan.series.append(
                Series(
                    key=group if n == 0 else f"{group}-{n + 1}",
                    description=f"{description} {note}".strip() if note else description,
                    frames=tuple(part),
                )
            )
    scan.series.sort(key=lambda series: -len(series.frames))
    return scan


def _read_headers(
    paths: Iterable[Path],
) -> Iterator[tuple[Path, Header | BrokenDicomError | OSError | None]]:
    """Read headers in order, several at a time: a network drive answers slowly."""

    def read(path: Path) -> Header | BrokenDicomError | OSError | None:
        try:
            return read_header(path)
        except (BrokenDicomError, OSError) as error:
            return error

    left = iter(paths)
    with ThreadPoolExecutor(8) as pool:
        while batch := list(islice(left, 256)):
            yield from zip(batch, pool.map(read, batch), strict=True)


def _same_geometry(frames: Sequence[DicomFrame]) -> list[list[DicomFrame]]:
    """Split slices by orientation and pixel spacing."""
    parts: list[list[DicomFrame]] = []
    for frame in frames:
        for part in parts:
            first = part[0]
            turned = np.abs(frame.orientation - first.orientation).max()
            scaled = np.abs(np.divide(frame.spacing, first.spacing) - 1).max()
            if turned < 2e-3 and scaled < 2e-3:
                part.append(frame)
                break
        else:
            parts.append([frame])
    return parts


def _moments(frames: list[DicomFrame], prefer: Path | None) -> list[tuple[list[DicomFrame], str]]:
    """Split a series that scans the same place several times into its passes.

    Only where it splits cleanly: by time index or acquisition number into passes of
    at least two slices without duplicates. Else it stays whole and the rule for
    duplicate positions decides.
    """
    unique = drop_copies(frames, prefer)
    if len(unique) > 2 and has_duplicates(unique):
        for name in ("moment", "acquisition"):
            passes: dict[int, list[DicomFrame]] = {}
            for frame in frames:
                key = frame.moment if name == "moment" else frame.file.acquisition
                passes.setdefault(key, []).append(frame)
            clean = all(
                len(part) > 1 and not has_duplicates(drop_copies(part, prefer))
                for part in passes.values()
            )
            if len(passes) > 1 and clean:
                word = "time" if name == "moment" else "acquisition"
                return [(passes[k], f"({word} {k})") for k in sorted(passes)]
    return [(frames, "")]
