"""The backend of an I3ResNet: Merlin's phenotypes, or places by heads trained on phantoms."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_ct_assistant.backends.heat_map import Evidence
from napari_ct_assistant.backends.i3resnet.encoder import Encoder, load_encoder
from napari_ct_assistant.backends.i3resnet.folder import about
from napari_ct_assistant.backends.i3resnet.grid import FIXED_BOX, input_grid
from napari_ct_assistant.backends.i3resnet.input.chains import ABDOMEN, CHAINS, CHEST, input_hu
from napari_ct_assistant.backends.i3resnet.network.modeling import FeatureMaps
from napari_ct_assistant.backends.i3resnet.places.cells import cell_means
from napari_ct_assistant.backends.i3resnet.places.heads import PlaceHeads, heads_for
from napari_ct_assistant.backends.i3resnet.places.heat import place_evidence
from napari_ct_assistant.backends.i3resnet.places.masks import find_body
from napari_ct_assistant.backends.model_info import ModelInfo
from napari_ct_assistant.backends.prepared_scan import Capabilities, PreparedScan, View
from napari_ct_assistant.backends.scan_notes import cut_note
from napari_ct_assistant.backends.screening import (
    FindingScore,
    ScreeningBackend,
    ScreeningContext,
)
from napari_ct_assistant.backends.settings import GenerationSettings
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.model.folder import settings_sha256
from napari_ct_assistant.model.format import WEIGHTS
from napari_ct_assistant.model.settings import read_json
from napari_ct_assistant.support.translation import said
from napari_ct_assistant.volume import CTVolume

PLACES_ONLY: Final = (
    "Places to look at, ranked within this scan. The model cannot say whether a finding is there: "
    "every scan has a best place for each."
)
NO_SCALE: Final = (
    "The field of view is stretched to the model's input: its features know no millimetres."
)


class I3ResNetContext(ScreeningContext):
    """One scan as an I3ResNet sees it.

    Parameters
    ----------
    backend : I3ResNetBackend
    scan : PreparedScan
    maps : FeatureMaps
    seconds : float
        That the encoding took.
    """

    def __init__(
        self, backend: I3ResNetBackend, scan: PreparedScan, maps: FeatureMaps, seconds: float
    ) -> None:
        self.scan, self.maps = scan, maps
        self.notes: tuple[str, ...] = ()
        self.seconds = {"encode": seconds}
        self.vision_tokens = maps.layer4.flatten(2).transpose(1, 2)
        self._backend = backend
        self._body: dict[str, NDArray[np.float32]] = {}

    @property
    def input_affine(self) -> NDArray[np.float64]:
        """The affine of the network's input (x, y, z) -> RAS mm."""
        affine: NDArray[np.float64] = self.scan.details["input_affine"]
        return affine

    def scores(
        self, findings: Sequence[str] = (), *, cancel: threading.Event | None = None
    ) -> list[FindingScore]:
        """Return the phenotypes' outputs; of places, the findings without any score."""
        if findings:
            raise ValueError(f"{self._backend.info.name}: screens only for its own findings")
        labels = self._backend.capabilities.labels[self.scan.region]
        network = self._backend.encoder.network
        if network.classifier is None:
            return [FindingScore(name) for name in labels]
        seen = network.phenotype_logits(self.maps)[0].float().sigmoid().tolist()
        if cancel is not None and cancel.is_set():
            return []
        empty = network.phenotype_logits(self._backend.air())[0].float().sigmoid().tolist()
        return [
            FindingScore(name, one, baseline=without)
            for name, one, without in zip(labels, seen, empty, strict=True)
        ]

    def locate(self, finding: str) -> Evidence:
        """Return where in the scan a finding's score comes from, with ranked places.

        Of a phenotype, what each place adds to its output; otherwise the map of its head.
        """
        labels = self._backend.capabilities.labels[self.scan.region]
        if finding not in labels:
            raise ValueError(f"{self._backend.info.name}: no finding {finding!r}")
        number = labels.index(finding)
        classifier, heads = self._backend.encoder.network.classifier, self._backend.heads
        if classifier is not None:
            layer = "layer4"
            weight = classifier.weight[number].flatten().float()
            added = torch.einsum("c,czxy->xyz", weight, self.maps.layer4[0].float())
            scores = np.ascontiguousarray(added.cpu().numpy())
        elif heads is not None:
            layer = heads.layer
            scores = heads.scores(self.maps)[number]
        else:
            return Evidence()
        return place_evidence(
            scores, self._body_share(layer), self.input_affine, layer, self.scan.volume
        )

    def without_image(self) -> I3ResNetContext:
        """Return the context of air."""
        return I3ResNetContext(self._backend, self.scan, self._backend.air(), 0.0)

    def checks(self, *, cancel: threading.Event | None = None) -> tuple[str, ...]:  # noqa: ARG002
        """Say what the findings are, where they are places only."""
        places = self._backend.encoder.network.classifier is None
        return (PLACES_ONLY, NO_SCALE) if places else ()

    def _body_share(self, layer: str) -> NDArray[np.float32]:
        if layer not in self._body:
            values = self.scan.pixel_values[0, 0].numpy()
            mask = find_body(input_hu(values, self.scan.region)).body
            self._body[layer] = cell_means(mask, layer)
        return self._body[layer]


