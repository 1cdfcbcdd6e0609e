"""Slice links: how a report or an answer points to a position in the scan."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from napari_ct_assistant.support.plain_text import plain
from napari_ct_assistant.support.translation import N_, _, percent, shown
from napari_ct_assistant.viewer.scan.image_numbers import image_label
from napari_ct_assistant.viewer.scan.layers import CT_KEY, index_to_world
from napari_ct_assistant.viewer.views.planes import set_plane
from napari_ct_assistant.volume.dicom.instance_numbers import ArchiveNumber

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_ct_assistant.assistant import Answer, ReportDraft

_MARKS: Final = re.compile(r"([\\`*_{}\[\]<>()#+\-.!|~&])")
# Counted from 1: "slice 84", "image 84", and "im. 84" as radiologists write it.
# A label that is followed by its image, "SLICE 27 (image 88)", is not the image 27.
_MENTION: Final = re.compile(
    r"\b((?:slice|image|im\.?|img\.?)\s+#?(\d{1,4}))\b"
    r"(?!(?:\s*(?:-|\u2013|,|&|to|through|and|or)\s*\d+)* \(images? \d)",
    re.IGNORECASE,
)
_OF_LABEL: Final = re.compile(
    r"(?<= \()images? (\d{1,4}(?:[ ,&\u2013-]|to|through|and|or|\d)*)(?=\))"
)
_HREF: Final = re.compile(r"slice:(\d+)(?:\?ras=(-?[\d.]+),(-?[\d.]+),(-?[\d.]+))?(?:#\d+)?")
_PART: Final = re.compile(r".*#(\d+)")

NO_BREAK: Final = "\u00a0"
# A sign and words as well as a colour, for readers who cannot tell the colours apart.
UNSUPPORTED: Final = N_("\u26a0\u00a0not supported by the image")
UNSUPPORTED_MEANS: Final = N_(
    "Not supported: for the model, the sentence is no more likely with the scan than without it."
)


@dataclass(frozen=True)
class ScanPosition:
    """A position in a scan: an axial slice index, and the point in RAS mm if it is known.

    The index and the link's target count from 0, what is shown counts from 1, with the number of
    the DICOM file (`filed`) where that is another one.
    """

    slice: int
    ras: tuple[float, float, float] | None = None
    filed: ArchiveNumber = field(default=ArchiveNumber(), compare=False)

    @property
    def href(self) -> str:
        """The link's target, such as ``slice:84`` or ``slice:84?ras=10.0,-3.5,120.0``."""
        if self.ras is None:
            return f"slice:{self.slice}"
        return f"slice:{self.slice}?ras=" + ",".join(f"{value:.1f}" for value in self.ras)

    @property
    def markdown(self) -> str:
        """The link as markdown."""
        return self.link()

    def link(self, part: int | None = None) -> str:
        """Return the link as markdown; it also shows the evidence of sentence number `part`."""
        of = "" if part is None else f"#{part}"
        label = image_label(self.slice, self.filed).replace(" ", NO_BREAK)
        image, bracket, other = label.partition(f"{NO_BREAK}(")
        return f"[{image}]({self.href}{of}){bracket}{other}"


def part_of_href(href: str) -> int | None:
    """Return the number of the sentence that a link belongs to, None if it names none."""
    match = _PART.fullmatch(href)
    return None if match is None else int(match.group(1))


def parse_href(href: str) -> ScanPosition | None:
    """Return the position that a slice link points to, None for any other link."""
    match = _HREF.fullmatch(href)
    if match is None:
        return None
    number, *ras = match.groups()
    point = None if ras[0] is None else (float(ras[0]), float(ras[1]), float(ras[2]))
    return ScanPosition(int(number), point)


def position_of(part: Any) -> ScanPosition | None:
    """Return the position of a sentence's or an answer's evidence, None if it has none."""
    if part.slice is None:
        return None
    ras = None if part.ras is None else tuple(float(value) for value in part.ras)
    filed = ArchiveNumber(part.instance_number, part.frame_number)
    return ScanPosition(int(part.slice), ras, filed)  # type: ignore[arg-type]


def escaped(text: str) -> str:
    """Return `text` with all markdown characters escaped."""
    return _MARKS.sub(r"\\\1", plain(text))


