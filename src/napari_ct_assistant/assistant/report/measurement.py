"""A measurement that a sentence of the report states: its figures, its place, its words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal

from napari_ct_assistant.assistant.report.label_mask import LabelMask, Point, point
from napari_ct_assistant.support.translation import said, together
from napari_ct_assistant.volume.dicom.instance_numbers import ArchiveNumber

Kind = Literal["length", "axes", "region", "outline"]
Plane = Literal["axial", "coronal", "sagittal"]
Side = Literal["right", "left", "midline"]

UNNAMED: Final[dict[Kind, str]] = {
    "length": "Distance",
    "axes": "Lesion",
    "region": "Region",
    "outline": "Lesion",
}
"""What is measured, as long as the reader has not named it."""


@dataclass(frozen=True)
class DrawnShape:
    """A shape of a measurement, kept so that it can be drawn again.

    Attributes
    ----------
    kind : str
        "line", "path", "rectangle", "ellipse" or "polygon".
    points : tuple of (x, y, z)
        Its vertices in RAS mm.
    """

    kind: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Measurement:
    """What was measured in the scan, and where.

    Attributes
    ----------
    kind : {"length", "axes", "region", "outline"}
        A ruler, two rulers that cross, a drawn region in one slice, a label layer.
    keys : tuple of str
        The shapes or the label from which it was taken.
    ras : (x, y, z)
        A point in it, RAS mm.
    slice : int
        Axial slice index of that point.
    side : {"right", "left", "midline"}
        The patient's side of that point, against the middle of the body.
    plane : {"axial", "coronal", "sagittal"}
        In which it was drawn.
    index : int
        Index of that plane, counted from 0.
    long_mm, short_mm, max_mm : float or None
        Long and short axis in one slice, and the largest diameter in three dimensions.
    area_mm2, volume_ml : float or None
    mean_hu, sd_hu, min_hu, max_hu : float or None
    first_slice, last_slice : int or None
        The axial slices between which an outline lies.
    shapes : tuple of DrawnShape
    mask : LabelMask or None
        The voxels of an outline.
    instance_number, frame_number : int or None
        Where the archive files the image, see `ArchiveNumber`; None for several images.
    """

    kind: Kind
    keys: tuple[str, ...]
    ras: Point
    slice: int
    side: Side
    plane: Plane = "axial"
    index: int = 0
    long_mm: float | None = None
    short_mm: float | None = None
    max_mm: float | None = None
    area_mm2: float | None = None
    volume_ml: float | None = None
    mean_hu: float | None = None
    sd_hu: float | None = None
    min_hu: float | None = None
    max_hu: float | None = None
    first_slice: int | None = None
    last_slice: int | None = None
    shapes: tuple[DrawnShape, ...] = ()
    instance_number: int | None = None
    frame_number: int | None = None
    mask: LabelMask | None = None

    # -- in words

    @property
    def image(self) -> str:
        """The images it is on, counted from 1: "image 85" or "images 80 to 90".

        With the archive's number of a single image, where that differs.
        """
        if self.first_slice is not None and self.last_slice is not None:
            first, last = self.first_slice + 1, self.last_slice + 1
            if first != last:
                return said("images {first} to {last}", first=first, last=last)
        number = self.index + 1
        label = {
            "axial": said("image {number}", number=number),
            "coronal": said("coronal image {number}", number=number),
            "sagittal": said("sagittal image {number}", number=number),
        }[self.plane]
        other = ArchiveNumber(self.instance_number, self.frame_number).words(number)
        return said("{image} ({other})", image=label, other=other) if other else label

    def stated(self) -> Iterator[tuple[str, str]]:
        """Yield the parts of its sentence in order: what each is about, and its words."""
        if self.kind != "region" and self.long_mm is not None:
            axes = [_mm(mm) for mm in (self.long_mm, self.short_mm) if mm is not None]
            yield "size", f"{' x '.join(axes)} mm"
        if self.max_mm is not None:
            yield "diameter", f"largest diameter {_mm(self.max_mm)} mm"
        if self.kind == "region" and self.mean_hu is not None:
            yield "HU", self._hu
        if self.kind == "region" and self.area_mm2 is not None:
            yield "area", f"area {self.area_mm2:.0f} mm²"
        if self.volume_ml is not None:
            yield "volume", f"volume {_ml(self.volume_ml)} ml"

    @property
    def _hu(self) -> str:
        return said(
            "mean {mean} HU (SD {sd}, {low} to {high} HU)",
            mean=f"{self.mean_hu:.0f}",
            sd=f"{self.sd_hu:.0f}",
            low=f"{self.min_hu:.0f}",
            high=f"{self.max_hu:.0f}",
        )

    @property
    def figures(self) -> str:
        """Every figure on one line, lengths to a tenth of a millimetre."""
        parts: list[str] = []
        if self.long_mm is not None and self.short_mm is not None:
            parts.append(said("long axis {mm} mm", mm=f"{self.long_mm:.1f}"))
            parts.append(said("short axis {mm} mm", mm=f"{self.short_mm:.1f}"))
        elif self.long_mm is not None:
            parts.append(said("length {mm} mm", mm=f"{self.long_mm:.1f}"))
        if self.max_mm is not None:
            parts.append(said("largest diameter {mm} mm", mm=f"{self.max_mm:.1f}"))
        if self.area_mm2 is not None:
            parts.append(said("area {area} mm²", area=f"{self.area_mm2:.0f}"))
        if self.volume_ml is not None:
            parts.append(said("volume {volume} ml", volume=_ml(self.volume_ml)))
        if self.mean_hu is not None:
            parts.append(self._hu)
        return together(*parts, self.image, between=", ")

    def sentence(self, name: str = "", place: str = "") -> str:
        """Return it as a sentence, such as "Nodule, 14 x 11 mm, right upper lobe, image 85."

        Parameters
        ----------
        name
            What was measured, in the reader's or the model's words.
        place
            Where it lies, as somebody said it; nothing is inferred from its coordinates.
        """
        name = (name or UNNAMED[self.kind]).strip()
        name = name[:1].upper() + name[1:]
        stated = [words for _, words in self.stated()]
        return ", ".join(filter(None, [name, *stated, place.strip(), self.image])) + "."

    def restated(self, text: str, new: Measurement) -> str | None:
        """Return a sentence about this measurement with the figures of a new one.

        None if the sentence no longer has a figure that changed.
        """
        before, after = dict(self.stated()), dict(new.stated())
        changes = [(words, after.get(part, "")) for part, words in before.items()]
        for old, words in (*changes, (self.image, new.image)):
            if old == words:
                continue
            if old not in text or not words:
                return None
            text = text.replace(old, words, 1)
        return text

    # -- saving

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values; slices count from 0."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Measurement:
        """Return the measurement that `to_json` wrote; wrong types are found by `check_types`."""
        shapes = tuple(
            DrawnShape(one["kind"], tuple(map(point, one["points"])))
            for one in data.get("shapes", ())
        )
        mask = LabelMask.from_json(data["mask"]) if data.get("mask") else None
        made = cls(**{**data, "shapes": shapes, "mask": mask})
        return replace(made, keys=tuple(data["keys"]), ras=point(data["ras"]))


def _mm(length: float) -> str:
    """Return a length to the whole millimetre, as reports give it (Fleischner Society, 2017)."""
    return f"{length:.0f}" if length >= 1 else f"{length:.1f}"


def _ml(volume: float) -> str:
    """Return a volume to three significant figures, without an exponent."""
    return f"{float(f'{volume:.3g}'):g}"
