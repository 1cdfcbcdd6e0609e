"""Slices at one position: copies of each other, blank ones, or slices of different scans."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from napari_ct_assistant.support.translation import said
from napari_ct_assistant.volume.dicom.frames import DicomFrame
from napari_ct_assistant.volume.dicom.pixels import SliceReader
from napari_ct_assistant.volume.dicom.positions import SAME_PLACE_MM, distances
from napari_ct_assistant.volume.errors import CTReadError


def drop_copies(
    frames: Sequence[DicomFrame], prefer: Path | None
) -> tuple[list[DicomFrame], list[str]]:
    """Leave out slices that add nothing to another at the same position.

    A slice goes if its HU equal those of another there, or if it is blank (one value in all
    pixels) and the other is not. Neither UID nor file name decides: one UID in all slices of a
    scan, and a new one in each copy, both occur.

    Parameters
    ----------
    frames
        The slices of one series.
    prefer
        A file that is kept where it is one of several copies.

    Returns
    -------
    The slices that are left, which may still share positions, and what to warn of.
    """
    along = distances(frames)
    order = np.argsort(along, kind="stable")
    places: list[list[int]] = []
    for k in order:
        if places and along[k] - along[places[-1][0]] < SAME_PLACE_MM:
            places[-1].append(int(k))
        else:
            places.append([int(k)])
    reader = SliceReader()
    kept: set[int] = set()
    copies = blanks = 0
    for place in places:
        if len(place) == 1:
            kept.add(place[0])
            continue
        place.sort(key=lambda k: (frames[k].file.path != prefer, k))
        contents: dict[bytes, int] = {}
        blank: set[bytes] = set()
        for k in place:
            digest, is_blank = _content(reader, frames[k])
            if digest in contents:
                copies += 1
                continue
            contents[digest] = k
            if is_blank:
                blank.add(digest)
        if len(blank) < len(contents):
            blanks += len(blank)
            contents = {digest: k for digest, k in contents.items() if digest not in blank}
        kept.update(contents.values())
    warnings: list[str] = []
    if copies:
        warnings.append(
            said("1 copy of a slice was left out")
            if copies == 1
            else said("{n} copies of slices were left out", n=copies)
        )
    if blanks:
        warnings.append(
            said("1 blank slice at the position of another was left out")
            if blanks == 1
            else said("{n} blank slices at the positions of others were left out", n=blanks)
        )
    return [frame for k, frame in enumerate(frames) if k in kept], warnings


def _content(reader: SliceReader, frame: DicomFrame) -> tuple[bytes, bool]:
    """Return a digest of a slice's HU and whether they are all equal."""
    hu = np.empty((frame.file.rows, frame.file.columns), dtype=np.int16)
    low, high = reader.read(frame, hu)
    return hashlib.blake2b(hu.data, digest_size=16).digest(), low == high


def at_one_place(frames: Sequence[DicomFrame]) -> bool:
    """Return whether all slices lie at one position."""
    return bool(np.ptp(distances(frames)) < SAME_PLACE_MM)


def refuse(frames: Sequence[DicomFrame], where: Path) -> CTReadError:
    """Return the error for different slices at one position that nothing tells apart."""
    along = np.sort(distances(frames))
    if at_one_place(frames):
        return CTReadError(
            where,
            said(
                "its {count} slices all lie at one position, so they are not a volume",
                count=len(frames),
            ),
        )
    taken = np.flatnonzero(np.diff(along) < SAME_PLACE_MM)
    shown = ", ".join(f"{along[k]:.2f}" for k in taken[:5])
    more = f" and {len(taken) - 5} more" if len(taken) > 5 else ""
    return CTReadError(
        where,
        said(
            "different slices lie at one position ({shown}{more} mm along the table) and no "
            "attribute tells them apart: probably several scans under one series UID; export "
            "them as separate series",
            shown=shown,
            more=more,
        ),
    )