def linked(text: str, slices: int, *, labelled: bool = False) -> str:
    """Return `text` as markdown; each "image 84" becomes a link if the scan has it.

    With `labelled`, the model counted the slices that it was shown: only the images behind its
    labels are links, as in "SLICE 27 (image 88)".
    """
    if labelled:
        return _linked_images(text, slices)
    parts: list[str] = []
    end = 0
    for match in _MENTION.finditer(text):
        number = int(match.group(2)) - 1
        if 0 <= number < slices:
            link = f"[{NO_BREAK.join(match.group(1).split())}]({ScanPosition(number).href})"
            parts += [escaped(text[end : match.start()]), link]
            end = match.end()
    parts.append(escaped(text[end:]))
    return "".join(parts)


def _linked_images(text: str, slices: int) -> str:
    parts: list[str] = []
    end = 0
    for match in _OF_LABEL.finditer(text):
        parts.append(escaped(text[end : match.start()]))
        for piece in re.findall(r"\d+|\D+", match[0]):
            number = int(piece) - 1 if piece.isdigit() else -1
            there = 0 <= number < slices
            parts.append(f"[{piece}]({ScanPosition(number).href})" if there else escaped(piece))
        end = match.end()
    parts.append(escaped(text[end:]))
    return "".join(parts)


def counts_slices(shown: Sequence[int]) -> bool:
    """Return whether a model's labels for the slices it was shown differ from their numbers."""
    return bool(shown) and list(shown) != list(range(len(shown)))


def report_markdown(draft: ReportDraft, slices: int) -> str:
    """Return a drafted report as markdown: one heading per section, one paragraph per sentence."""
    lines = _incomplete(draft.incomplete)
    section, unsupported = None, False
    for number, sentence in enumerate(draft.sentences):
        if sentence.section != section:
            section = sentence.section
            lines += [f"**{escaped(section.capitalize())}**", ""] if section else []
        position = position_of(sentence)
        line = linked(
            sentence.text.strip(), slices, labelled=counts_slices(getattr(draft, "slices", ()))
        )
        if position is not None:
            line += f"  {position.link(number)}"
        if sentence.unsupported:
            line += f"  {_(UNSUPPORTED)}"
            unsupported = True
        lines += [line, ""]
    if unsupported:
        lines += [f"*{_(UNSUPPORTED_MEANS)}*", ""]
    return "\n".join(lines)


def answer_markdown(answer: Answer, slices: int) -> str:
    """Return an answer as markdown, with a link to its evidence at the end."""
    labelled = counts_slices(getattr(answer, "slices", ()))
    lines = answer.text.strip().splitlines()
    paragraphs = [linked(line, slices, labelled=labelled) for line in lines]
    position = position_of(answer)
    if position is not None and paragraphs:
        paragraphs[-1] += f"  {position.link(0)}"
    if answer.unsupported and paragraphs:
        paragraphs[-1] += f"  {_(UNSUPPORTED)}"
    for number, (choice, probability) in enumerate(answer.choices):
        letter = chr(ord("A") + number)
        paragraphs.append(f"{letter}\\. {escaped(choice)} {NO_BREAK}**{percent(probability)}**")
    return "\n\n".join([*_incomplete(answer.incomplete), *paragraphs])


def _incomplete(note: str) -> list[str]:
    """Return the paragraph that goes before a text that is not whole."""
    return [f"**{escaped(shown(note))}**", ""] if note else []


def go_to(viewer: Viewer, layer: Any, position: ScanPosition) -> None:
    """Move the viewer to `position` in the scan that `layer` shows.

    A slice without a point is shown in the axial view. A point moves all three axes, so that it
    lies on the slice on screen in any plane.
    """
    volume = layer.metadata[CT_KEY]
    first = viewer.dims.ndim - 3
    if position.ras is None:
        middle = (
            min(position.slice, volume.shape[0] - 1),
            volume.shape[1] / 2,
            volume.shape[2] / 2,
        )
        axes: Sequence[int] = (first,)
        world: Sequence[float] = index_to_world(layer, middle)[:1]
    else:
        axes = (first, first + 1, first + 2)
        world = index_to_world(layer, volume.ras_to_index(position.ras))
    if viewer.dims.ndisplay == 3 or (position.ras is None and viewer.dims.order[-3] != first):
        set_plane(viewer, "axial")
    viewer.dims.set_point(axes, world)
