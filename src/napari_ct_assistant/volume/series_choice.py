"""Which of several series is opened by default, and which one a person means."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_ct_assistant.support.translation import said
from napari_ct_assistant.volume.ct_volume import FEWEST_SLICES, SHORTEST_MM
from napari_ct_assistant.volume.dicom.frames import DicomFrame
from napari_ct_assistant.volume.dicom.positions import distances, lay_out
from napari_ct_assistant.volume.dicom.separators import TIME
from napari_ct_assistant.volume.dicom.series import Series
from napari_ct_assistant.volume.errors import CTReadError

# Values of ImageType that mean a picture computed from other slices.
_COMPUTED = frozenset({"DERIVED", "SECONDARY", "MIP", "MINIP", "MPR", "PROJECTION IMAGE", "VRT"})


@dataclass(frozen=True)
class SeriesInfo:
    """One CT series that `open_ct` can open.

    Parameters
    ----------
    key
        What to pass to `open_ct(path, series=key)`; a hash, not a UID.
    description
        The series description with the name of the pass, or the name of the file.
    modality
        "CT".
    n_slices
        Number of slices, as the headers claim.
    path
        The file of a volume, or the folder of the series' first slice.
    number
        Place in the list, from 1; the default is number 1.
    length_mm
        How far the slices reach along their normal, 0 where the header does not say.
    step_mm
        Distance between neighbouring slices, 0 where the header does not say.
    kernel
        Reconstruction kernel, "" if not stated.
    reason
        Why it is the default, "" for the others.
    """

    key: str
    description: str
    modality: str
    n_slices: int
    path: Path
    number: int = 1
    length_mm: float = 0.0
    step_mm: float = 0.0
    kernel: str = ""
    reason: str = ""

    @property
    def label(self) -> str:
        """The series in a few words: name, slices, length."""
        length = f", {self.length_mm:.0f} mm" if self.length_mm else ""
        plural = "" if self.n_slices == 1 else "s"
        return f"{self.description!r} with {self.n_slices} slice{plural}{length}"


@dataclass(frozen=True)
class _Facts:
    """What the choice between series goes by.

    volume: whether the slices make one, and not only a few slices long. length: mm.
    """

    hounsfield: bool
    original: bool
    volume: bool
    length: float
    acquisition: tuple[bytes, str]
    step: float
    slices: int


def rank(series: Sequence[Series]) -> list[tuple[Series, SeriesInfo]]:
    """Sort series, the one to open by default first, and say why it is.

    HU go before other values, original slices before computed ones (MIP, reformatted), a
    volume before a few slices, the longer scan before the shorter. Thin slices go before thick
    ones only within one acquisition: another phase is another examination.
    """
    series = sorted(series, key=lambda one: _natural(one.frames[0].file.series_number))
    facts = {one.key: _facts(one) for one in series}
    longest: dict[tuple[bytes, str], float] = {}
    for fact in facts.values():
        longest[fact.acquisition] = max(longest.get(fact.acquisition, 0.0), fact.length)
    first = {fact.acquisition: n for n, fact in reversed(list(enumerate(facts.values())))}

    def place(one: Series) -> tuple[float | bool, ...]:
        fact = facts[one.key]
        whole = longest[fact.acquisition]
        return (
            not fact.hounsfield,
            not fact.original,
            not fact.volume,
            # Scans of one region differ by a few slices in length.
            -round(whole / 10.0),
            0 if fact.volume else -fact.slices,
            first[fact.acquisition],
            fact.length < 0.8 * whole,
            fact.step,
            -fact.slices,
        )

    ordered = sorted(series, key=place)
    reason = _reason([facts[one.key] for one in ordered])
    return [
        (one, _info(one, facts[one.key], n + 1, reason if n == 0 else ""))
        for n, one in enumerate(ordered)
    ]


def file_info(path: Path, slices: int, number: int, count: int) -> SeriesInfo:
    """Return how a volume in one file is listed."""
    key = hashlib.sha256(path.name.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    reason = "" if number > 1 else "the only volume" if count == 1 else "the first file by name"
    return SeriesInfo(key, path.name, "CT", slices, path, number, reason=reason)


def choose(infos: Sequence[SeriesInfo], wanted: str, where: Path) -> SeriesInfo:
    """Return the series that `wanted` names: its key, its number in the list, or a description.

    Raises
    ------
    CTReadError
        If none is meant, or several are.
    """
    text = wanted.strip().casefold()
    for same in (
        [info for info in infos if info.key == wanted.strip()],
        [info for info in infos if str(info.number) == text],
        [info for info in infos if info.description.casefold() == text],
        [info for info in infos if text and text in info.description.casefold()],
    ):
        if len(same) == 1:
            return same[0]
        if same:
            raise CTReadError(
                where,
                said(
                    "{wanted} names {count} series: {listed}; give a key or number",
                    wanted=repr(wanted),
                    count=len(same),
                    listed=_listed(same),
                ),
            )
    raise CTReadError(
        where,
        said("has no series {wanted}; it has {listed}", wanted=repr(wanted), listed=_listed(infos)),
    )


def _listed(infos: Sequence[SeriesInfo]) -> str:
    return "; ".join(f"{info.number}: {info.key} ({info.label})" for info in infos)


def _natural(number: str) -> tuple[int, str]:
    """Return how series numbers sort: 2 before 10, those without one last."""
    return (int(number), "") if number.isdecimal() else (1 << 31, number)


def _facts(series: Series) -> _Facts:
    frames = series.frames
    layout = lay_out(frames)
    length = float(np.ptp(distances(frames))) + (layout.step if len(frames) > 1 else 0.0)
    first = frames[0]
    kinds = set(first.separators.get("image type", "").upper().split("\\"))
    times = [frame.separators.get(TIME, "") for frame in frames]
    acquisition = min(times) or first.separators.get("acquisition", "")
    return _Facts(
        hounsfield=first.unit in ("", "HU", "HOUNSFIELD"),
        original=not kinds & _COMPUTED,
        volume=not series.problem
        and layout.kind != "duplicates"
        and len(frames) >= FEWEST_SLICES
        and length >= SHORTEST_MM,
        length=length,
        acquisition=(first.file.identity.study, acquisition),
        # Rounded, so that two phases are not told apart by the last digit.
        step=round(layout.step, 3),
        slices=len(frames),
    )


def _info(series: Series, facts: _Facts, number: int, reason: str) -> SeriesInfo:
    first: DicomFrame = series.frames[0]
    return SeriesInfo(
        key=series.key,
        description=series.description,
        modality="CT",
        n_slices=len(series.frames),
        path=first.file.path.parent,
        number=number,
        length_mm=round(facts.length, 2),
        step_mm=facts.step,
        kernel=first.separators.get("kernel", "").replace("\\", " "),
        reason=reason,
    )


def _reason(ordered: Sequence[_Facts]) -> str:
    """Return by what the first series goes before the second."""
    if len(ordered) == 1:
        return "the only series"
    best, second = ordered[0], ordered[1]
    if best.hounsfield != second.hounsfield:
        return "its values are HU"
    if best.original != second.original:
        return "original slices, not computed ones"
    if best.volume != second.volume:
        return f"a volume of {best.slices} slices"
    if best.acquisition == second.acquisition and best.step < second.step:
        return f"the thinnest slices of its acquisition ({best.step:.3g} mm)"
    if round(best.length / 10.0) > round(second.length / 10.0):
        return f"the longest scan ({best.length:.0f} mm)"
    if best.acquisition != second.acquisition:
        return "the first acquisition"
    return "the most slices" if best.slices > second.slices else "the first found"
