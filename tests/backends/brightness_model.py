"""A screening model without weights: it scores words by how bright the scan is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import numpy as np
import torch

from napari_ct_assistant.assistant import ModelInfo
from napari_ct_assistant.backends.heat_map import Evidence, HeatMap
from napari_ct_assistant.backends.protocol import Capabilities, PreparedScan, View
from napari_ct_assistant.backends.screening import (
    FindingScore,
    ScreeningBackend,
    ScreeningContext,
)
from napari_ct_assistant.volume import CTVolume, ModelGrid

WORDS = ("Calcification", "Emphysema")


class BrightnessContext(ScreeningContext):
    def __init__(self, scan: PreparedScan, brightness: float, *, ranked: bool) -> None:
        self.scan, self.ranked = scan, ranked
        self.brightness = brightness
        self.seconds = {"encode": 0.0}
        self.vision_tokens = torch.zeros(1, 8, 4)

    def scores(
        self, findings: Sequence[str] = (), *, cancel: threading.Event | None = None
    ) -> list[FindingScore]:
        rows = []
        for name in findings or WORDS:
            if cancel is not None and cancel.is_set():
                break
            value = self.brightness if name == WORDS[0] else 1 - self.brightness
            if self.ranked:
                rows.append(FindingScore(name, margin=value - 0.5, baseline=-0.5))
            else:
                rows.append(FindingScore(name, value, baseline=0.0, threshold=0.6))
        return rows

    def checks(self, *, cancel: threading.Event | None = None) -> tuple[str, ...]:
        return ("The scan was looked at once.",)

    def locate(self, finding: str) -> Evidence:
        volume = self.scan.volume
        values = np.zeros((2, 2, 2), np.float32)
        values[1, 0, 1] = 1
        affine = volume.affine @ np.diag([*(n / 2 for n in volume.shape), 1.0])
        return Evidence.of(None, HeatMap(values, affine), volume)

    def without_image(self) -> BrightnessContext:
        return BrightnessContext(self.scan, 0.0, ranked=self.ranked)


class BrightnessBackend(ScreeningBackend):
    """Gives ranks, or probabilities with `ranked=False`."""

    def __init__(self, *, ranked: bool = True) -> None:
        self.info = ModelInfo("brightness", findings=WORDS)
        self.ranked = ranked
        self.model = self.processor = None

    @property
    def device(self) -> str:
        return "cpu"

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            labels={"": WORDS}, text=False, free_findings=self.ranked, evidence="brightness"
        )

    def prepare(self, volume: CTVolume, view: View) -> PreparedScan:
        grid = ModelGrid.stretched(volume, shape=(2, 2, 2), patch=(1, 1, 1))
        return PreparedScan(volume, torch.zeros(1, 1, 2, 2, 2), grid)

    def encode(
        self,
        scan: PreparedScan,
        *,
        progress: Callable[[str], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> BrightnessContext:
        brightness = float(np.clip(scan.volume.hu.max() / 1000, 0, 1))
        return BrightnessContext(scan, brightness, ranked=self.ranked)
