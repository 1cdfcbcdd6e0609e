"""Which slices can be of one scan at all: one patient, study, series, orientation and matrix."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence

import numpy as np
from scipy.spatial import cKDTree

from napari_ct_assistant.volume.dicom.frames import DicomFrame
from napari_ct_assistant.volume.dicom.positions import lay_out

Group = list[DicomFrame]

# Directions and relative pixel spacings that differ by less are the same.
_ALIKE = 2e-3


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
    """Split slices by orientation and pixel spacing.

    Each slice goes to the first part whose first slice it resembles.
    """
    alike: dict[Hashable, Group] = {}
    for frame in frames:
        alike.setdefault((frame.orientation.tobytes(), frame.spacing), []).append(frame)
    kinds = list(alike.values())
    if len(kinds) == 1:
        return kinds
    orientation = np.array([kind[0].orientation.ravel() for kind in kinds])
    spacing = np.array([kind[0].spacing for kind in kinds])
    # A damaged folder may have a geometry of its own in each of thousands of slices.
    tree = cKDTree(np.hstack([orientation, np.log(spacing)]))
    home = np.full(len(kinds), -1)
    for k in range(len(kinds)):
        if home[k] >= 0:
            continue
        near = np.array(tree.query_ball_point(tree.data[k], 2 * _ALIKE, p=np.inf))
        turned = np.abs(orientation[near] - orientation[k]).max(axis=1)
        scaled = np.abs(spacing[near] / spacing[k] - 1).max(axis=1)
        home[near[(turned < _ALIKE) & (scaled < _ALIKE) & (home[near] < 0)]] = k
    parts: dict[int, Group] = {}
    place = {id(frame): int(home[k]) for k, kind in enumerate(kinds) for frame in kind}
    for frame in frames:
        parts.setdefault(place[id(frame)], []).append(frame)
    return list(parts.values())


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
        home = {id(group[0]): group for group in candidates}
        for joined in _same_geometry([frame for group in candidates for frame in group]):
            if len(joined) > 2 and lay_out(joined).regular:
                found.append(joined)
            else:
                found += [home[id(frame)] for frame in joined if id(frame) in home]
    return found


def _split_by_frame_of_reference(frames: Group) -> list[Group]:
    parts = _split_where_stated(frames, lambda f: f.file.identity.frame_of_reference)
    return [frames] if _differs_in_each(parts, frames) else parts


def _differs_in_each(parts: Sequence[Group], frames: Group) -> bool:
    return len(parts) > len(frames) / 2
