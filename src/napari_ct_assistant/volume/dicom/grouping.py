"""Which slices can be of one scan at all: one patient, study, series, orientation and matrix."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence

import numpy as np

from napari_ct_assistant.volume.dicom.frames import DicomFrame
from napari_ct_assistant.volume.dicom.positions import lay_out

Group = list[DicomFrame]


def group_frames(frames: Iterable[DicomFrame]) -> list[Group]:
    """Group slices by patient, study, series, frame of reference, matrix and geometry.

    An identifier that is different in every slice tells nothing: some anonymisers write a new
    frame of reference, and some scanners a new series UID, into each file. Such slices stay
    together where they have the study, the series number and the description in common and
    lie evenly.
    """
    groups = [
        same
        for group in _split(frames, lambda f: (f.file.identity.study, f.file.identity.series,
                                               f.file.rows, f.file.columns))
        for patient in _split_where_stated(group, lambda f: f.file.identity.patient)
        for same in _same_geometry(patient)
    ]  # fmt: skip
    groups = _join_single_slices(groups)
    return [part for group in groups for part in _split_by_frame_of_reference(group)]


def _split(frames: Iterable[DicomFrame], key: Callable[[DicomFrame], Hashable]) -> list[Group]:
    parts: dict[Hashable, Group] = {}
    for frame in frames:
        parts.setdefault(key(frame), []).append(frame)
    return list(parts.values())


def _split_where_stated(frames: Group, key: Callable[[DicomFrame], bytes]) -> list[Group]:
    """Split by an identifier; slices without one go to the only other part, if there is one."""
    parts: dict[bytes, Group] = {}
    for frame in frames:
        parts.setdefault(key(frame), []).append(frame)
    unstated = parts.get(b"")
    if unstated is not None and len(parts) == 2:
        return [frames]
    return list(parts.values())


def _same_geometry(frames: Group) -> list[Group]:
    """Split slices by orientation and pixel spacing."""
    parts: list[Group] = []
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


def _join_single_slices(groups: list[Group]) -> list[Group]:
    """Join files that each have a series UID of their own, where they make an even stack."""
    found: list[Group] = []
    loose: dict[Hashable, list[Group]] = {}
    for group in groups:
        first = group[0]
        if len({frame.number for frame in group}) == 1 and first.file.frames == 1:
            same = first.file.identity
            key = (same.patient, same.study, same.label, first.file.rows, first.file.columns)
            loose.setdefault(key, []).append(group)
        else:
            found.append(group)
    for candidates in loose.values():
        for joined in _same_geometry([frame for group in candidates for frame in group]):
            if len(joined) > 2 and lay_out(joined).regular:
                found.append(joined)
            else:
                found += [group for group in candidates if any(group[0] is f for f in joined)]
    return found


def _split_by_frame_of_reference(frames: Group) -> list[Group]:
    parts = _split_where_stated(frames, lambda f: f.file.identity.frame_of_reference)
    return [frames] if _differs_in_each(parts, frames) else parts


def _differs_in_each(parts: Sequence[Group], frames: Group) -> bool:
    return len(parts) > len(frames) / 2