class I3ResNetBackend(ScreeningBackend):
    """A `ScreeningBackend` of an I3ResNet.

    Parameters
    ----------
    encoder : Encoder
    info : ModelInfo
    heads : PlaceHeads or None
    """

    def __init__(self, encoder: Encoder, info: ModelInfo, heads: PlaceHeads | None) -> None:
        self.encoder, self.info, self.heads = encoder, info, heads
        self.model = encoder.network
        self.processor = encoder
        self._air: FeatureMaps | None = None
        self._making = threading.Lock()

    @property
    def device(self) -> str:
        """Where the model is."""
        return str(self.encoder.device)

    @property
    def capabilities(self) -> Capabilities:
        """Phenotypes in both chains; places of chest findings in the chest's."""
        labels: dict[str, tuple[str, ...]] = dict.fromkeys(CHAINS, self.encoder.outputs)
        if not self.encoder.outputs and self.heads is not None:
            labels = {CHEST: self.heads.findings, ABDOMEN: ()}
        found = any(labels.values())
        return Capabilities(
            body_regions=CHAINS,
            labels=labels,
            evidence="ranked places" if found else "",
            text=False,
        )

    def prepare(self, volume: CTVolume, view: View) -> PreparedScan:
        """Make the network's input by the chain of a region.

        Raises
        ------
        ValueError
            If there is no such region.
        """
        if view.region and view.region not in CHAINS:
            raise ValueError(
                f"{self.info.name}: region is {view.region!r}; give one of {', '.join(CHAINS)}"
            )
        chain = view.region or self.encoder.settings.chain
        made = self.encoder.prepare(volume, chain)
        grid = input_grid(made)
        reason = "" if view.region else "the chain of the model's own training"
        notes = (
            cut_note(volume, grid) if chain == ABDOMEN else "",
            "" if view.centre is None else FIXED_BOX,
        )
        return PreparedScan(
            volume,
            torch.from_numpy(made.values)[None, None],
            grid,
            region=chain,
            default_region=reason,
            notes=tuple(filter(None, notes)),
            details={"input_affine": made.affine},
        )

    def encode(
        self,
        scan: PreparedScan,
        *,
        progress: Callable[[str], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> I3ResNetContext:
        """Run the network over a scan."""
        start = time.perf_counter()
        maps = self.encoder.encode(scan.pixel_values, progress=progress, cancel=cancel)
        return I3ResNetContext(self, scan, maps, time.perf_counter() - start)

    def air(self) -> FeatureMaps:
        """Return the maps of air; computed once."""
        with self._making:
            if self._air is None:
                empty: Tensor = torch.zeros(1, 1, *self.encoder.settings.size)
                self._air = self.encoder.encode(empty)
        return self._air


def load(
    folder: Path,
    name: str,
    *,
    device: str | None = None,
    settings: GenerationSettings | None = None,  # noqa: ARG001  it generates nothing
    dtype: str | None = None,
    quantize: Any = None,
    device_map: Any = None,
) -> I3ResNetBackend:
    """Load the folder of an encoder; the options are those of `load_assistant`.

    Raises
    ------
    ModelLoadError
        One line with the model's name and what to do.
    """
    for option, value in (("quantize", quantize), ("device_map", device_map)):
        if value is not None:
            raise ModelLoadError(
                said(
                    "{name}: {option} is not available for this model; leave it out",
                    name=name,
                    option=option,
                )
            )
    encoder = load_encoder(folder, device=device, dtype=dtype, name=name)
    heads = heads_for(folder, name) if not encoder.outputs else None
    trained_on, notice = about(read_json(folder / "config.json", name))
    info = ModelInfo(
        name=name,
        trained_on=trained_on,
        notice=notice,
        findings=encoder.outputs or (heads.findings if heads is not None else ()),
        files=tuple(sorted(folder.glob(WEIGHTS))),
        settings_sha256=settings_sha256(folder),
    )
    return I3ResNetBackend(encoder, info, heads)
