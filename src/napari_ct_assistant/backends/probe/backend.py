"""Heads on a frozen encoder, read as a screening model."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from torch import Tensor

from napari_ct_assistant.backends.heat_map import Evidence, HeatMap
from napari_ct_assistant.backends.model_info import ModelInfo
from napari_ct_assistant.backends.prepared_scan import (
    Capabilities,
    PreparedScan,
    Progress,
    View,
)
from napari_ct_assistant.backends.probe.heads import Floats, Heads, pooled
from napari_ct_assistant.backends.probe.scan_encoder import ScanEncoder
from napari_ct_assistant.backends.screening import (
    FindingScore,
    ScreeningBackend,
    ScreeningContext,
)
from napari_ct_assistant.volume import CTVolume


@dataclass(frozen=True, eq=False)
class ProbeBackend(ScreeningBackend):
    """Heads with their encoder.

    Attributes
    ----------
    heads : Heads
    encoder : ScanEncoder
    info : ModelInfo
    region : str
        The region of the body that the heads were trained on; "" for the encoder's choice.
    """

    heads: Heads
    encoder: ScanEncoder
    info: ModelInfo
    region: str = ""
    _air: list[Tensor] = field(default_factory=list)
    _making: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        # The network is the encoder's; scans are prepared by the encoder, too.
        object.__setattr__(self, "model", self.encoder.network)
        object.__setattr__(self, "processor", self.encoder)

    @property
    def device(self) -> str:
        """Where the encoder is, such as "cpu" or "cuda:0"."""
        return str(self.encoder.device)

    @property
    def capabilities(self) -> Capabilities:
        """What the model can do."""
        regions = (self.region,) if self.region else self.encoder.regions
        return Capabilities(
            body_regions=regions,
            labels=dict.fromkeys(regions or ("",), self.heads.labels),
            evidence="what each place adds to the head's logit",
            needs_gpu=True,
            text=False,
        )

    def prepare(self, volume: CTVolume, view: View) -> PreparedScan:
        """Make the encoder's input for a scan.

        Raises
        ------
        ValueError
            If another region than that of the training is asked for.
        """
        if self.region and view.region not in ("", self.region):
            raise ValueError(
                f"{self.info.name}: region is {view.region!r}; its heads were trained on "
                f"{self.region}"
            )
        return self.encoder.prepare(volume, replace(view, region=self.region or view.region))

    def encode(
        self,
        scan: PreparedScan,
        *,
        progress: Progress | None = None,
        cancel: threading.Event | None = None,
    ) -> ProbeContext:
        """Run the encoder over a scan.

        Raises
        ------
        EncodingStopped
            If `cancel` was set before the end.
        """
        start = time.perf_counter()
        found = scan.encoded(
            {"encoder": self.encoder.network},
            lambda: {"tokens": self.encoder.tokens(scan.pixel_values, progress, cancel)},
        )
        tokens = found["tokens"].to(self.encoder.device)
        return ProbeContext(self, scan, tokens, {"encode": time.perf_counter() - start})

    def air(self) -> Tensor:
        """Return the encoder's tokens of no scan; computed once."""
        with self._making:
            if not self._air:
                self._air.append(self.encoder.tokens(self.encoder.air()))
        return self._air[0]


class ProbeContext(ScreeningContext):
    """A `ScreeningContext` of heads.

    Parameters
    ----------
    backend : ProbeBackend
    scan : PreparedScan
    tokens : Tensor [N, C]
    seconds : dict
    """

    def __init__(
        self, backend: ProbeBackend, scan: PreparedScan, tokens: Tensor, seconds: dict[str, float]
    ):
        self._backend = backend
        self._tokens = tokens
        self.scan = scan
        self.seconds = seconds
        self.notes: tuple[str, ...] = ()
        self.vision_tokens = tokens[None]

    def scores(
        self, findings: Sequence[str] = (), *, cancel: threading.Event | None = None
    ) -> list[FindingScore]:
        """Return the calibrated probability of each finding.

        Raises
        ------
        ValueError
            For findings in the reader's words: heads know their own only.
        """
        if findings:
            raise ValueError(f"{self._backend.info.name}: screens only for its own findings")
        if cancel is not None and cancel.is_set():
            return []
        heads = self._backend.heads
        seen = heads.probabilities(pooled(_array(self._tokens), heads.pooling))
        blind = heads.probabilities(pooled(_array(self._backend.air()), heads.pooling))
        return [
            FindingScore(name, float(p), baseline=float(b), threshold=float(t))
            for name, p, b, t in zip(heads.labels, seen, blind, heads.thresholds, strict=True)
        ]

    def locate(self, finding: str) -> Evidence:
        """Return where the places lie that speak for a finding.

        Raises
        ------
        ValueError
            If it is none of the heads' findings.
        """
        heads = self._backend.heads
        if finding not in heads.labels:
            raise ValueError(f"{self._backend.info.name}: has no head for {finding!r}")
        values = heads.contributions(heads.labels.index(finding), _array(self._tokens))
        grid, affine = self._backend.encoder.on_scan(values, self.scan)
        return Evidence.of(None, HeatMap.from_attributions(grid, affine), self.scan.volume)

    def without_image(self) -> ProbeContext:
        """Return the context of no scan."""
        return ProbeContext(self._backend, self.scan, self._backend.air(), self.seconds)


def _array(tokens: Tensor) -> Floats:
    return np.asarray(tokens.float().cpu().numpy(), dtype=np.float64)
