"""What a family can do, and a scan as it reads it. Importing this module brings no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from napari_ct_assistant.backends.heat_map import PointRAS
from napari_ct_assistant.backends.scan_cache import ScanCache
from napari_ct_assistant.backends.slices.choice import WHOLE, SliceRange
from napari_ct_assistant.support.errors import CTAssistantError
from napari_ct_assistant.volume import CTVolume, ModelGrid

Progress = Callable[[str], None]


class EncodingStopped(CTAssistantError):  # noqa: N818  not an error
    """Reading a scan was stopped before its image context was complete."""


@dataclass(frozen=True)
class Capabilities:
    """What a family can do; the panel and the command line offer only that.

    Attributes
    ----------
    body_regions : tuple of str
        Regions of the body that it can be pointed to, its names for them; empty where it reads
        every scan in the same way.
    labels : mapping of region to tuple of str
        The findings that it screens for, in its order; the key is "" without regions.
    follow_ups : bool
        Whether earlier questions and answers can be part of a question.
    drawn_regions : bool
        Whether a sentence about a region that the reader drew can be part of a question.
    reasoning : bool
        Whether it writes its reasoning before the answer.
    evidence : str
        The method that finds the place of a statement, in a few words; "" without one.
    needs_gpu : bool
        Whether reading a scan without a GPU takes more than minutes.
    remote : bool
        Whether it runs on a server.
    slices : bool
        Whether it looks at single slices, whose range and number the reader can choose.
    text : bool
        Whether it writes reports and answers; a model that does not screens for findings, and its
        contexts are `backends.screening.ScreeningContext`.
    free_findings : bool
        Whether it screens for findings that the reader words.
    """

    body_regions: tuple[str, ...] = ()
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    follow_ups: bool = False
    drawn_regions: bool = False
    reasoning: bool = False
    evidence: str = ""
    needs_gpu: bool = False
    remote: bool = False
    slices: bool = False
    text: bool = True
    free_findings: bool = False


@dataclass(frozen=True)
class View:
    """Which part of a scan is to be read.

    Attributes
    ----------
    region : str
        One of `Capabilities.body_regions`; "" leaves it to the backend.
    centre : (x, y, z) or None
        RAS mm of the centre of the model's input box; None leaves it to the backend.
    slices : SliceRange
        Which slices a model that looks at single ones is shown; the whole scan by default.
    """

    region: str = ""
    centre: PointRAS | None = None
    slices: SliceRange = WHOLE


@dataclass(frozen=True, eq=False)
class PreparedScan:
    """A scan as a model reads it.

    Attributes
    ----------
    volume : CTVolume
    pixel_values : Tensor [1, 1, D, H, W]
    grid : ModelGrid
        Where the model's input box lies in the scan.
    region : str
        The region of the body that is read; "" where the family has none.
    default_region : str
        Why this region was chosen where nobody chose it; "" otherwise.
    notes : tuple of str
        What of the scan is not seen, and what could not be done as usual.
    details : mapping
        Figures of the preparation by which it can be checked.
    cache : ScanCache or None
        Where the scan may be found encoded, and is kept encoded; a family may ignore it.
    slices : tuple of int
        Of a model that looks at single slices: their indices along the volume's first axis, in
        the order of the labels that its texts name; () for other models.
    """

    volume: CTVolume
    pixel_values: Any
    grid: ModelGrid
    region: str = ""
    default_region: str = ""
    notes: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    slices: tuple[int, ...] = ()
    cache: ScanCache | None = None

    def encoded(
        self, encoder: Mapping[str, Any], encode: Callable[[], dict[str, Any]]
    ) -> dict[str, Any]:
        """Return the tensors that `encode` returns, from the cache if they are in it.

        encoder: the modules that compute them.
        """
        if self.cache is None:
            return encode()
        return self.cache.encoded(
            lambda: self.volume.fingerprint, self.pixel_values, encoder, encode
        )
